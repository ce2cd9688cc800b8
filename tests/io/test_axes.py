"""The dimensions of an array: which number on each of them a plane has, whatever their order."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from associative_embedding.io.axes import Axes, axes_of_array, channel_names, stack_of_array
from associative_embedding.io.image_limits import ImageError
from associative_embedding.structures.windows import Window

SIZES = {"t": 2, "z": 3, "c": 4, "y": 5, "x": 6}
VALUES = np.arange(720, dtype=np.uint16).reshape(2, 3, 4, 5, 6)  # t, z, c, y, x
WHOLE: Window = (slice(0, 5), slice(0, 6))


@pytest.mark.parametrize("letters", ["".join(order) for order in permutations("tzcyx")])
def test_any_order_of_dimensions(letters: str) -> None:
    array = VALUES.transpose(["tzcyx".index(letter) for letter in letters])
    axes = Axes.of(letters.upper(), array.shape, "a")
    assert (axes.size, axes.planes) == ((5, 6), {"t": 2, "z": 3})
    np.testing.assert_array_equal(axes.read(array, {"t": 1, "z": 2}, 3, WHOLE), VALUES[1, 2, 3])
    part = axes.read(array, {"t": 0, "z": 1}, 0, (slice(1, 4), slice(2, 3)))
    np.testing.assert_array_equal(part, VALUES[0, 1, 0, 1:4, 2:3])


def test_unknown_dimensions_are_counted_together() -> None:
    axes = Axes.of("QIYX", (2, 3, 5, 6), "a")
    assert axes.planes == {"p": 6}
    array = VALUES[:, :, 0]
    for page in range(6):
        np.testing.assert_array_equal(axes.read(array, {"p": page}, None, WHOLE), array[page // 3, page % 3])


def test_colours_come_last() -> None:
    array = np.moveaxis(VALUES[0, :, 0], 0, 1)  # y, s, x
    axes = Axes.of("ysx", array.shape, "a")
    np.testing.assert_array_equal(axes.read(array, {}, None, WHOLE), VALUES[0, :, 0].transpose(1, 2, 0))
    stack = stack_of_array(array, axes, "a")
    assert stack.channels == ()
    np.testing.assert_array_equal(stack.pixels({}, 2).read(WHOLE), VALUES[0, 2, 0])


@pytest.mark.parametrize(
    ("letters", "shape", "says"),
    [
        ("zyx", (5, 6), "has 2 dimensions, .5, 6., which are not the axes zyx"),
        ("tz", (5, 6), "has no rows and columns among its axes tz"),
        ("zyx", (0, 5, 6), "has the dimensions .0, 5, 6.: no pixels"),
    ],
)
def test_axes_that_do_not_fit(letters: str, shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(ImageError, match=says):
        Axes.of(letters, shape, "a")


def test_numbers_of_colours_that_are_none() -> None:
    for letters, shape in (("yxs", (5, 6, 2)), ("cyxs", (2, 5, 6, 3))):
        with pytest.raises(ImageError, match="colours of a pixel and"):
            stack_of_array(np.zeros(shape), Axes.of(letters, shape, "a"), "a")


def test_arrays_as_pytorch_has_them_get_a_hint() -> None:
    with pytest.raises(ImageError, match=r"channels come last: array.transpose\(1, 2, 0\); or state its axes"):
        axes_of_array((3, 5, 6), "a", None)
    assert axes_of_array((3, 5, 6), "a", "cyx").sizes == {"c": 3, "y": 5, "x": 6}


def test_names_of_channels() -> None:
    assert channel_names(["DAPI", "GFP"], 2) == ("DAPI", "GFP")
    assert channel_names(["DAPI"], 2) == ("", "")
    with pytest.raises(ValueError, match="it states 1000000000 channels"):
        channel_names([], 10**9)
