"""Mean average precision of regions, mAP^r (Hariharan et al. 2014), on PASCAL VOC: the paper's table 5."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.metrics.ranking import mean, ranked_precision
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks


@dataclass(frozen=True, eq=False)
class VocImage:
    """The T objects of an image and the F that were found in it, in any order.

    Attributes:
        truth: T masks.
        truth_class: ``(T,)`` int.
        found: F masks.
        found_class: ``(F,)`` int.
        score: ``(F,)`` float.
        void: ``(H, W)`` bool of pixels that are taken from truths and found objects before these are compared (255 in
            VOC's pictures), or None. A truth that lies all in them is none.

    Raises:
        ValueError: for sizes or lengths that do not fit, or a score that is not finite.
    """

    truth: Masks
    truth_class: Array
    found: Masks
    found_class: Array
    score: Array
    void: Array | None = None

    def __post_init__(self) -> None:
        if self.truth.size != self.found.size:
            raise ValueError(f"the truth is of an image of {self.truth.size}, what was found of {self.found.size}")
        if self.truth_class.shape != (len(self.truth),):
            raise ValueError(f"truth_class must be (T,) = ({len(self.truth)},), not {self.truth_class.shape}")
        if not self.found_class.shape == self.score.shape == (len(self.found),):
            raise ValueError(
                f"found_class and score must be (F,) = ({len(self.found)},), "
                f"not {self.found_class.shape} and {self.score.shape}"
            )
        if not np.isfinite(self.score).all():
            raise ValueError("a score is not finite: leave out what is not meant as found")


@dataclass(frozen=True, eq=False)
class Ranking:
    """What was found of one class in one image.

    Attributes:
        score: ``(F,)`` best first.
        hit: ``(L, F)`` bool, true positive at each of L thresholds.
        total: number of truths.
    """

    score: Array
    hit: Array
    total: int


def voc_map(
    images: Iterable[VocImage], classes: Mapping[int, str], thresholds: Sequence[float] = (0.5, 0.7)
) -> Metrics:
    """Average precision of each class and their mean, in [0, 1].

    Args:
        images: all images of the evaluated set; read once, one at a time.
        classes: class id -> name. Truths and found objects of other classes are not read.
        thresholds: of the IoU, which must be above.

    Returns:
        ``mAP50``, ``mAP70`` (thresholds in percent), the means over the classes with a truth; then ``AP50 person``,
        ``AP70 person`` ... of every class. None without any truth.

    Raises:
        ValueError: when an image's void is of another size, or not bool.
    """
    rankings: dict[int, list[Ranking]] = defaultdict(list)
    for image in images:
        for class_id, ranking in rank(image, classes, thresholds).items():
            rankings[class_id].append(ranking)
    names = [f"AP{round(100 * threshold)}" for threshold in thresholds]
    ap = {key: class_precision(rankings[key], len(names)) for key in classes}
    means = {f"m{name}": mean([ap[key][i] for key in classes]) for i, name in enumerate(names)}
    return means | {f"{name} {classes[key]}": ap[key][i] for key in classes for i, name in enumerate(names)}


def rank(image: VocImage, classes: Iterable[int], thresholds: Sequence[float]) -> dict[int, Ranking]:
    """What was found in an image, of each of the classes that occur in it."""
    truth, found = image.truth, image.found
    if image.void is not None:
        truth, found = truth.without(image.void), found.without(image.void)
    real = truth.area > 0
    rankings = {}
    for class_id in set(classes) & {*image.truth_class[real].tolist(), *image.found_class.tolist()}:
        mine, theirs = np.flatnonzero(image.found_class == class_id), real & (image.truth_class == class_id)
        mine = mine[np.argsort(-image.score[mine], kind="stable")]
        iou = found[mine].iou(truth[theirs])
        hit = np.array([hits(iou, threshold) for threshold in thresholds], bool)
        rankings[class_id] = Ranking(image.score[mine], hit, int(theirs.sum()))
    return rankings


def hits(iou: Array, threshold: float) -> Array:
    """Which found objects take a truth: each, in order, the one not yet taken with the highest IoU, if that is above.

    Args:
        iou: ``(F, T)``, best score first.

    Returns:
        ``(F,)`` bool.
    """
    left = iou.copy()
    hit = np.zeros(len(iou), bool)
    for i, row in enumerate(left):
        if row.max(initial=0) > threshold:
            hit[i] = True
            left[:, row.argmax()] = 0
    return hit


def class_precision(rankings: Sequence[Ranking], count: int) -> list[float | None]:
    """Average precision of a class in all images, at each of `count` thresholds; of equal scores the earlier first."""
    total = sum(ranking.total for ranking in rankings)
    if not total:
        return [None] * count
    order = np.argsort(-np.concatenate([ranking.score for ranking in rankings]), kind="stable")
    hit = np.concatenate([ranking.hit for ranking in rankings], axis=1)[:, order]
    return [ranked_precision(row, total) for row in hit]
