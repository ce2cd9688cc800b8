"""How well a single-person model finds the keypoints of people whose place is known: its validation while it learns."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from associative_embedding.evaluation.metrics.oks import oks
from associative_embedding.inference.refiner import Refiner
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample

NEAR = 0.1  # of the longer side of the box around the labelled keypoints


def crop_accuracy(refiner: Refiner, people: Iterable[Sample]) -> dict[str, float]:
    """
    Args:
        people: at least one, see `PersonCrops`.

    Returns:
        OKS: mean over the people. PCK: share of their labelled keypoints that are found within `NEAR` of their size.
    """
    similarity, near = [], []
    for sample in people:
        assert sample.focus is not None
        found = refiner.look(sample.image, sample.focus[None])
        similarity.append(oks(found, sample.keypoints, sample.area, refiner.skeleton.sigmas).item())
        near.append(near_truth(found[0], sample.keypoints[0]))
    return {"OKS": float(np.mean(similarity)), "PCK": float(np.concatenate(near).mean())}


def near_truth(found: Array, truth: Array) -> Array:
    """``(L,)`` bool for the L labelled of ``(K, 3)`` keypoints: whether each is found within `NEAR` of their extent."""
    labelled = truth[:, 2] > 0
    size = np.ptp(truth[labelled, :2], axis=0).max()
    distance = np.linalg.norm(found[labelled, :2] - truth[labelled, :2], axis=1)
    return np.asarray(distance < NEAR * size)
