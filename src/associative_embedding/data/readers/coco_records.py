"""Reads the keypoint annotations of a COCO json into one record for each image, for any skeleton."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from associative_embedding.data.readers.coco_entries import (
    annotations_of_images,
    area_of,
    box_of,
    check_flags,
    coco_split,
    name_and_size,
    numbers,
    source_keypoints,
    track_of,
    with_small_ids,
)
from associative_embedding.data.readers.image_folder import ImageRecord
from associative_embedding.data.readers.keypoint_categories import KeypointCategories, read_categories
from associative_embedding.data.readers.sound_masks import with_sound_masks
from associative_embedding.data.readers.video_frames import video_frames
from associative_embedding.io.coco_json import read_coco
from associative_embedding.io.console import remark
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.skeleton import Skeleton


@dataclass(frozen=True)
class KeypointRecord(ImageRecord):
    """The keypoint annotations of one image.

    Attributes:
        keypoints: ``(N, K, 3)`` float32 x, y, visibility of the people with labels.
        area: ``(N,)`` float32, square pixels.
        boxes_xywh: ``(N, 4)`` float64.
        unlabelled: regions of crowds and of people without labels, each a box xywh (an array), a list of polygons or
            a run-length encoding.
        track_id: ``(N,)`` int64, or None unless all N people have one.
        video_id: number of the video that the image is a frame of, see `VideoFrames`; 0 without tracks.
        frame: its number in the video.
        coco_split: the set of COCO that the image belongs to, such as "val2017"; empty if not stated.
    """

    keypoints: Array
    area: Array
    boxes_xywh: Array
    unlabelled: tuple[Any, ...] = ()
    track_id: Array | None = None
    video_id: int = 0
    frame: int = 0
    coco_split: str = ""

    @property
    def annotated(self) -> bool:
        return len(self.keypoints) > 0


class Person(NamedTuple):
    """One person of a record: keypoints ``(K, 3)`` float32, area, box ``(4,)`` xywh and track id."""

    keypoints: Array
    area: float
    box_xywh: Array
    track_id: int | None


def read_records(
    path: str, skeleton: Skeleton, rename: Mapping[str, str]
) -> tuple[list[KeypointRecord], KeypointCategories, str]:
    """Reads all images of a COCO json.

    Args:
        path: the json.
        skeleton: K keypoint types; keypoints of other names are dropped.
        rename: name in the file -> name in the skeleton.

    Returns:
        the records in the order of the file, the categories of the people in them, and `VideoFrames.note`, which is
        empty without tracks.

    Raises:
        ValueError: for a broken file or entry, with file, id and key.
    """
    document = with_small_ids(with_sound_masks(path, read_coco(path), crowds_only=True))
    categories = read_categories(path, document, skeleton, rename)
    if categories.note:
        remark(f"{path}: {categories.note}")
    of_image = annotations_of_images(path, document, categories.types)
    k = len(skeleton.keypoints)
    records = [read_record(path, image, of_image[image["id"]], categories.types, k) for image in document["images"]]
    if all(row.get("track_id") is None for row in document["annotations"]):
        return records, categories, ""
    videos = video_frames(document["images"])
    numbered = zip(records, videos.video, videos.frame, strict=True)
    return [replace(r, video_id=video, frame=frame) for r, video, frame in numbered], categories, videos.note


def read_record(
    path: str, image: dict[str, Any], annotations: Sequence[dict[str, Any]], maps: Mapping[int, Array], k: int
) -> KeypointRecord:
    """Reads one image entry and its annotations; for `maps` see `KeypointCategories.types`, `k` is K."""
    file_name, size = name_and_size(path, image)
    people: list[Person] = []
    unlabelled = ignored_polygons(image, f"{path}: image {image['id']}")
    for annotation in annotations:
        where = f"{path}: annotation {annotation.get('id')!r}"
        check_flags(annotation, where)
        types = maps[annotation["category_id"]]
        if annotation.get("iscrowd"):
            unlabelled.append(crowd_region(annotation, len(types), where))
            continue
        source = source_keypoints(annotation, len(types), where)
        # A person without labels is neither background nor has keypoints to teach: the box is ignored.
        if not (source[:, 2] > 0).any():
            unlabelled.append(box_of(annotation, None, where))
        elif person := read_person(annotation, source, types, k, where):
            people.append(person)
    where = f"{path}: image {image['id']}"
    return KeypointRecord(
        image_id=image["id"],
        file_name=file_name,
        size=size,
        keypoints=np.stack([p.keypoints for p in people]) if people else np.zeros((0, k, 3), np.float32),
        area=np.array([p.area for p in people], np.float32),
        boxes_xywh=np.array([p.box_xywh for p in people]).reshape(-1, 4),
        unlabelled=tuple(unlabelled),
        track_id=track_ids(people, where),
        coco_split=coco_split(image),
    )


def ignored_polygons(image: Mapping[str, Any], where: str) -> list[Any]:
    """Returns the regions of a PoseTrack image in which people are not labelled, each a list of one polygon.

    Raises:
        ValueError: for coordinates that are no numbers.
    """
    stated = [image.get(f"ignore_regions_{axis}") for axis in "xy"]
    columns = [column if isinstance(column, list) else [] for column in stated]
    # a list of polygons, or one polygon
    xs, ys = (column if all(isinstance(row, list) for row in column) else [column] for column in columns)
    polygons = []
    for x, y in zip(xs, ys, strict=False):
        corners = [numbers(row, len(x), where, "ignore_regions") for row in (x, y)]
        polygons += [[np.stack(corners, axis=1).ravel().tolist()]] if len(x) >= 3 else []
    return polygons


def crowd_region(annotation: dict[str, Any], k: int, where: str) -> Any:
    """Returns the segmentation of a crowd, or its box if there is none; checks keypoints that it may have."""
    source_keypoints(annotation, k, where)
    return annotation.get("segmentation") or box_of(annotation, None, where)


def read_person(annotation: dict[str, Any], source: Array, types: Array, k: int, where: str) -> Person | None:
    """Returns a person with the keypoints of the skeleton, or None if only others are labelled.

    Args:
        annotation: the entry.
        source: ``(K_source, 3)`` its keypoints.
        types: ``(K_source,)`` their keypoint types, -1 = dropped.
        k: number of keypoint types of the skeleton.
        where: file and entry, for messages.
    """
    keypoints = np.zeros((k, 3), np.float32)
    keypoints[types[types >= 0]] = source[types >= 0]
    box = box_of(annotation, source, where)  # checked also for people who are dropped
    if not (keypoints[:, 2] > 0).any():
        return None
    return Person(keypoints, area_of(annotation, box, where), box, track_of(annotation, where))


def track_ids(people: Sequence[Person], where: str) -> Array | None:
    """Returns ``(N,)`` int64 track ids, or None unless all people have one.

    Raises:
        ValueError: when two people of an image have the same.
    """
    ids = [person.track_id for person in people]
    if None in ids:  # a person without an id could be anybody in the other frame
        return None
    if len(set(ids)) < len(ids):
        raise ValueError(f"{where}: two annotations have the same 'track_id'")
    return np.array(ids, np.int64)
