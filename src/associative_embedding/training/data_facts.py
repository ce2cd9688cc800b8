"""What a data set is like: the numbers that the settings of a first recipe follow from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints, held_out
from associative_embedding.data.readers.coco_masks import CocoMasks
from associative_embedding.data.readers.image_folder import ImageFolder
from associative_embedding.data.readers.video_frames import NO_VIDEO, video_frames
from associative_embedding.data.readers.voc import VocMasks
from associative_embedding.io.coco_json import read_coco
from associative_embedding.structures.arrays import Array

MOST_READ = 20  # images that are decoded where the annotations do not state their sizes
UPRIGHT = 0.7  # mean direction of a pair of keypoints, 0 = any, 1 = always the same, from which animals stand upright


@dataclass(frozen=True)
class DataFacts:
    """Facts about the images and objects of a data set.

    Attributes:
        images: number of images.
        objects: number of people, animals or objects.
        long_side: median of the longer sides of the images, pixels.
        object_side: median size of the objects, pixels: the longer side of the box around the keypoints, or the square
            root of the area of the mask.
        crowded: an image with more than one object exists.
        upright: the directions between keypoints are similar in all objects, as in pictures from the side.
        held_out: share of the images, by their ids, to validate on; 0 = too few images.
        video: the images are frames of a video, with their numbers.
    """

    images: int
    objects: int
    long_side: float
    object_side: float
    crowded: bool
    upright: bool = True
    held_out: float = 0.0
    video: bool = False


def keypoint_facts(data: CocoKeypoints) -> DataFacts:
    """Returns the facts of images with keypoints.

    Raises:
        ValueError: when nobody is labelled, or an image that must be read cannot be.
    """
    people = np.concatenate([record.keypoints for record in data.records])
    boxes = [np.ptp(person[person[:, 2] > 0, :2], axis=0).max() for person in people]
    video = any(record.track_id is not None for record in data.records) or is_video(data.source)
    return DataFacts(
        images=len(data),
        objects=len(people),
        long_side=long_side(data),
        object_side=max(1.0, float(np.median(boxes))),
        crowded=any(len(record.keypoints) > 1 for record in data.records),
        upright=not video and is_upright(people),  # a video shows few animals, each in few directions
        held_out=share_to_hold_out(data.image_ids),
        video=video,
    )


def mask_facts(data: CocoMasks | VocMasks) -> DataFacts:
    """Returns the facts of images with masks; at most `MOST_READ` of them are read.

    Raises:
        ValueError: when no object is found, or an image cannot be read.
    """
    places = np.unique(np.linspace(0, len(data) - 1, min(len(data), MOST_READ)).round().astype(int))
    samples = [data[int(i)] for i in places]
    sizes = np.sqrt(np.concatenate([sample.area for sample in samples]))
    if not len(sizes):
        raise ValueError(f"{data.source}: no object in {len(samples)} of its images; there is nothing to learn")
    return DataFacts(
        images=len(data),
        objects=round(len(sizes) / len(samples) * len(data)),
        long_side=float(np.median([max(sample.image.shape[:2]) for sample in samples])),
        object_side=float(np.median(sizes)),
        crowded=any(len(sample.area) > 1 for sample in samples),
        held_out=share_to_hold_out(data.image_ids),
    )


def long_side(data: ImageFolder) -> float:  # type: ignore[type-arg]
    """Returns the median of the longer sides of the images, pixels."""
    sizes = [record.size for record in data.records if record.size is not None]
    if not sizes:
        sizes = [data.pixels(record).shape[:2] for record in data.records[:MOST_READ]]
    return float(np.median([max(size) for size in sizes]))


def is_upright(people: Array) -> bool:
    """Returns whether some pair of keypoint types has about the same direction in all people, ``(N, K, 3)``.

    From the side, feet are below; from above, animals point anywhere.
    """
    visible = people[:, :, 2] > 0
    best = 0.0
    for k in range(people.shape[1]):
        arrow = people[:, :, :2] - people[:, k : k + 1, :2]
        length = np.linalg.norm(arrow, axis=2)
        both = visible & visible[:, k : k + 1] & (length > 0)
        count = both.sum(axis=0)
        unit = np.where(both[:, :, None], arrow / np.maximum(length, 1e-9)[:, :, None], 0).sum(axis=0)
        steady = np.linalg.norm(unit, axis=1) / np.maximum(count, 1)
        best = max(best, float(steady[count >= max(3, 0.3 * len(people))].max(initial=0)))
    return best >= UPRIGHT


def is_video(annotations: str) -> bool:
    """Returns whether the entries of a COCO json state the numbers of frames."""
    frames = video_frames(read_coco(annotations)["images"])
    return frames.stated and NO_VIDEO not in frames.video


def share_to_hold_out(image_ids: Sequence[int]) -> float:
    """Returns the smallest usual share that leaves at least five images to validation, and most to training.

    0 if there is none: with so few images each one is needed for training.
    """
    for share in (0.1, 0.15, 0.2, 0.3):
        count = sum(held_out(image_id, share) for image_id in image_ids)
        if 5 <= count <= len(image_ids) / 2:
            return share
    return 0.0
