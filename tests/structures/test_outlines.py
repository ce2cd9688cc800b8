"""Polygons along the sides of pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.outlines import outlines


def filled(polygons: list[list[Array]], size: tuple[int, int]) -> Array:
    """The pixels whose centres lie inside, by the even-odd rule; each counted once."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    inside = np.zeros(size, int)
    for polygon in polygons:
        crossings = np.zeros(size, int)
        for ring in polygon:
            for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
                if x0 == x1:  # a vertical side crosses a horizontal ray to the right
                    crossings += (x < x0) & (min(y0, y1) < y) & (y < max(y0, y1))
        inside += crossings % 2
    return inside


def area(ring: Array) -> float:
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


@given(seed=st.integers(0, 10**6), height=st.integers(0, 9), width=st.integers(0, 9), share=st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_polygons_give_the_mask_again(seed: int, height: int, width: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    polygons = outlines(mask)
    assert np.array_equal(filled(polygons, mask.shape), mask.astype(int))
    if mask.size:
        assert len(polygons) == cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1
    for outer, *holes in polygons:
        assert area(outer) > 0
        assert all(area(hole) < 0 for hole in holes)


def test_a_square_has_four_corners_and_a_ring_a_hole() -> None:
    square = np.ones((3, 2), bool)
    ((ring,),) = outlines(square)
    first = ring.tolist().index([0, 0])
    assert np.roll(ring, -first, axis=0).tolist() == [[0, 0], [2, 0], [2, 3], [0, 3]]
    square = np.ones((3, 3), bool)
    square[1, 1] = False
    ((outer, hole),) = outlines(square)
    assert (area(outer), area(hole)) == (9, -1)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 2)])
def test_nothing_has_no_outline(shape: tuple[int, int]) -> None:
    assert outlines(np.zeros(shape, bool)) == []
