"""Colours by CIELAB."""

from __future__ import annotations

import numpy as np
import pytest

from associative_embedding.drawing.palette import COLOURS, FIRST, _lab, colour_distance, palette


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [  # published values of sRGB's corners, D65
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
    ],
)
def test_cielab(rgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    assert _lab(np.array([rgb]))[0] == pytest.approx(lab, abs=0.05)


def test_colours_are_bright_and_far_apart() -> None:
    colours = palette(COLOURS)
    assert [tuple(colour) for colour in colours[: len(FIRST)].tolist()] == list(FIRST)
    assert len(np.unique(colours, axis=0)) == COLOURS
    distance = colour_distance(colours) + 1e3 * np.eye(COLOURS)
    assert distance.min() > 10
    assert np.array_equal(palette(COLOURS + 3)[COLOURS:], colours[:3])
