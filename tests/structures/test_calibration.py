"""Scores that say how often they are right keep the order of instances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from associative_embedding.structures.calibration import Calibration, from_pairs

MAP = Calibration(((0.0, 0.0), (0.2, 0.1), (0.5, 0.9), (1.0, 1.0)))


def test_scores_between_two_points_lie_on_their_line() -> None:
    scores = np.array([0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, -1.0], np.float32)
    expected = [0.0, 0.05, 0.1, 0.5, 0.9, 0.95, 1.0, 1.0, 0.0]
    assert MAP(scores) == pytest.approx(expected)
    assert MAP(scores).dtype == np.float32


def test_without_points_scores_stay() -> None:
    scores = np.array([0.3, 2.0], np.float32)
    assert Calibration()(scores) is scores
    assert not Calibration()


@given(
    st.lists(st.tuples(st.floats(0.001, 0.999), st.floats(0, 1)), max_size=12, unique_by=lambda pair: round(pair[0], 3))
)
def test_any_pairs_make_a_rising_map(pairs: list[tuple[float, float]]) -> None:
    calibration = from_pairs(sorted(pairs))
    scores = np.linspace(0, 1, 5001)
    assert (np.diff(calibration(scores)) > 0).all()


def test_pairs_that_rise_are_kept() -> None:
    assert from_pairs([(0.2, 0.1), (0.5, 0.9)]) == MAP


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ("text", "list of pairs"),
        ([1, 2], "list of pairs"),
        ([[0, 0], [1, "1"]], "list of pairs"),
        ([[0, 0], [1, True]], "list of pairs"),
        ([[0, 0], [1, 10**400]], "list of pairs"),
        ([[0, 0]], "2 to 64"),
        ([[0, 0], [0.5, 0.6], [0.6, 0.6], [1, 1]], "rise strictly"),
        ([[0, 0], [0.5, 0.6], [0.4, 0.7], [1, 1]], "rise strictly"),
        ([[0.1, 0], [1, 1]], "raw score 0 to 1"),
        ([[0, 0], [1, 1.2]], "rise strictly"),
        ([[0, 0], [float("nan"), 0.5], [1, 1]], "rise strictly"),
        ([[i / 99, i / 99] for i in range(100)], "2 to 64"),
    ],
)
def test_a_file_that_states_no_such_map_is_refused(values: object, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Calibration.from_values(values)
