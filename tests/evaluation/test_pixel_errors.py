"""Distances in pixels of people who are matched to the right ones."""

from __future__ import annotations

import numpy as np
import pytest

from associative_embedding.evaluation.pixel_errors import PixelErrors, pixel_errors

SIGMAS = np.full(3, 0.1)


def people(*corners: tuple[float, float]) -> np.ndarray:
    """People of three keypoints, 100 pixels wide."""
    shape = np.array([[0, 0, 2], [100, 0, 2], [0, 50, 2]], np.float32)
    return np.stack([shape + np.array([x, y, 0], np.float32) for x, y in corners])


def test_each_person_is_compared_with_the_one_that_fits() -> None:
    truth = people((0, 0), (300, 0))
    found = people((303, 4), (0, 1))  # in another order
    errors = pixel_errors(found, truth, np.full(2, 5000.0), SIGMAS)
    assert sorted(errors.distances) == pytest.approx([1, 1, 1, 5, 5, 5], abs=1e-5)
    assert errors.numbers() == {"PCK": 1.0, "pixel_error": pytest.approx(3, abs=1e-5)}


def test_missing_keypoints_and_people_count_in_pck_alone() -> None:
    truth, found = people((0, 0), (300, 0)), people((2, 0))
    found[0, 1] = 0
    truth[0, 2, 2] = 0  # not labelled
    errors = pixel_errors(found, truth, np.full(2, 5000.0), SIGMAS)
    assert errors.distances == pytest.approx([2])
    assert (errors.near, errors.labelled) == (1, 5)
    nobody = pixel_errors(found[:0], truth, np.full(2, 5000.0), SIGMAS)
    assert (nobody + errors).labelled == 10
    assert nobody.numbers() == {"PCK": 0.0, "pixel_error": None}
    assert PixelErrors().numbers() == {"PCK": None, "pixel_error": None}


def test_somebody_far_away_is_nobody() -> None:
    errors = pixel_errors(people((1e5, 1e5)), people((0, 0)), np.full(1, 5000.0), SIGMAS)
    assert errors == PixelErrors((), 0, 3)
