"""MOTA, IDF1, HOTA: cases worked out by hand, and a slow and plain second implementation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.evaluation.metrics.tracking import (
    ALPHAS,
    ClearCounts,
    TrackFrame,
    count_clear,
    count_keypoint_clear,
    hota,
    idf1,
)


def frame(truth: Sequence[int], found: Sequence[int], similarity: object = None) -> TrackFrame:
    shape = (len(truth), len(found))
    table = np.zeros(shape) if similarity is None else np.array(similarity, float).reshape(shape)
    return TrackFrame(np.array(truth, np.int64), np.array(found, np.int64), table)


def test_a_track_that_breaks_in_the_middle() -> None:
    frames = [frame([1], [7], [1])] * 2 + [frame([1], [8], [1])] * 2
    assert count_clear(frames) == ClearCounts(4, 0, 0, 1)
    assert count_clear(frames).mota == 0.75
    assert idf1(frames) == 0.5  # 2 of 4 true and of 4 found
    numbers = hota(frames)
    assert numbers["DetA"] == pytest.approx(1)
    assert numbers["AssA"] == pytest.approx(0.5)  # each match: together 2 of the union 4
    assert numbers["HOTA"] == pytest.approx(math.sqrt(0.5))


def test_two_that_swap() -> None:
    same, swapped = np.eye(2), np.eye(2)[::-1]
    frames = [frame([1, 2], [1, 2], same)] * 3 + [frame([1, 2], [1, 2], swapped)]
    assert count_clear(frames) == ClearCounts(8, 0, 0, 2)
    assert idf1(frames) == pytest.approx(6 / 8)
    # of 8 matches 6 have 3 / (4 + 4 - 3), 2 have 1 / (4 + 4 - 1)
    assert hota(frames)["AssA"] == pytest.approx((6 * 3 / 5 + 2 * 1 / 7) / 8)


def test_misses_and_false_positives() -> None:
    frames = [frame([1], [1], [0.6]), frame([1], []), frame([], [1]), frame([1], [1], [0.4])]
    assert count_clear(frames) == ClearCounts(1, 2, 2, 0)
    assert count_clear(frames).mota == pytest.approx(1 - 4 / 3)
    assert idf1(frames) == pytest.approx(2 / 6)
    # at thresholds up to 0.4 both are right, up to 0.6 one
    detection = np.array([2 / 4] * 8 + [1 / 5] * 4 + [0] * 7)
    assert hota(frames)["DetA"] == pytest.approx(detection.mean())


def test_who_was_matched_stays_matched() -> None:
    frames = [frame([1], [5], [0.9]), frame([1], [5, 6], [0.6, 0.95])]
    assert count_clear(frames) == ClearCounts(2, 0, 1, 0)


def test_nothing_at_all() -> None:
    assert count_clear([]).mota == 1
    assert idf1([]) == 0
    assert hota([frame([], [])])["HOTA"] == 0
    assert count_keypoint_clear([]) == []


def test_an_id_may_occur_once_in_a_frame() -> None:
    with pytest.raises(ValueError, match="twice"):
        frame([1, 1], [2], [1, 1])
    with pytest.raises(ValueError, match="similarity"):
        TrackFrame(np.array([1]), np.array([2]), np.zeros((2, 1)))


def best_map(score: dict[tuple[int, int], float], left: list[int], right: list[int]) -> float:
    """The greatest sum of a one-to-one map, by trying all."""
    if len(left) > len(right):
        score, left, right = {(b, a): v for (a, b), v in score.items()}, right, left
    return max(
        sum(score.get(pair, 0) for pair in zip(left, chosen, strict=True))
        for chosen in itertools.permutations(right, len(left))
    )


videos = st.lists(
    st.tuples(st.sets(st.integers(1, 3)), st.sets(st.integers(1, 3)), st.integers(0, 10**6)), min_size=1, max_size=6
)


@given(videos)
@settings(deadline=None, max_examples=150)
def test_against_plain_definitions(video: list[tuple[set[int], set[int], int]]) -> None:
    frames = []
    for truth, found, seed in video:
        table = np.random.default_rng(seed).uniform(0.1, 1, (len(truth), len(found)))
        frames.append(frame(sorted(truth), sorted(found), table))
    pairs = [(f.truth.tolist(), f.found.tolist(), f.similarity) for f in frames]
    agree: dict[tuple[int, int], float] = {}
    for truth, found, table in pairs:
        for (i, a), (j, b) in itertools.product(enumerate(truth), enumerate(found)):
            agree[a, b] = agree.get((a, b), 0) + (table[i, j] >= 0.5)
    total = sum(len(t) + len(f) for t, f, _ in pairs)
    expected = 2 * best_map(agree, [1, 2, 3], [1, 2, 3]) / total if total else 0
    assert idf1(frames) == pytest.approx(expected)
    counts = count_clear(frames)
    assert counts.matches + counts.misses == sum(len(t) for t, _, _ in pairs)
    assert counts.matches + counts.false_positives == sum(len(f) for _, f, _ in pairs)
    numbers = hota(frames)
    assert 0 <= numbers["HOTA"] <= 1
    assert numbers["HOTA"] <= math.sqrt(numbers["DetA"] * numbers["AssA"]) + 1e-9  # Cauchy and Schwarz
    renamed = [TrackFrame(f.truth + 10, 50 - f.found, f.similarity) for f in frames]
    assert hota(renamed) == pytest.approx(numbers)
    assert (count_clear(renamed).matches, count_clear(renamed).switches) == (counts.matches, counts.switches)


def test_the_truth_itself_is_perfect() -> None:
    frames = [frame([1, 2], [4, 9], np.eye(2)) for _ in ALPHAS]
    assert count_clear(frames).mota == idf1(frames) == 1
    assert hota(frames) == pytest.approx({"HOTA": 1, "DetA": 1, "AssA": 1})


def test_keypoints_are_objects_of_their_own() -> None:
    truth = np.array([[[0, 0, 2], [10, 0, 2], [20, 0, 0]]], float)
    found = np.array([[[0, 0.5, 1], [13, 0, 1], [20, 0, 1]]], float)
    video = [(np.array([1]), truth, np.array([10.0]), np.array([3]), found)] * 2
    nose, knee, unlabelled = count_keypoint_clear(video, share=0.1)  # within 1 pixel
    assert nose == ClearCounts(2, 0, 0, 0)
    assert knee == ClearCounts(0, 2, 2, 0)
    assert unlabelled == ClearCounts(0, 0, 2, 0)
