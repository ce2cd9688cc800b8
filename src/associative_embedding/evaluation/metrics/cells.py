"""How well cells (or any objects of one kind, without scores) are found and told apart, by their masks.

- The rule of the 2018 Data Science Bowl (Caicedo et al. 2019): TP / (TP + FP + FN) of an image at IoUs of 0.5 ... 0.95.
- The aggregated Jaccard index (Kumar et al. 2017, algorithm 1).
- Panoptic quality (Kirillov et al. 2019, equation 1), and precision and recall, over all images.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import linear_sum_assignment

from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks

THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))  # of the IoU, which must be above


@dataclass(frozen=True)
class CellScores:
    """Scores of one image, or with ``+`` of many: ``sum(scores, CellScores()).numbers()``.

    Attributes:
        images: how many.
        dsb_ap50: TP / (TP + FP + FN) at an IoU of 0.5, summed over the images.
        dsb_map: the same, but the mean over the ten IoUs.
        aji: aggregated Jaccard index, summed over the images.
        matched: pairs of a truth and a found object with an IoU above 0.5 (TP).
        missed: truths without such an object (FN).
        invented: found objects without such a truth (FP).
        iou: IoU summed over the matched pairs.
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
        """All in [0, 1]; None where there was nothing to count.

        Returns:
            - ``dsb_ap50``, ``dsb_map``, ``aji``: means over the images.
            - ``pq``: panoptic quality, ``sq`` x ``rq``; ``sq``: mean IoU of the matched pairs; ``rq``:
              TP / (TP + FP / 2 + FN / 2), also called F1. Like the next, of the counts of all images together.
            - ``precision50``, ``recall50``: TP / (TP + FP), TP / (TP + FN).
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
    """Compare the objects of one image with those found in it.

    An image without truths in which nothing is found is right: 1. A truth without pixels is none; a found object
    without pixels is invented.

    Args:
        ignore: ``(H, W)`` bool of pixels that count for neither, or None. They are taken from truths and found objects
            before these are compared; what is found, matches nothing and lay by more than half in them does not count
            as invented (the rule for void of Kirillov et al.). A truth all in them is none.

    Raises:
        ValueError: when the masks or `ignore` are of images of different sizes, or `ignore` is not bool.
    """
    overlap = Overlap.of(truth, found, ignore)
    pairs = [match(overlap.iou, threshold) for threshold in THRESHOLDS]
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
    """What the T truths and F found objects of an image have in common, outside of what is ignored.

    Attributes:
        common: ``(T, F)`` int64 pixels.
        truth: ``(T,)`` int64 pixels, above 0.
        found: ``(F,)`` int64 pixels.
        excused: ``(F,)`` bool, found objects that do not count where they match nothing.
    """

    common: Array
    truth: Array
    found: Array
    excused: Array

    @classmethod
    def of(cls, truth: Masks, found: Masks, ignore: Array | None = None) -> Overlap:
        if truth.size != found.size:
            raise ValueError(f"the truth is of an image of {truth.size}, what was found of {found.size}")
        whole = found.area
        if ignore is not None:
            truth, found = truth.without(ignore), found.without(ignore)
        truth = truth[truth.area > 0]
        return cls(truth.intersection(found), truth.area, found.area, 2 * found.area < whole)

    @cached_property
    def union(self) -> Array:
        """``(T, F)`` int64 pixels."""
        return np.asarray(self.truth[:, None] + self.found - self.common)

    @cached_property
    def iou(self) -> Array:
        """``(T, F)`` float64."""
        return np.asarray(self.common / self.union)

    def outcome(self, pairs: tuple[Array, Array]) -> tuple[int, int, int]:
        """How many are matched, missed and invented, by the indices of what is matched."""
        alone = ~self.excused
        alone[pairs[1]] = False
        return len(pairs[0]), len(self.truth) - len(pairs[0]), int(alone.sum())


def match(iou: Array, threshold: float) -> tuple[Array, Array]:
    """Pairs of a truth and a found object with an IoU above the threshold, one to one: as many as there can be.

    Where neither truths nor found objects overlap among themselves and the threshold is at least 0.5, there is no
    choice: an IoU above 0.5 takes more than half of the pixels of both, and no two disjoint objects can take that of a
    third. Of masks that may overlap, the most pairs are taken, and of these choices the one with the highest IoUs.

    Args:
        iou: ``(T, F)``.

    Returns:
        ``(P,)`` indices of the truths and ``(P,)`` of the found objects.
    """
    right = iou > threshold
    weight = np.where(right, len(iou) + iou, 0)  # one more pair outweighs all IoUs
    rows, columns = linear_sum_assignment(weight, maximize=True)
    kept = right[rows, columns]
    return rows[kept], columns[kept]


def image_precision(matched: int, missed: int, invented: int) -> float:
    """TP / (TP + FP + FN) of an image, as the Data Science Bowl counts; 1 where nothing is and nothing is found."""
    total = matched + missed + invented
    return matched / total if total else 1.0


def aggregated_jaccard(overlap: Overlap) -> float:
    """Pixels in common / pixels in the unions, summed over the truths of an image.

    Each truth is compared with the found object of the highest IoU (the first in a tie), which others may take as well,
    as in the paper; one that meets none adds its own pixels to the unions. So does each found object that no truth
    took, however well it lies, but for excused ones. 1 where nothing is and nothing is found.
    """
    met = overlap.common.any(axis=1)
    best = overlap.iou[met].argmax(axis=1) if met.any() else np.zeros(0, np.int64)
    left = ~overlap.excused
    left[best] = False
    union = overlap.union[met, best].sum() + overlap.truth[~met].sum() + overlap.found[left].sum()
    return float(overlap.common[met, best].sum() / union) if union else 1.0


def ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
