"""How much of a data set is labelled: what training reports at its start, and whether there is anything to learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.readers.coco_masks import CocoMasks
from associative_embedding.data.readers.frame_pairs import FramePairs
from associative_embedding.data.readers.person_crops import PersonCrops
from associative_embedding.data.readers.voc import VocMasks
from associative_embedding.data.stream import Samples
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.keypoints import hide_outside
from associative_embedding.structures.sample import Sample


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """The labels of one data set.

    Attributes:
        images: number of images.
        objects: people with a labelled keypoint inside of their image, or objects with a mask; None = not counted, as
            this would need every label image of a VOC tree.
        of_type: ``(C,)`` number of labelled keypoints of each type, or of objects of each class.
    """

    images: int
    objects: int | None
    of_type: Array


def count_labels(samples: Samples) -> LabelCounts:
    """Returns the counts of a data set, without reading an image.

    Raises:
        TypeError: for a data set of another kind.
    """
    if isinstance(samples, (PersonCrops, FramePairs)):
        samples = samples.images
    if isinstance(samples, CocoKeypoints):
        # Where the size of an image is not stated, its keypoints count as inside.
        people = [hide_outside(r.keypoints, r.size or (1 << 30, 1 << 30))[..., 2] > 0 for r in samples.records]
        labelled = np.concatenate([np.zeros((0, len(samples.labelled)), bool), *people])
        return LabelCounts(len(samples), int(labelled.any(axis=1).sum()), labelled.sum(axis=0))
    if isinstance(samples, CocoMasks):
        classes = np.concatenate([np.zeros(0, np.int64), *(record.class_id for record in samples.records)])
        return LabelCounts(len(samples), len(classes), np.bincount(classes, minlength=len(samples.labelled)))
    if isinstance(samples, VocMasks):
        return LabelCounts(len(samples), None, samples.labelled.astype(np.int64))
    raise TypeError(f"{type(samples).__name__} has no labels to count")


def teach_something(datasets: Sequence[Samples]) -> bool:
    """Returns whether any sample has something to learn, see `teaches`. Usually the first one that is read has."""
    return any(teaches(samples[i]) for samples in datasets for i in range(len(samples)))


def teaches(sample: Sample) -> bool:
    """Returns whether a keypoint is labelled inside of the image, or an object has a pixel that is not ignored."""
    if sample.masks is None:
        return bool((sample.keypoints[..., 2] > 0).any())
    ignore = np.zeros(sample.masks.size, bool) if sample.ignore is None else sample.ignore
    for (y, x), crop in zip(sample.masks.corners.tolist(), sample.masks.crops, strict=True):
        if (crop & ~ignore[y : y + crop.shape[0], x : x + crop.shape[1]]).any():
            return True
    return False
