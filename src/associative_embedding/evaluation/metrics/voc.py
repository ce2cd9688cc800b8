"""Mean average precision of regions, mAP^r, on PASCAL VOC (Hariharan et al., ECCV 2014): the paper's table 5."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.metrics.ranking import mean_of_defined, ranked_precision
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks


@dataclass(frozen=True, eq=False)
class VocImage:
    """The T true and F found objects of one image, each in any order.

    Attributes:
        truth: masks of the T true objects.
        truth_class: ``(T,)`` int, class id of each.
        found: masks of the F found objects.
        found_class: ``(F,)`` int, class id of each.
        score: ``(F,)`` float, finite.
        void: ``(H, W)`` bool, pixels that do not count (255 in VOC's label images), or None. They are removed from all
            masks before the masks are compared. A true object inside of them does not count.

    Raises:
        ValueError: if sizes or lengths do not fit together, or a score is not finite.
    """

    truth: Masks
    truth_class: Array
    found: Masks
    found_class: Array
    score: Array
    void: Array | None = None

    def __post_init__(self) -> None:
        if self.truth.size != self.found.size:
            raise ValueError(
                f"true masks of an image of {self.truth.size}, but found masks of an image of {self.found.size}"
            )
        if self.truth_class.shape != (len(self.truth),):
            raise ValueError(f"truth_class must be (T,) = ({len(self.truth)},), not {self.truth_class.shape}")
        if not self.found_class.shape == self.score.shape == (len(self.found),):
            raise ValueError(
                f"found_class and score must be (F,) = ({len(self.found)},), "
                f"not {self.found_class.shape} and {self.score.shape}"
            )
        if not np.isfinite(self.score).all():
            raise ValueError("a score is not finite: leave out objects that are not meant as found")


@dataclass(frozen=True, eq=False)
class Ranking:
    """The found objects of one class in one image, ordered by score.

    Attributes:
        score: ``(F,)`` highest first.
        hit: ``(L, F)`` bool, true positives at each of L thresholds.
        total: number of true objects.
    """

    score: Array
    hit: Array
    total: int


def voc_map(
    images: Iterable[VocImage], classes: Mapping[int, str], thresholds: Sequence[float] = (0.5, 0.7)
) -> Metrics:
    """Returns the average precision of each class, and the means over the classes, in [0, 1].

    Args:
        images: all images of the evaluated set; read once, one at a time.
        classes: class id -> name. Objects of other classes are not read.
        thresholds: IoUs in [0, 1]; a match needs an IoU strictly above. The default is the paper's.

    Returns:
        ``mAP50``, ``mAP70`` (thresholds in percent), the means over the classes with a true object; then ``AP50
        person``, ``AP70 person`` ... of every class. None without any true object.

    Raises:
        ValueError: if the `void` of an image has another size, or is not bool.
    """
    # only scores and hits are kept, not masks: memory grows with the number of objects, not with their pixels
    rankings: dict[int, list[Ranking]] = defaultdict(list)
    for image in images:
        for class_id, ranking in rank(image, classes, thresholds).items():
            rankings[class_id].append(ranking)
    names = [f"AP{round(100 * threshold)}" for threshold in thresholds]
    ap = {key: class_precision(rankings[key], len(names)) for key in classes}
    means = {f"m{name}": mean_of_defined([ap[key][i] for key in classes]) for i, name in enumerate(names)}
    return means | {f"{name} {classes[key]}": ap[key][i] for key in classes for i, name in enumerate(names)}


def rank(image: VocImage, classes: Iterable[int], thresholds: Sequence[float]) -> dict[int, Ranking]:
    """Class id -> the ranked objects of one image, for each of the `classes` that occurs in it."""
    truth, found = image.truth, image.found
    if image.void is not None:
        truth, found = truth.without(image.void), found.without(image.void)
    real = truth.area > 0  # not all void
    rankings = {}
    for class_id in set(classes) & {*image.truth_class[real].tolist(), *image.found_class.tolist()}:
        # masks of different classes are never compared, which also saves most of the intersections
        rows, true_rows = np.flatnonzero(image.found_class == class_id), real & (image.truth_class == class_id)
        rows = rows[np.argsort(-image.score[rows], kind="stable")]
        iou = found[rows].iou(truth[true_rows])
        hit = np.array([hits(iou, threshold) for threshold in thresholds], bool)
        rankings[class_id] = Ranking(image.score[rows], hit, int(true_rows.sum()))
    return rankings


def hits(iou: Array, threshold: float) -> Array:
    """The true positives: each found object, in the order of scores, takes the free true object of the highest IoU.

    The rule of Hariharan et al.: a true object that is taken is no longer a candidate, so a second found object may
    still take its second best. (VOC's rule for boxes would count it as false instead.)

    Args:
        iou: ``(F, T)`` in [0, 1], highest score first.
        threshold: an IoU must be strictly above it.

    Returns:
        ``(F,)`` bool.
    """
    free = iou.copy()
    hit = np.zeros(len(iou), bool)
    for i, row in enumerate(free):
        if row.max(initial=0) > threshold:
            hit[i] = True
            free[:, row.argmax()] = 0  # taken; `row` is a view of `free`, so later rows change with it
    return hit


def class_precision(rankings: Sequence[Ranking], count: int) -> list[float | None]:
    """Average precision of one class in all images, in [0, 1], at each of `count` thresholds; None without any truth.

    Of equal scores the earlier image comes first, then the earlier object.
    """
    total = sum(ranking.total for ranking in rankings)
    if not total:
        return [None] * count
    # one ranking over all images: precision at a score counts every image's false positives
    order = np.argsort(-np.concatenate([ranking.score for ranking in rankings]), kind="stable")
    hit = np.concatenate([ranking.hit for ranking in rankings], axis=1)[:, order]
    return [ranked_precision(row, total) for row in hit]
