"""Lines, dots, colours and sheets of pictures."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from associative_embedding.drawing.canvas import contact_sheet, draw_dot, draw_line, draw_lines
from associative_embedding.drawing.palette import palette
from support.pictures import canvas

Array = np.ndarray[Any, np.dtype[Any]]


def test_drawing_is_sub_pixel_and_centred() -> None:
    def centroid(shift: float) -> Array:
        image = canvas(255, (41, 41))
        draw_dot(image, (20.5 + shift, 20.5), 5.0, (0, 0, 0), rim=0.0)
        weight = 255.0 - image[:, :, 0]
        y, x = np.mgrid[:41, :41] + 0.5
        return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()

    for shift in (0.0, 0.25, 0.5):
        np.testing.assert_allclose(centroid(shift), [20.5 + shift, 20.5], atol=0.12)


def test_line_width() -> None:
    for radius in (1.0, 2.5, 4.0):
        image = canvas(0, (41, 81))
        draw_line(image, (10, 20.5), (70, 20.5), radius, (255, 255, 255))
        assert image[:, 40, 0].sum() / 255 == pytest.approx(2 * radius, abs=0.3)


def test_many_lines_are_drawn_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    ends, radius = rng.uniform(-5, 60, (30, 2, 2)), rng.uniform(0.5, 5, 30)
    ends[0, 1] = ends[0, 0]  # without a direction
    together, alone = canvas(90, (50, 50)), canvas(90, (50, 50))
    draw_lines(together, ends, radius, (255, 120, 0))
    for (a, b), half in zip(ends, radius, strict=True):
        draw_line(alone, a, b, half, (255, 120, 0))
    np.testing.assert_array_equal(together, alone)
    assert (together != 90).any()
    draw_lines(alone, ends[:0], radius[:0], (0, 0, 0))
    np.testing.assert_array_equal(together, alone)


def test_palette() -> None:
    assert palette(0).shape == (0, 3)
    np.testing.assert_array_equal(palette(500)[:7], palette(7))
    lab = cv2.cvtColor((palette(24)[None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 1000 * np.eye(24)
    assert distance.min() > 20
    assert np.diag(distance[:8], 1).min() > 60  # neighbours
    assert lab[:, 0].min() > 45
    assert len(np.unique(palette(100), axis=0)) == 100


def test_contact_sheet() -> None:
    sheet = contact_sheet([canvas(v, s) for v, s in ((1, (4, 6)), (2, (2, 2)), (3, (4, 6)))], 2, gap=2)
    assert sheet.shape == (10, 14, 3)
    assert (sheet[:4, :6] == 1).all()
    assert (sheet[1:3, 10:12] == 2).all()
    assert (sheet[6:, :6] == 3).all()
    assert (sheet[6:, 6:] == 255).all()
    with pytest.raises(ValueError, match="needs pictures and columns"):
        contact_sheet([], 2)
