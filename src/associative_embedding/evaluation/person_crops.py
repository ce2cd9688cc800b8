"""Validation of a single-person model during training: its accuracy on crops around annotated people."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from associative_embedding.evaluation.metrics.oks import oks
from associative_embedding.inference.refiner import Refiner
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample

NEAR = 0.1  # distance of a correct keypoint / longer side of the box around the labelled keypoints


def crop_accuracy(refiner: Refiner, people: Iterable[Sample]) -> dict[str, float]:
    """Runs a single-person model on the crop of each person, and compares the keypoints with the annotated ones.

    Args:
        refiner: the model.
        people: at least one sample of one person with its box in `Sample.focus`, see `PersonCrops`.

    Returns:
        in [0, 1]: "OKS", the mean over the people; "PCK", the share of all labelled keypoints that are found within
        `NEAR` of the person's size.
    """
    similarity, near = [], []  # one person at a time: a sample holds the whole image
    for sample in people:
        assert sample.focus is not None
        found = refiner.keypoints_in(sample.image, sample.focus[None])
        similarity.append(oks(found, sample.keypoints, sample.area, refiner.skeleton.sigmas).item())
        near.append(near_truth(found[0], sample.keypoints[0]))
    return {"OKS": float(np.mean(similarity)), "PCK": float(np.concatenate(near).mean())}


def near_truth(found: Array, truth: Array) -> Array:
    """Returns ``(L,)`` bool for the L labelled keypoints of a person: whether each is found within `NEAR` of its size.

    Args:
        found: ``(K, 3)`` x, y in pixels and score.
        truth: ``(K, 3)`` x, y in pixels and visibility.
    """
    labelled = truth[:, 2] > 0
    size = np.ptp(truth[labelled, :2], axis=0).max()
    distance = np.linalg.norm(found[labelled, :2] - truth[labelled, :2], axis=1)
    return np.asarray(distance < NEAR * size)
