"""Texts are placed where they hide little, and stay on the picture."""

from __future__ import annotations

import numpy as np
import pytest

from associative_embedding.drawing.canvas import Plate, font_size, meets, plate_size
from associative_embedding.drawing.labels import (
    HEAD,
    PLATE,
    POINT,
    Label,
    _covers,
    draw_labels,
    draw_legend,
    draw_names,
    places,
)

SIZE = (200, 300)
COLOUR = (200, 30, 30)


def label(x: float, y: float, text: str = "0.87") -> Label:
    return Label(text, np.array([x, y]), 8.0, np.array([0.0, -1.0]), 14, COLOUR)


def drawn(*labels: Label, points: np.ndarray | None = None) -> list[Plate]:
    canvas, taken = np.zeros((*SIZE, 3), np.uint8), list[Plate]()
    draw_labels(canvas, labels, np.zeros((0, 2)) if points is None else points, taken)
    assert canvas.any() == bool(labels)
    return taken


def test_a_label_lies_above_the_head() -> None:
    (plate,) = drawn(label(150, 100))
    left, _, right, bottom = plate
    assert bottom <= 100
    assert left <= 150 <= right


def test_labels_of_neighbours_do_not_cover_each_other() -> None:
    plates = drawn(*(label(140 + 12 * i, 100) for i in range(4)))
    assert len(plates) == 4
    for i, plate in enumerate(plates):
        assert not meets(plate, plates[:i])


def test_what_a_place_hides_is_counted() -> None:
    """Against a count by pixels and by points."""
    rng = np.random.default_rng(1)
    corner, size = rng.integers(0, 40, (12, 2)), rng.integers(1, 15, (12, 2))
    plates = np.concatenate([corner, corner + size], axis=1)
    taken: list[Plate] = [(5, 5, 20, 12), (10, 8, 30, 30)]
    heads, points = rng.uniform(0, 50, (5, 2)), rng.uniform(0, 50, (40, 2))
    covered = np.zeros((60, 60))
    for x0, y0, x1, y1 in taken:
        covered[y0:y1, x0:x1] += 1
    expected = []
    for x0, y0, x1, y1 in plates.tolist():
        inside = [sum(x0 <= x < x1 and y0 <= y < y1 for x, y in group.tolist()) for group in (heads, points)]
        expected.append(PLATE * covered[y0:y1, x0:x1].mean() + HEAD * inside[0] + POINT * inside[1])
    np.testing.assert_allclose(_covers(plates, taken, heads, points), expected)
    assert max(expected) > min(expected)


def test_labels_stay_on_the_picture() -> None:
    for x, y in ((2, 2), (298, 2), (2, 198), (298, 198)):
        for plate in places(label(x, y, "#12 0.87"), SIZE)[0]:
            left, top, right, bottom = plate
            assert left >= 0
            assert top >= 0
            assert right <= SIZE[1]
            assert bottom <= SIZE[0]


def test_the_font_grows_with_the_picture() -> None:
    sizes = [font_size(np.zeros((side, side, 3), np.uint8)) for side in (100, 800, 4000)]
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]
    assert plate_size("0.87", sizes[-1])[0] > plate_size("0.87", sizes[0])[0]


def test_names_and_a_legend_are_written() -> None:
    canvas, taken = np.zeros((*SIZE, 3), np.uint8), list[Plate]()
    xy = np.array([[60.0, 60.0], [200.0, 60.0]])
    draw_names(canvas, ["left_wing", "head"], xy, 6.0, taken)
    assert len(taken) == 2
    before = canvas.copy()
    draw_legend(canvas, [("left", (0, 255, 255)), ("right", (255, 128, 0))], xy, taken)
    assert (canvas != before).any()


def test_where_there_is_no_room_no_name_is_written() -> None:
    canvas = np.zeros((*SIZE, 3), np.uint8)
    draw_names(canvas, ["head"], np.array([[60.0, 60.0]]), 6.0, [(0, 0, SIZE[1], SIZE[0])])
    assert not canvas.any()


@pytest.mark.parametrize("size", [(8, 400), (14, 400), (300, 30), (1, 1)])
def test_a_picture_that_is_too_small_has_no_legend(size: tuple[int, int]) -> None:
    canvas, taken = np.zeros((*size, 3), np.uint8), list[Plate]()
    draw_legend(canvas, [("left", COLOUR), ("middle", COLOUR)], np.zeros((0, 2)), taken)
    assert not canvas.any()
    assert not taken
