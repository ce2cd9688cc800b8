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

from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.metrics.object_pairs import common_pixels, match_objects
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
    matches = [overlap.match(threshold) for threshold in THRESHOLDS]
    precision = [image_precision(*overlap.outcome(pairs)) for pairs in matches]
    matched, missed, invented = overlap.outcome(matches[0])
    return CellScores(
        images=1,
        dsb_ap50=precision[0],
        dsb_map=sum(precision) / len(precision),
        aji=aggregated_jaccard(overlap),
        matched=matched,
        missed=missed,
        invented=invented,
        iou=float(overlap.iou[matches[0]].sum()),
    )


@dataclass(frozen=True, eq=False)
class Overlap:
    """The pixels that the T true and F found objects of an image have in common, without ignored pixels.

    Only the P pairs that have some are kept: of ten thousand objects each meets a few, and all pairs need gigabytes.

    Attributes:
        row: ``(P,)`` int64 the true object of each pair; pairs are sorted by it, then by `column`.
        column: ``(P,)`` int64 its found object.
        common: ``(P,)`` int64 pixels in both, above 0.
        truth: ``(T,)`` int64 pixels of each true object, above 0.
        found: ``(F,)`` int64 pixels of each found object.
        excused: ``(F,)`` bool, found objects that do not count where they match nothing.
    """

    row: Array
    column: Array
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
        return cls(*common_pixels(truth, found), truth.area, found.area, 2 * found.area < whole)

    @cached_property
    def union(self) -> Array:
        """``(P,)`` int64 pixels in either."""
        return np.asarray(self.truth[self.row] + self.found[self.column] - self.common)

    @cached_property
    def iou(self) -> Array:
        """``(P,)`` float64, above 0 and at most 1."""
        return np.asarray(self.common / self.union)

    def match(self, threshold: float) -> Array:
        """Returns the ``(M,)`` indices of the pairs that `match_objects` keeps."""
        return match_objects(self.row, self.column, self.iou, threshold)

    def outcome(self, pairs: Array) -> tuple[int, int, int]:
        """Returns the numbers of matched, missed and invented objects, given the pairs of `match`."""
        unmatched = ~self.excused
        unmatched[self.column[pairs]] = False
        return len(pairs), len(self.truth) - len(pairs), int(unmatched.sum())


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
    best = np.lexsort((overlap.column, -overlap.iou, overlap.row))
    best = best[np.unique(overlap.row[best], return_index=True)[1]]  # the first pair of each true object
    alone = np.ones(len(overlap.truth), bool)
    alone[overlap.row[best]] = False
    unused = ~overlap.excused
    unused[overlap.column[best]] = False
    union = overlap.union[best].sum() + overlap.truth[alone].sum() + overlap.found[unused].sum()
    return float(overlap.common[best].sum() / union) if union else 1.0


def ratio(part: float, whole: float) -> float | None:
    """Returns `part` / `whole`, or None where `whole` is 0."""
    return part / whole if whole else None
