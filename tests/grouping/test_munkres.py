"""Optimal, and of equal optima the one that the package munkres 1.1.4 returned (CASES: recorded from it)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from associative_embedding.grouping import ASSIGNMENT
from associative_embedding.grouping.munkres import published_assignment

CASES = [
    ([[2, 1, 2], [2, 1, 2], [2, 0, 0]], [(0, 1), (1, 0), (2, 2)]),
    ([[0, 0, 2, 2], [0, 1, 2, 0], [2, 0, 1, 2], [0, 1, 0, 2]], [(0, 0), (1, 3), (2, 1), (3, 2)]),
    ([[0, 2, 1, 1, 1], [1, 1, 1, 2, 2], [2, 2, 1, 1, 2]], [(0, 0), (1, 1), (2, 2)]),
    ([[1, 0, 2], [0, 2, 1], [0, 0, 1], [0, 0, 1], [2, 1, 2]], [(1, 0), (2, 2), (3, 1)]),
    (
        [
            [2, 2, 1, 1, 1, 0],
            [1, 1, 0, 2, 0, 0],
            [0, 2, 2, 2, 0, 2],
            [1, 1, 0, 1, 2, 1],
            [0, 1, 0, 2, 2, 0],
            [1, 2, 2, 2, 1, 0],
        ],
        [(0, 3), (1, 4), (2, 0), (3, 2), (4, 1), (5, 5)],
    ),
    ([[2, 1, 0, 0, 1, 2], [1, 1, 2, 2, 1, 1]], [(0, 2), (1, 0)]),
]


@pytest.mark.parametrize(("cost", "expected"), CASES)
def test_ties_are_broken_as_munkres_breaks_them(cost: list[list[int]], expected: list[tuple[int, int]]) -> None:
    rows, columns = published_assignment(-np.array(cost, dtype=float))
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == expected


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (9, 4), (4, 9), (30, 30), (70, 20)])
@pytest.mark.parametrize("seed", range(3))
def test_the_sum_is_the_greatest(shape: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.random((shape[0], 1)) - 100 * np.round(rng.exponential(2, shape))
    rows, columns = published_assignment(weight)
    assert len(rows) == len(set(columns.tolist())) == min(shape)
    assert sorted(set(rows.tolist())) == rows.tolist()
    best = weight[linear_sum_assignment(weight, maximize=True)].sum()
    assert weight[rows, columns].sum() == pytest.approx(best)


def test_nobody_to_choose_from() -> None:
    for shape in ((0, 0), (3, 0), (0, 3)):
        assert [len(part) for part in ASSIGNMENT["published"](np.zeros(shape))] == [0, 0]
