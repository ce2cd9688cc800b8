"""Metrics of instance masks without scores, for example cells: are objects found, and separated from each other?

- The score of the 2018 Data Science Bowl (Caicedo et al., Nature Methods 2019): TP / (TP + FP + FN) of an image, at IoU
  thresholds from 0.5 to 0.95.
- The aggregated Jaccard index (Kumar et al., IEEE TMI 2017, algorithm 1).
- Panoptic quality (Kirillov et al., CVPR 2019, equation 1), precision and recall, over all images.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import linear_sum_assignment

from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks

# A match needs an IoU strictly above the threshold. Dividing percents by 100 gives exactly 0.55, 0.6 ...; adding up
# steps of 0.05 would not, and an IoU equal to a threshold would sometimes match.
THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))


@dataclass(frozen=True)
class CellScores:
    """Scores of one image, or with ``+`` of many: ``sum(scores, CellScores()).numbers()``.

    Attributes:
        images: number of images.
        dsb_ap50: TP / (TP + FP + FN) at an IoU of 0.5, summed over the images.
        dsb_map: the same, averaged over the ten thresholds of each image.
        aji: aggregated Jaccard index, summed over the images.
        matched: pairs of a true and a found object with an IoU above 0.5 (TP).
        missed: true objects without a match (FN).
        invented: found objects without a match (FP).
        iou: IoU, summed over the matched pairs.
    """

    images: int = 0
    dsb_ap50: float = 0.0
    dsb_map: float = 0.0
    aji: float = 0.0
    matched: int = 0
    missed: int = 0
    invented: int = 0
    iou: float = 0.0

    def __add__(self, other: CellScores) -> CellScores:
        return CellScores(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def numbers(self) -> Metrics:
        """Returns the metrics, each in [0, 1], or None where its denominator is 0.

        Returns:
            - ``dsb_ap50``, ``dsb_map``, ``aji``: means over the images.
            - ``pq``: panoptic quality = ``sq`` x ``rq``; ``sq``: mean IoU of the matched pairs; ``rq``: TP / (TP + FP /
              2 + FN / 2), also called F1. These and the next two count the objects of all images together.
            - ``precision50``, ``recall50``: TP / (TP + FP) and TP / (TP + FN).
        """
        objects = self.matched + (self.invented + self.missed) / 2
        return {
            "dsb_ap50": ratio(self.dsb_ap50, self.images),
            "dsb_map": ratio(self.dsb_map, self.images),
            "aji": ratio(self.aji, self.images),
            "pq": ratio(self.iou, objects),
            "sq": ratio(self.iou, self.matched),
            "rq": ratio(self.matched, objects),
            "precision50": ratio(self.matched, self.matched + self.invented),
            "recall50": ratio(self.matched, self.matched + self.missed),
        }


def cell_scores(truth: Masks, found: Masks, ignore: Array | None = None) -> CellScores:
    """Compares the true objects of one image with the found ones.

    An image without true and without found objects scores 1. A true object without pixels does not count; a found
    object without pixels is invented.

    Args:
        truth: masks of the T true objects.
        found: masks of the F found objects.
        ignore: ``(H, W)`` bool, pixels that do not count, or None. They are removed from all masks before the masks are
            compared. A found object without a match does not count as invented if more than half of it was removed (the
            paragraph "void labels" of Kirillov et al.). A true object inside of them does not count.

    Raises:
        ValueError: if `truth`, `found` and `ignore` differ in size, or `ignore` is not bool.
    """
    overlap = Overlap.of(truth, found, ignore)
    pairs = [match_objects(overlap.iou, threshold) for threshold in THRESHOLDS]
    precision = [image_precision(*overlap.outcome(pair)) for pair in pairs]
    matched, missed, invented = overlap.outcome(pairs[0])
    return CellScores(
        images=1,
        dsb_ap50=precision[0],
        dsb_map=sum(precision) / len(precision),
        aji=aggregated_jaccard(overlap),
        matched=matched,
        missed=missed,
        invented=invented,
        iou=float(overlap.iou[pairs[0]].sum()),
    )


@dataclass(frozen=True, eq=False)
class Overlap:
    """The pixels that the T true and F found objects of an image have in common, without ignored pixels.

    Attributes:
        common: ``(T, F)`` int64 pixels in both.
        truth: ``(T,)`` int64 pixels of each true object, above 0.
        found: ``(F,)`` int64 pixels of each found object.
        excused: ``(F,)`` bool, found objects that do not count where they match nothing.
    """

    common: Array
    truth: Array
    found: Array
    excused: Array

    @classmethod
    def of(cls, truth: Masks, found: Masks, ignore: Array | None = None) -> Overlap:
        """Removes the ignored pixels, then counts. Arguments and errors: see `cell_scores`."""
        if truth.size != found.size:
            raise ValueError(f"true masks of an image of {truth.size}, but found masks of an image of {found.size}")
        whole = found.area  # before pixels are removed: "excused" compares with it
        if ignore is not None:
            truth, found = truth.without(ignore), found.without(ignore)
        truth = truth[truth.area > 0]
        return cls(truth.intersection(found), truth.area, found.area, 2 * found.area < whole)

    @cached_property
    def union(self) -> Array:
        """``(T, F)`` int64 pixels in either."""
        return np.asarray(self.truth[:, None] + self.found - self.common)

    @cached_property
    def iou(self) -> Array:
        """``(T, F)`` float64 in [0, 1]."""
        return np.asarray(self.common / self.union)  # no division by 0: true objects have pixels

    def outcome(self, pairs: tuple[Array, Array]) -> tuple[int, int, int]:
        """Returns the numbers of matched, missed and invented objects, given the pairs of `match_objects`."""
        unmatched = ~self.excused
        unmatched[pairs[1]] = False
        return len(pairs[0]), len(self.truth) - len(pairs[0]), int(unmatched.sum())


def match_objects(iou: Array, threshold: float) -> tuple[Array, Array]:
    """Pairs true with found objects, one to one, by an IoU above the threshold; as many pairs as possible.

    For masks that do not overlap among themselves, and thresholds of 0.5 or more, the pairs are unique: an IoU above
    0.5 takes more than half of both objects, so that no third object can have the same (Kirillov et al., theorem 1).
    Masks that may overlap leave a choice. It falls on the most pairs, then on the highest sum of IoUs.

    Args:
        iou: ``(T, F)`` in [0, 1].

    Returns:
        ``(P,)`` indices of the true objects and ``(P,)`` of the found objects.
    """
    above = iou > threshold
    pairs = np.nonzero(above)
    if all(len(np.unique(side)) == len(side) for side in pairs):  # no choice: thousands of cells would take minutes
        return pairs[0], pairs[1]
    # T = len(iou) is more than the IoUs of fewer than T pairs sum to, so that one more pair always wins
    weight = np.where(above, len(iou) + iou, 0)
    rows, columns = linear_sum_assignment(weight, maximize=True)
    kept = above[rows, columns]  # the assignment is complete, and also pairs objects below the threshold
    return rows[kept], columns[kept]


def image_precision(matched: int, missed: int, invented: int) -> float:
    """TP / (TP + FP + FN) of an image, in [0, 1], the rule of the Data Science Bowl; 1 for an empty image."""
    total = matched + missed + invented
    return matched / total if total else 1.0


def aggregated_jaccard(overlap: Overlap) -> float:
    """Aggregated Jaccard index of an image (Kumar et al., algorithm 1): intersections / unions, in [0, 1].

    Each true object is compared with the found object of the highest IoU (the first in a tie), even if another true
    object took it, as in the paper. A true object without overlap adds its pixels to the unions, and so does every
    found object that no true object took, unless it is excused. 1 for an empty image.
    """
    met = overlap.common.any(axis=1)
    best = overlap.iou[met].argmax(axis=1) if met.any() else np.zeros(0, np.int64)
    unused = ~overlap.excused
    unused[best] = False
    union = overlap.union[met, best].sum() + overlap.truth[~met].sum() + overlap.found[unused].sum()
    return float(overlap.common[met, best].sum() / union) if union else 1.0


def ratio(part: float, whole: float) -> float | None:
    """Returns `part` / `whole`, or None where `whole` is 0."""
    return part / whole if whole else None
