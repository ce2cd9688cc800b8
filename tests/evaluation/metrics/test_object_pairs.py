"""Pairs of objects: equal to the arrays of all pairs, and to trying every assignment."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.evaluation.metrics.object_pairs import common_pixels, match_objects, overlaps
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks


def matched(iou: Array, threshold: float) -> list[tuple[int, int]]:
    """The matches of a ``(T, F)`` array of overlaps."""
    row, column = np.nonzero(iou)
    kept = match_objects(row, column, iou[row, column], threshold)
    return list(zip(row[kept].tolist(), column[kept].tolist(), strict=True))


def best_total(iou: Array, threshold: float) -> tuple[int, float]:
    """Number and sum of the best assignment, by trying all."""
    rows, columns = iou.shape
    values = [
        [iou[t, f] for t, f in enumerate(chosen) if f < columns and iou[t, f] > threshold]
        for chosen in permutations(range(columns + rows), rows)
    ]
    return max((len(part), sum(part)) for part in values)


@pytest.mark.parametrize("count", [0, 3, 300])
def test_pairs_are_those_of_all_overlaps(count: int) -> None:
    rng = np.random.default_rng(count)
    corners = rng.integers(0, 90, (2, count, 2))
    crops = [tuple(rng.random((8, 8)) < 0.5 for _ in range(count)) for _ in range(2)]
    truth, found = (Masks((100, 100), *part) for part in zip(corners, crops, strict=True))
    row, column, common = common_pixels(truth, found)
    dense = truth.intersection(found)
    assert np.array_equal(np.stack([row, column]), np.stack(np.nonzero(dense)))
    assert np.array_equal(common, dense[row, column])
    assert np.array_equal(overlaps(truth, found)[2], truth.iou(found)[row, column])


def test_as_many_as_can_be_are_matched() -> None:
    """Greedy by IoU would give the first truth its best and leave the second none."""
    iou = np.array([[0.9, 0.6], [0.8, 0.1]])
    assert matched(iou, 0.5) == [(0, 1), (1, 0)]
    assert matched(iou, 0.7) == [(0, 0)]
    assert matched(np.array([[0.6, 0.7]]), 0.5) == [(0, 1)]
    long = np.zeros((3, 3))  # many high IoUs do not outweigh one more pair
    long[0, 0], long[0, 1], long[1, 1], long[1, 2], long[2, 2] = 0.51, 1, 0.51, 1, 0.51
    assert len(matched(long, 0.5)) == 3
    assert matched(np.zeros((0, 3)), 0.5) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_matches_are_the_best_of_all_assignments(seed: int) -> None:
    rng = np.random.default_rng(seed)
    iou = rng.random(rng.integers(1, 4, 2)) * (rng.random() < 0.9)
    pairs = matched(iou, 0.5)
    assert all(len(set(side)) == len(pairs) for side in zip(*pairs, strict=True))
    count, total = best_total(iou, 0.5)
    assert (len(pairs), sum(iou[pair] for pair in pairs)) == (count, pytest.approx(total))


def test_a_choice_among_thousands_is_quick() -> None:
    """Every true object is found twice; the better one of each pair is kept."""
    row = np.repeat(np.arange(20_000), 2)
    iou = np.where(np.arange(40_000) % 2, 0.9, 0.8)
    assert match_objects(row, np.arange(40_000), iou, 0.5).tolist() == list(range(1, 40_000, 2))
