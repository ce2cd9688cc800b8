"""Metrics of tracks: MOTA, IDF1, HOTA, and PoseTrack's MOTA of keypoints.

Their input is the same: for each frame, true and found instances with ids, and a similarity in [0, 1] for each pair of
them. The similarity may be the IoU of boxes or masks, or the OKS of keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from associative_embedding.structures.arrays import Array

ALPHAS = np.arange(0.05, 0.96, 0.05)  # the 19 localisation thresholds of HOTA
THRESHOLD = 0.5  # similarity of a match in MOTA and IDF1
NEARLY = 1e-9  # rounding error that a similarity may lie below a threshold and still reach it


@dataclass(frozen=True, eq=False)
class TrackFrame:
    """The n true and m found instances of one frame.

    Attributes:
        truth: ``(n,)`` int64 track ids, each once.
        found: ``(m,)`` int64 track ids, each once.
        similarity: ``(n, m)`` in [0, 1].

    Raises:
        ValueError: if the shapes do not fit together, or an id occurs twice.
    """

    truth: Array
    found: Array
    similarity: Array

    def __post_init__(self) -> None:
        if self.similarity.shape != (len(self.truth), len(self.found)):
            raise ValueError(f"similarity must be ({len(self.truth)}, {len(self.found)}), not {self.similarity.shape}")
        if len(set(self.truth.tolist())) < len(self.truth) or len(set(self.found.tolist())) < len(self.found):
            raise ValueError("an id occurs twice in a frame")


@dataclass(frozen=True)
class ClearCounts:
    """The counts of CLEAR MOT (Bernardin and Stiefelhagen, 2008).

    Attributes:
        matches: true instances with a match.
        misses: true instances without a match.
        false_positives: found instances without a match.
        switches: matches to another found track than the true track's last match.
    """

    matches: int
    misses: int
    false_positives: int
    switches: int

    @property
    def mota(self) -> float:
        """MOTA = 1 - (misses + false positives + switches) / true instances: 1 at best, and below 0 for many errors."""
        return 1 - (self.misses + self.false_positives + self.switches) / max(1, self.matches + self.misses)

    def __add__(self, other: ClearCounts) -> ClearCounts:
        return ClearCounts(
            self.matches + other.matches,
            self.misses + other.misses,
            self.false_positives + other.false_positives,
            self.switches + other.switches,
        )


def count_clear(frames: Sequence[TrackFrame], threshold: float = THRESHOLD) -> ClearCounts:
    """Matches true with found instances in each frame, and counts (Bernardin and Stiefelhagen, 2008).

    Tracks that were matched last stay matched while they are similar enough. The others are matched one to one, so that
    the sum of the similarities is highest.

    Args:
        frames: in time order.
        threshold: similarity of a match, in [0, 1].
    """
    last: dict[int, int] = {}  # true track id -> found track id of its last match
    matches = misses = false_positives = switches = 0
    for frame in frames:
        kept = np.array([[last.get(int(t)) == int(f) for f in frame.found] for t in frame.truth], bool)
        # 1000 is more than the similarities of a frame sum to, so that keeping a pair always wins
        weight = np.where(
            frame.similarity >= threshold - NEARLY, frame.similarity + 1000.0 * kept.reshape(frame.similarity.shape), 0
        )
        rows, columns = linear_sum_assignment(weight, maximize=True)
        good = weight[rows, columns] > 0  # the assignment is complete, and also pairs instances that do not match
        for row, column in zip(rows[good], columns[good], strict=True):
            true, found = int(frame.truth[row]), int(frame.found[column])
            switches += last.get(true, found) != found
            last[true] = found
        count = int(good.sum())
        matches += count
        misses += len(frame.truth) - count
        false_positives += len(frame.found) - count
    return ClearCounts(matches, misses, false_positives, switches)


def idf1(frames: Sequence[TrackFrame], threshold: float = THRESHOLD) -> float:
    """Identity F1, in [0, 1] (Ristani et al., 2016): 2 IDTP / (true + found instances).

    IDTP is the number of matches under the one-to-one map of whole tracks that has the most of them.
    """
    truth, found = known_ids(frames)
    agree = np.zeros((len(truth), len(found)))  # frames in which each pair of tracks is similar enough
    for frame in frames:
        rows, columns = np.searchsorted(truth, frame.truth), np.searchsorted(found, frame.found)
        agree[np.ix_(rows, columns)] += frame.similarity >= threshold - NEARLY
    right = agree[linear_sum_assignment(agree, maximize=True)].sum()
    total = sum(len(frame.truth) + len(frame.found) for frame in frames)
    return float(2 * right / max(1, total))


def hota(frames: Sequence[TrackFrame]) -> dict[str, float]:
    """Higher order tracking accuracy (Luiten et al., IJCV 2021), each number the mean over 19 localisation thresholds.

    Returns:
        in [0, 1]: ``DetA``, the accuracy of detection; ``AssA``, the accuracy of association of what is detected;
        ``HOTA``, the mean of the geometric means of both.
    """
    truth, found = known_ids(frames)
    places = [(np.searchsorted(truth, f.truth), np.searchsorted(found, f.found)) for f in frames]
    true_count = sum((np.bincount(rows, minlength=len(truth)) for rows, _ in places), np.zeros(len(truth)))
    found_count = sum((np.bincount(columns, minlength=len(found)) for _, columns in places), np.zeros(len(found)))
    alignment = track_alignment(frames, places, true_count, found_count)

    together = np.zeros((len(ALPHAS), len(truth), len(found)))  # matches of each pair of tracks, at each threshold
    for frame, (rows, columns) in zip(frames, places, strict=True):
        # one matching for all thresholds, which prefers pairs of tracks that belong together in the whole video
        i, j = linear_sum_assignment(alignment[np.ix_(rows, columns)] * frame.similarity, maximize=True)
        together[:, rows[i], columns[j]] += frame.similarity[i, j] >= ALPHAS[:, None] - NEARLY
    right = together.sum(axis=(1, 2))  # true positives, (19,)
    detection = right / np.maximum(1, true_count.sum() + found_count.sum() - right)
    union = np.maximum(1, true_count[:, None] + found_count - together)
    # each pair of tracks has the accuracy together / union, and counts once for each of its matches
    association = (together * together / union).sum(axis=(1, 2)) / np.maximum(1, right)
    return {
        "HOTA": float(np.sqrt(detection * association).mean()),
        "DetA": float(detection.mean()),
        "AssA": float(association.mean()),
    }


def track_alignment(
    frames: Sequence[TrackFrame], places: Sequence[tuple[Array, Array]], true_count: Array, found_count: Array
) -> Array:
    """``(T, F)`` in [0, 1]: the Jaccard index of true and found tracks over the whole video, before any matching.

    The global alignment score of the published HOTA code (TrackEval).

    Args:
        places: for each frame the rows and columns of its tracks.
        true_count: ``(T,)`` frames of each true track.
        found_count: ``(F,)`` frames of each found track.
    """
    possible = np.zeros((len(true_count), len(found_count)))
    for frame, (rows, columns) in zip(frames, places, strict=True):
        # a similarity counts less where an instance is similar to several
        sums = frame.similarity.sum(axis=1, keepdims=True) + frame.similarity.sum(axis=0) - frame.similarity
        possible[np.ix_(rows, columns)] += frame.similarity / np.maximum(sums, NEARLY)
    return np.asarray(possible / np.maximum(true_count[:, None] + found_count - possible, NEARLY))


def known_ids(frames: Sequence[TrackFrame]) -> tuple[Array, Array]:
    """Returns the ids of the true and of the found tracks of a video, sorted."""
    nothing = np.zeros(0, np.int64)  # np.concatenate needs an array, also for a video without frames
    truth = np.unique(np.concatenate([nothing, *(frame.truth for frame in frames)]))
    return truth, np.unique(np.concatenate([nothing, *(frame.found for frame in frames)]))


def count_keypoint_clear(
    frames: Sequence[tuple[Array, Array, Array, Array, Array]], share: float = 0.1
) -> list[ClearCounts]:
    """Counts CLEAR MOT for each keypoint type alone; each keypoint is an instance with the id of its person.

    PoseTrack's metric (Andriluka et al., CVPR 2018), whose largest distance is half a head. Not every skeleton has a
    head, so the distance here is a share of the person's size.

    Args:
        frames: for each frame the true ids ``(n,)``, keypoints ``(n, K, 3)`` x, y in pixels and visibility (0 = not
            labelled) and sizes ``(n,)`` (square root of the area, pixels); the found ids ``(m,)`` and keypoints
            ``(m, K, 3)`` x, y in pixels and score (0 = not found).
        share: largest distance of a match, as a share of the true person's size.

    Returns:
        K counts, to average their `ClearCounts.mota`; an empty list without frames.
    """
    if not frames:
        return []
    return [count_clear([frame_of_type(k, *frame, share) for frame in frames]) for k in range(frames[0][1].shape[1])]


def frame_of_type(
    k: int, truth: Array, true_keypoints: Array, size: Array, found: Array, found_keypoints: Array, share: float
) -> TrackFrame:
    """The keypoints of type `k` in one frame: similarity 1 at distance 0, and `THRESHOLD` at `share` of the size."""
    labelled, detected = true_keypoints[:, k, 2] > 0, found_keypoints[:, k, 2] > 0
    offset = true_keypoints[labelled, None, k, :2] - found_keypoints[None, detected, k, :2]  # (n, m, 2) pixels
    distance = np.linalg.norm(offset, axis=2) / np.maximum(NEARLY, share * size[labelled])[:, None]
    return TrackFrame(truth[labelled], found[detected], np.clip(1 - (1 - THRESHOLD) * distance, 0, 1))
