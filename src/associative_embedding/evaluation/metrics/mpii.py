"""The MPII Multi-Person average precision (Pishchulin et al. 2016; the paper's table 1) and the single-person PCKh.

Keypoints are the 16 of `MPII_16`, in MPII's own order. 14 of them count: pelvis and thorax do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from associative_embedding.evaluation.metrics.ranking import mean, ranked_precision
from associative_embedding.io.matlab import read_matlab
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.known_skeletons import MPII_16

COLUMNS: dict[str, tuple[str, str]] = {
    "Head": ("upper_neck", "head_top"),
    "Shoulder": ("right_shoulder", "left_shoulder"),
    "Elbow": ("right_elbow", "left_elbow"),
    "Wrist": ("right_wrist", "left_wrist"),
    "Hip": ("right_hip", "left_hip"),
    "Knee": ("right_knee", "left_knee"),
    "Ankle": ("right_ankle", "left_ankle"),
}
PARTS = np.array([MPII_16.index[name] for pair in COLUMNS.values() for name in pair])  # the 14 that count
PERSON_HEIGHT = 200  # pixels of a person of MPII's scale 1


@dataclass(frozen=True)
class PeopleGroup:
    """A group of people in an image, the unit of the evaluation.

    Attributes:
        predicted: ``(P, 16, 3)`` x, y in pixels and the keypoint's own score; 0 = not predicted.
        truth: ``(T, 16, 3)`` x, y in pixels and visibility; > 0 is annotated.
        head_size: ``(T,)`` pixels, see `head_size`.

    Raises:
        ValueError: for a wrong shape, a number that is not finite, a head size that is not above 0.
    """

    predicted: Array
    truth: Array
    head_size: Array

    def __post_init__(self) -> None:
        for name in ("predicted", "truth"):
            keypoints = getattr(self, name)
            if keypoints.ndim != 3 or keypoints.shape[1:] != (16, 3):
                raise ValueError(f"{name} must be (N, 16, 3), not {keypoints.shape}")
            if not np.isfinite(keypoints).all():
                raise ValueError(f"{name} has a number that is not finite: a missing keypoint is 0, 0, 0")
        if self.head_size.shape != self.truth.shape[:1]:
            raise ValueError(f"head_size must be (T,) = ({len(self.truth)},), not {self.head_size.shape}")
        if not ((self.head_size > 0) & np.isfinite(self.head_size)).all():
            raise ValueError("head_size must be above 0 for every truth: check the head boxes")


def head_size(head_xyxy: Array) -> Array:
    """``(N, 4)`` head boxes -> ``(N,)`` head sizes, 0.6 x the diagonal, in pixels."""
    size: Array = 0.6 * np.hypot(head_xyxy[:, 2] - head_xyxy[:, 0], head_xyxy[:, 3] - head_xyxy[:, 1])
    return size


def mpii_multiperson_ap(groups: Iterable[PeopleGroup], *, threshold: float = 0.5) -> dict[str, float | None]:
    """Average precision of keypoint detections, in percent.

    The published script leaves the annotated keypoints of a group without any prediction out of the count; here they
    count as missed.

    Args:
        groups: all groups of people of the evaluated set, each with the predictions in its region.
        threshold: largest distance of a match, in head sizes.

    Returns:
        Head, Shoulder, Elbow, Wrist, Hip, Knee, Ankle (means of two keypoint types) and Total (mean over the 14), in
        [0, 100]. A type that is never annotated does not count; None where that leaves nothing.
    """
    scores: list[Array] = [np.zeros((0, len(PARTS)))]
    labels: list[Array] = [np.zeros((0, len(PARTS)), dtype=bool)]
    annotated = np.zeros(len(PARTS), dtype=np.int64)  # by part
    for group in groups:
        scores.append(group.predicted[:, PARTS, 2])
        labels.append(true_positives(group, threshold))
        annotated += (group.truth[:, PARTS, 2] > 0).sum(axis=0)
    score, label = np.concatenate(scores), np.concatenate(labels)
    predicted = score != 0
    ap = {
        MPII_16.keypoints[part]: 100 * average_precision(score[predicted[:, i], i], label[predicted[:, i], i], total)
        for i, (part, total) in enumerate(zip(PARTS, annotated.tolist(), strict=True))
        if total
    }
    return table(ap) | {"Total": mean(ap.values())}


def match(predicted: Array, truth: Array, size: Array, threshold: float) -> Array:
    """``(P, K, 3)``, ``(T, K, 3)``, ``(T,)`` head sizes -> ``(P, T, K)`` bool: predicted, annotated, and near."""
    distance = np.linalg.norm(predicted[:, None, :, :2] - truth[None, :, :, :2], axis=-1) / size[:, None]
    matched: Array = (distance <= threshold) & (predicted[:, None, :, 2] != 0) & (truth[None, :, :, 2] > 0)
    return matched


def assign(matched: Array, annotated: Array) -> Array:
    """The truth of each prediction, ``(P,)`` int64, -1 = none.

    Each prediction keeps only its best truth by PCKh (the first in a tie); each truth takes its best prediction of
    those left (the first in a tie), none if nothing matches.

    Args:
        matched: ``(P, T, K)`` bool, see `match`.
        annotated: ``(T, K)`` bool.
    """
    assigned = np.full(matched.shape[0], -1, dtype=np.int64)
    if 0 in matched.shape:
        return assigned
    pck = matched.sum(axis=2) / np.maximum(annotated.sum(axis=1), 1)  # (P, T)
    kept = np.where(np.arange(pck.shape[1]) == pck.argmax(axis=1)[:, None], pck, 0)
    taken = np.flatnonzero(kept.max(axis=0) > 0)
    assigned[kept.argmax(axis=0)[taken]] = taken
    return assigned


def true_positives(group: PeopleGroup, threshold: float) -> Array:
    """``(P, 14)`` bool: the predicted keypoint matches the truth that its person is assigned to."""
    predicted, truth = group.predicted[:, PARTS], group.truth[:, PARTS]
    matched = match(predicted, truth, group.head_size, threshold)
    assigned = assign(matched, truth[:, :, 2] > 0)
    label = np.zeros(predicted.shape[:2], dtype=bool)
    rows = np.flatnonzero(assigned >= 0)
    label[rows] = matched[rows, assigned[rows]]
    return label


def average_precision(score: Array, label: Array, total: int) -> float:
    """Area under the monotone precision envelope at every change of recall (VOC, all points), in [0, 1].

    Args:
        score: ``(M,)``. Of equal scores the later counts first, as in the published script.
        label: ``(M,)`` bool, true positive.
        total: number of truths, above 0.
    """
    return ranked_precision(label[np.argsort(score, kind="stable")[::-1]], total)


def pckh(predicted: Array, truth: Array, size: Array, *, threshold: float = 0.5) -> dict[str, float | None]:
    """Percentage of correct keypoints of single people whose prediction is known, in head sizes.

    Args:
        predicted, truth, size: as in `PeopleGroup`, row by row the same person.
        threshold: largest distance of a correct keypoint, in head sizes. A keypoint that is not predicted is wrong.

    Returns:
        Head ... Ankle (means of two keypoint types) and Total (over all annotated keypoints of the 14 types), in
        [0, 100]; None where nothing is annotated.
    """
    if predicted.shape != truth.shape:
        raise ValueError(
            f"predicted and truth must be row by row the same people, not {predicted.shape}, {truth.shape}"
        )
    people = PeopleGroup(predicted, truth, size)
    diagonal = np.arange(len(truth))
    right = match(people.predicted, people.truth, people.head_size, threshold)[diagonal, diagonal]  # (N, 16)
    annotated = truth[:, :, 2] > 0
    rate = {
        MPII_16.keypoints[p]: 100 * float(right[:, p].sum() / annotated[:, p].sum())
        for p in PARTS
        if annotated[:, p].any()
    }
    total = int(annotated[:, PARTS].sum())
    return table(rate) | {"Total": 100 * float(right[:, PARTS].sum() / total) if total else None}


def table(values: Mapping[str, float]) -> dict[str, float | None]:
    """Head ... Ankle from the values of the keypoint types."""
    return {column: mean([values[name] for name in names if name in values]) for column, names in COLUMNS.items()}


def read_groups(path: str | Path) -> list[list[Array]]:
    """The groups of people of every MPII image, from ``mpii_groups_v12.mat``.

    Returns:
        Per image of the MPII release (24,987, in its order) a list of ``(P,)`` int64 indices of people in the image's
        annotation, counted from 0 (the file counts from 1). Groups of one person are included.

    Raises:
        ValueError: for a file without this content.
        OSError: when it cannot be read.
    """
    cells = read_matlab(path, "groups")
    if cells.dtype != object:
        raise ValueError(f"{path}: 'groups' is not a cell array")
    return [[group.ravel().astype(np.int64) - 1 for group in cell.ravel()] for cell in cells.ravel()]


def group_region(objpos: Array, scale: Array) -> tuple[Array, float]:
    """What a method may know of a group: the box of its people's positions, and their mean scale.

    Args:
        objpos: ``(P, 2)`` x, y in pixels.
        scale: ``(P,)``, a person's height / 200 pixels.

    Returns:
        ``(4,)`` box xyxy in pixels, and the scale.
    """
    if objpos.shape != (len(scale), 2) or not len(scale):
        raise ValueError(
            f"a group needs objpos (P, 2) and scale (P,) of at least one person, not {objpos.shape}, {scale.shape}"
        )
    return np.concatenate([objpos.min(axis=0), objpos.max(axis=0)]), float(scale.mean())


def assign_to_group(keypoints: Array, regions_xyxy: Array, scale: Array, *, margin: float = 0.25) -> Array:
    """The group in whose region each prediction lies: the nearest, within a margin.

    The protocol fixes what may be known of a group, not how to use it; positions are body centres, hence the margin.

    Args:
        keypoints: ``(N, K, 3)`` x, y in pixels and score; 0 = not predicted.
        regions_xyxy: ``(G, 4)`` boxes of one image's groups, from `group_region`.
        scale: ``(G,)`` mean scales.
        margin: how far outside of the box the centre of a person's box may lie, in heights of the group's mean person.

    Returns:
        ``(N,)`` int64 group, -1 = none (bystanders, who are not evaluated). The first in a tie.
    """
    if not np.isfinite(keypoints).all():
        raise ValueError("keypoints has a number that is not finite: a missing keypoint is 0, 0, 0")
    if not len(regions_xyxy):
        return np.full(len(keypoints), -1, dtype=np.int64)
    found = keypoints[:, :, 2:] != 0
    low = np.where(found, keypoints[:, :, :2], np.inf).min(axis=1)
    high = np.where(found, keypoints[:, :, :2], -np.inf).max(axis=1)
    centre = (low + np.maximum(low, high))[:, None] / 2  # (N, 1, 2), infinitely far without keypoints
    outside = np.maximum(regions_xyxy[:, :2] - centre, centre - regions_xyxy[:, 2:]).max(axis=2)  # (N, G) pixels
    distance = np.maximum(outside, 0) / (PERSON_HEIGHT * scale)
    return np.where(distance.min(axis=1) <= margin, distance.argmin(axis=1), -1)
