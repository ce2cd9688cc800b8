"""Distances of found keypoints from true ones, in pixels: what people who measure animals ask for, beside AP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.metrics.oks import oks
from associative_embedding.evaluation.person_crops import near_truth
from associative_embedding.structures.arrays import Array


@dataclass(frozen=True)
class PixelErrors:
    """Errors of one image, or with ``+`` of many: ``sum(errors, PixelErrors()).numbers()``.

    Attributes:
        distances: of the labelled keypoints of people who are found, in pixels of the image.
        near: number of labelled keypoints that are found within 0.1 of the size of their person, see `near_truth`.
        labelled: number of labelled keypoints, also of people who are missed.
    """

    distances: tuple[float, ...] = ()
    near: int = 0
    labelled: int = 0

    def __add__(self, other: PixelErrors) -> PixelErrors:
        distances = self.distances + other.distances
        return PixelErrors(distances, self.near + other.near, self.labelled + other.labelled)

    def numbers(self) -> Metrics:
        """Returns ``PCK``, the share of labelled keypoints that are near, and ``pixel_error``, the median distance.

        Each is None without a keypoint to count.
        """
        median = float(np.median(self.distances)) if self.distances else None
        return {"PCK": self.near / self.labelled if self.labelled else None, "pixel_error": median}


def pixel_errors(found: Array, truth: Array, area: Array, sigmas: Array) -> PixelErrors:
    """Compares the people found in one image with the true ones.

    Each true person is matched to at most one found person, so that the sum of their similarities (OKS) is largest.

    Args:
        found: ``(N, K, 3)`` x, y in pixels and score; a score of 0 = missing.
        truth: ``(T, K, 3)`` x, y in pixels and visibility.
        area: ``(T,)`` square pixels.
        sigmas: ``(K,)`` of the skeleton.
    """
    labelled = truth[:, :, 2] > 0
    similarity = oks(found, truth, area, sigmas) if len(found) else np.zeros((0, len(truth)))
    distances: list[float] = []
    near = 0
    for n, t in zip(*linear_sum_assignment(similarity, maximize=True), strict=True):
        if not similarity[n, t] > 0:  # nowhere near each other
            continue
        there = labelled[t] & (found[n, :, 2] > 0)
        distances += np.linalg.norm(found[n, there, :2] - truth[t, there, :2], axis=1).tolist()
        near += int((near_truth(found[n], truth[t]) & there[labelled[t]]).sum())
    return PixelErrors(tuple(distances), near, int(labelled.sum()))
