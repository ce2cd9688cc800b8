"""How well instances keep their identity: MOTA, IDF1, HOTA, and PoseTrack's MOTA of keypoints.

All of them see a video as frames of true and found instances with ids and a similarity in [0, 1] between them, of
whatever kind (IoU of boxes or masks, OKS of keypoints).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from associative_embedding.structures.arrays import Array

ALPHAS = np.arange(0.05, 0.96, 0.05)  # localisation thresholds of HOTA
THRESHOLD = 0.5  # of MOTA and IDF1
NEARLY = 1e-9  # a similarity so little below a threshold has reached it


@dataclass(frozen=True, eq=False)
class TrackFrame:
    """One frame.

    Attributes:
        truth: ``(n,)`` int64 ids, each once.
        found: ``(m,)`` int64 ids, each once.
        similarity: ``(n, m)`` in [0, 1].
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
class Clear:
    """The counts of CLEAR MOT (Bernardin and Stiefelhagen, 2008).

    Attributes:
        matches, misses, false_positives: of instances.
        switches: a true one is matched by another id than the last time.
    """

    matches: int
    misses: int
    false_positives: int
    switches: int

    @property
    def mota(self) -> float:
        """1 - (misses + false positives + switches) / true instances; below 0 when there are more faults than those."""
        return 1 - (self.misses + self.false_positives + self.switches) / max(1, self.matches + self.misses)

    def __add__(self, other: Clear) -> Clear:
        return Clear(
            self.matches + other.matches,
            self.misses + other.misses,
            self.false_positives + other.false_positives,
            self.switches + other.switches,
        )


def clear(frames: Sequence[TrackFrame], threshold: float = THRESHOLD) -> Clear:
    """Matches frame by frame, in time order: who was matched before stays so while similar enough, then the most."""
    last: dict[int, int] = {}
    matches = misses = false_positives = switches = 0
    for frame in frames:
        kept = np.array([[last.get(int(t)) == int(f) for f in frame.found] for t in frame.truth], bool)
        worth = np.where(
            frame.similarity >= threshold - NEARLY, frame.similarity + 1000.0 * kept.reshape(frame.similarity.shape), 0
        )
        rows, columns = linear_sum_assignment(worth, maximize=True)
        good = worth[rows, columns] > 0
        for row, column in zip(rows[good], columns[good], strict=True):
            true, found = int(frame.truth[row]), int(frame.found[column])
            switches += last.get(true, found) != found
            last[true] = found
        count = int(good.sum())
        matches += count
        misses += len(frame.truth) - count
        false_positives += len(frame.found) - count
    return Clear(matches, misses, false_positives, switches)


def idf1(frames: Sequence[TrackFrame], threshold: float = THRESHOLD) -> float:
    """Identity F1 (Ristani et al., 2016): of the one-to-one map of whole tracks that agrees most often."""
    truth, found = known_ids(frames)
    agree = np.zeros((len(truth), len(found)))
    for frame in frames:
        rows, columns = np.searchsorted(truth, frame.truth), np.searchsorted(found, frame.found)
        agree[np.ix_(rows, columns)] += frame.similarity >= threshold - NEARLY
    right = agree[linear_sum_assignment(agree, maximize=True)].sum()
    total = sum(len(frame.truth) + len(frame.found) for frame in frames)
    return float(2 * right / max(1, total))


def hota(frames: Sequence[TrackFrame]) -> dict[str, float]:
    """Higher order tracking accuracy (Luiten et al., IJCV 2021), each the mean over 19 localisation thresholds.

    Returns:
        ``HOTA``, the geometric mean of ``DetA`` (are they found?) and ``AssA`` (is a found one's track the right one?).
    """
    truth, found = known_ids(frames)
    places = [(np.searchsorted(truth, f.truth), np.searchsorted(found, f.found)) for f in frames]
    true_count = sum((np.bincount(rows, minlength=len(truth)) for rows, _ in places), np.zeros(len(truth)))
    found_count = sum((np.bincount(columns, minlength=len(found)) for _, columns in places), np.zeros(len(found)))
    possible = np.zeros((len(truth), len(found)))
    for frame, (rows, columns) in zip(frames, places, strict=True):
        sums = frame.similarity.sum(axis=1, keepdims=True) + frame.similarity.sum(axis=0) - frame.similarity
        possible[np.ix_(rows, columns)] += frame.similarity / np.maximum(sums, NEARLY)
    alignment = possible / np.maximum(true_count[:, None] + found_count - possible, NEARLY)

    together = np.zeros((len(ALPHAS), len(truth), len(found)))
    for frame, (rows, columns) in zip(frames, places, strict=True):
        i, j = linear_sum_assignment(alignment[np.ix_(rows, columns)] * frame.similarity, maximize=True)
        together[:, rows[i], columns[j]] += frame.similarity[i, j] >= ALPHAS[:, None] - NEARLY
    right = together.sum(axis=(1, 2))
    detection = right / np.maximum(1, true_count.sum() + found_count.sum() - right)
    union = np.maximum(1, true_count[:, None] + found_count - together)
    association = (together * together / union).sum(axis=(1, 2)) / np.maximum(1, right)
    return {
        "HOTA": float(np.sqrt(detection * association).mean()),
        "DetA": float(detection.mean()),
        "AssA": float(association.mean()),
    }


def known_ids(frames: Sequence[TrackFrame]) -> tuple[Array, Array]:
    """The true and the found ids of a video, sorted."""
    nothing = np.zeros(0, np.int64)
    truth = np.unique(np.concatenate([nothing, *(frame.truth for frame in frames)]))
    return truth, np.unique(np.concatenate([nothing, *(frame.found for frame in frames)]))


def keypoint_clear(frames: Sequence[tuple[Array, Array, Array, Array, Array]], share: float = 0.1) -> list[Clear]:
    """CLEAR MOT of each keypoint type alone, as PoseTrack has it: a keypoint is an object whose id is its person's.

    PoseTrack's distance is half a head; not every skeleton has one, so here it is a share of the person's size.

    Args:
        frames: of each the true ids ``(n,)``, keypoints ``(n, K, 3)`` x, y, visibility (0 = not labelled) and sizes
            ``(n,)`` pixels (the root of the area); the found ids ``(m,)`` and keypoints ``(m, K, 3)`` x, y, score.
        share: of the size, within which a keypoint is found.

    Returns:
        K counts; their `Clear.mota` is averaged.
    """
    if not frames:
        return []
    return [clear([_keypoint_frame(k, *frame, share) for frame in frames]) for k in range(frames[0][1].shape[1])]


def _keypoint_frame(
    k: int, truth: Array, true_keypoints: Array, size: Array, found: Array, found_keypoints: Array, share: float
) -> TrackFrame:
    """The keypoints of one type in a frame; similar by 1 at distance 0, and by `THRESHOLD` at the share of the size."""
    labelled, seen = true_keypoints[:, k, 2] > 0, found_keypoints[:, k, 2] > 0
    apart = true_keypoints[labelled, None, k, :2] - found_keypoints[None, seen, k, :2]
    distance = np.linalg.norm(apart, axis=2) / np.maximum(NEARLY, share * size[labelled])[:, None]
    return TrackFrame(truth[labelled], found[seen], np.clip(1 - (1 - THRESHOLD) * distance, 0, 1))
