"""MPII Multi-Person average precision (the paper's table 1) and single-person PCKh, on arrays.

The rules follow the published evaluation (Pishchulin et al., DeepCut, CVPR 2016; its MATLAB code is on
human-pose.mpi-inf.mpg.de). Keypoints are the 16 of `MPII_16`, in MPII's own order. 14 of them count: pelvis and thorax
do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from associative_embedding.evaluation.metrics.ranking import mean_of_defined, ranked_precision
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.known_skeletons import MPII_16

# the columns of the paper's table 1; MPII calls the neck and the top of the head together "head"
COLUMNS: dict[str, tuple[str, str]] = {
    "Head": ("upper_neck", "head_top"),
    "Shoulder": ("right_shoulder", "left_shoulder"),
    "Elbow": ("right_elbow", "left_elbow"),
    "Wrist": ("right_wrist", "left_wrist"),
    "Hip": ("right_hip", "left_hip"),
    "Knee": ("right_knee", "left_knee"),
    "Ankle": ("right_ankle", "left_ankle"),
}
COUNTED = np.array([MPII_16.index[name] for pair in COLUMNS.values() for name in pair])  # (14,) indices into MPII_16


@dataclass(frozen=True)
class PeopleGroup:
    """The P predicted and T true people of one group; a group is evaluated on its own.

    Attributes:
        predicted: ``(P, 16, 3)`` x, y in pixels and the score of the keypoint; score 0 = not predicted.
        truth: ``(T, 16, 3)`` x, y in pixels and visibility; > 0 is annotated.
        head_size: ``(T,)`` pixels, see `head_sizes`.

    Raises:
        ValueError: for a wrong shape, a number that is not finite, or a head size that is not above 0.
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
                raise ValueError(f"{name} has a number that is not finite: write a missing keypoint as 0, 0, 0")
        if self.head_size.shape != self.truth.shape[:1]:
            raise ValueError(f"head_size must be (T,) = ({len(self.truth)},), not {self.head_size.shape}")
        if not ((self.head_size > 0) & np.isfinite(self.head_size)).all():
            raise ValueError("head_size must be above 0 for every true person: check the head boxes")


def head_sizes(boxes_xyxy: Array) -> Array:
    """``(N, 4)`` head boxes -> ``(N,)`` head sizes in pixels: 0.6 x the diagonal, as the published evaluation does."""
    size: Array = 0.6 * np.hypot(boxes_xyxy[:, 2] - boxes_xyxy[:, 0], boxes_xyxy[:, 3] - boxes_xyxy[:, 1])
    return size


def mpii_multiperson_ap(groups: Iterable[PeopleGroup], *, threshold: float = 0.5) -> dict[str, float | None]:
    """Returns the average precision of keypoint detections, in percent.

    One difference from the published code: it leaves out the annotated keypoints of a group without any prediction.
    Here they count as missed, so that predicting nothing is never an advantage.

    Args:
        groups: all groups of the evaluated set, each with the predictions in its region (`mpii_groups`).
        threshold: largest distance of a correct keypoint, in head sizes.

    Returns:
        Head, Shoulder, Elbow, Wrist, Hip, Knee, Ankle (each the mean of two keypoint types) and Total (mean over the 14
        types), in [0, 100]. A type without annotations does not count; None if no type is left.
    """
    # an empty first part: np.concatenate needs one if there are no groups
    scores: list[Array] = [np.zeros((0, len(COUNTED)))]
    labels: list[Array] = [np.zeros((0, len(COUNTED)), dtype=bool)]
    annotated = np.zeros(len(COUNTED), dtype=np.int64)  # number of each type
    for group in groups:
        scores.append(group.predicted[:, COUNTED, 2])
        labels.append(true_positives(group, threshold))
        annotated += (group.truth[:, COUNTED, 2] > 0).sum(axis=0)
    score, label = np.concatenate(scores), np.concatenate(labels)
    predicted = score != 0
    ap = {
        MPII_16.keypoints[index]: 100 * average_precision(score[predicted[:, i], i], label[predicted[:, i], i], total)
        for i, (index, total) in enumerate(zip(COUNTED, annotated.tolist(), strict=True))
        if total
    }
    return column_means(ap) | {"Total": mean_of_defined(ap.values())}


def correct_keypoints(predicted: Array, truth: Array, size: Array, threshold: float) -> Array:
    """For each pair of people the keypoints that are predicted, annotated, and at most `threshold` head sizes apart.

    Args:
        predicted: ``(P, K, 3)`` x, y in pixels and score; 0 = not predicted.
        truth: ``(T, K, 3)`` x, y in pixels and visibility; 0 = not annotated.
        size: ``(T,)`` head sizes, in pixels.

    Returns:
        ``(P, T, K)`` bool.
    """
    distance = np.linalg.norm(predicted[:, None, :, :2] - truth[None, :, :, :2], axis=-1) / size[:, None]
    correct: Array = (distance <= threshold) & (predicted[:, None, :, 2] != 0) & (truth[None, :, :, 2] > 0)
    return correct


def assign_people(correct: Array, annotated: Array) -> Array:
    """Returns the true person of each prediction, ``(P,)`` int64, -1 = none (function assignGTmulti of MPII's code).

    Each prediction keeps only the true person with its highest PCKh. Then each true person takes the prediction with
    the highest PCKh of those that kept it, or none if no keypoint is correct. In a tie the first counts.

    Args:
        correct: ``(P, T, K)`` bool, see `correct_keypoints`.
        annotated: ``(T, K)`` bool.
    """
    assigned = np.full(correct.shape[0], -1, dtype=np.int64)
    if 0 in correct.shape:  # argmax of an empty axis is an error
        return assigned
    pck = correct.sum(axis=2) / np.maximum(annotated.sum(axis=1), 1)  # (P, T)
    kept = np.where(np.arange(pck.shape[1]) == pck.argmax(axis=1)[:, None], pck, 0)
    taken = np.flatnonzero(kept.max(axis=0) > 0)  # true people with a prediction
    assigned[kept.argmax(axis=0)[taken]] = taken
    return assigned


def true_positives(group: PeopleGroup, threshold: float) -> Array:
    """``(P, 14)`` bool: the predicted keypoint is correct for the true person to whom its person is assigned.

    All keypoints of a prediction without a true person are false positives, wherever they lie.
    """
    predicted, truth = group.predicted[:, COUNTED], group.truth[:, COUNTED]
    correct = correct_keypoints(predicted, truth, group.head_size, threshold)
    assigned = assign_people(correct, truth[:, :, 2] > 0)
    label = np.zeros(predicted.shape[:2], dtype=bool)
    rows = np.flatnonzero(assigned >= 0)
    label[rows] = correct[rows, assigned[rows]]
    return label


def average_precision(score: Array, label: Array, total: int) -> float:
    """Area under the precision-recall curve of one keypoint type, in [0, 1]; see `ranked_precision`.

    Args:
        score: ``(M,)``. Of equal scores the later one counts first, as in the published code.
        label: ``(M,)`` bool, true positive.
        total: number of annotated keypoints, above 0.
    """
    return ranked_precision(label[np.argsort(score, kind="stable")[::-1]], total)


def pckh(predicted: Array, truth: Array, size: Array, *, threshold: float = 0.5) -> dict[str, float | None]:
    """Percentage of correct keypoints, PCKh (Andriluka et al., CVPR 2014), of people whose predictions are known.

    Args:
        predicted: ``(N, 16, 3)`` as in `PeopleGroup`; row i is the prediction of person i.
        truth: ``(N, 16, 3)`` as in `PeopleGroup`.
        size: ``(N,)`` head sizes, in pixels.
        threshold: largest distance of a correct keypoint, in head sizes. A keypoint that is not predicted is wrong.

    Returns:
        Head ... Ankle (each the mean of two keypoint types) and Total (of all annotated keypoints of the 14 types), in
        [0, 100]; None where nothing is annotated.

    Raises:
        ValueError: if the shapes differ; otherwise as `PeopleGroup`.
    """
    if predicted.shape != truth.shape:
        raise ValueError(
            f"predicted and truth must be row by row the same people, not {predicted.shape}, {truth.shape}"
        )
    people = PeopleGroup(predicted, truth, size)  # checks them
    diagonal = np.arange(len(truth))  # of all pairs only person i with prediction i
    right = correct_keypoints(people.predicted, people.truth, people.head_size, threshold)[
        diagonal, diagonal
    ]  # (N, 16)
    annotated = truth[:, :, 2] > 0
    rate = {
        MPII_16.keypoints[i]: 100 * float(right[:, i].sum() / annotated[:, i].sum())
        for i in COUNTED
        if annotated[:, i].any()
    }
    total = int(annotated[:, COUNTED].sum())
    # a mean over keypoints, while the columns are means over types
    return column_means(rate) | {"Total": 100 * float(right[:, COUNTED].sum() / total) if total else None}


def column_means(values: Mapping[str, float]) -> dict[str, float | None]:
    """Keypoint name -> value becomes column -> mean of its two types; None without either."""
    return {
        column: mean_of_defined([values[name] for name in names if name in values]) for column, names in COLUMNS.items()
    }
