"""Which planes of an image become which picture, and how planes are joined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from associative_embedding.io.axes import Axes, stack_of_array
from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.image_values import Pixels
from associative_embedding.io.reading import Reading
from associative_embedding.io.stacks import Pictures, Stack, join, whole
from associative_embedding.structures.arrays import Array

VALUES = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 6), dtype=np.uint8)  # t, z, y, x


def stack(letters: str = "tzyx", array: Array = VALUES) -> Stack:
    return stack_of_array(array, Axes.of(letters, array.shape, "a"), "a")


def pictures(letters: str = "tzyx", array: Array = VALUES, **reading: Any) -> Pictures:
    return Pictures(stack(letters, array), Reading(**reading))


def test_a_depth_is_joined_and_times_are_not() -> None:
    found = pictures()
    assert [found.title(i) for i in range(len(found))] == ["t1", "t2"]
    for t in range(2):
        np.testing.assert_array_equal(found.picture(t)[:, :, 0], VALUES[t].max(0))


@pytest.mark.parametrize(
    ("page", "titles", "first"),
    [
        ("all", ["t1z1", "t1z2", "t1z3", "t2z1", "t2z2", "t2z3"], VALUES[0, 0]),
        (2, ["t1", "t2"], VALUES[0, 1]),
        ("t2", [""], VALUES[1].max(0)),
        ("t2z3", [""], VALUES[1, 2]),
    ],
)
def test_pages(page: str | int, titles: list[str], first: Array) -> None:
    found = pictures(page=page)
    assert [found.title(i) for i in range(len(found))] == titles
    np.testing.assert_array_equal(found.picture(0)[:, :, 0], first)


def test_planes_of_a_depth_can_be_pictures_of_their_own() -> None:
    apart = Pictures(stack(), apart=True)
    assert len(apart) == 6
    assert len(Pictures(stack(), Reading(project="mean"), apart=True)) == 2


def test_a_number_alone_needs_one_axis() -> None:
    with pytest.raises(ImageError, match="has 2 time points, 3 pages; give --page with letters, such as t2z3"):
        pictures("tqyx", page=2)
    assert len(pictures("qyx", VALUES[0], page=2)) == 1


def test_mean_and_maximum_keep_the_type() -> None:
    planes = [Pixels.of_array(plane) for plane in VALUES[0].astype(np.uint16) * 257]
    for how, expected in (
        ("max", VALUES[0].max(0) * np.uint16(257)),
        ("mean", np.rint(VALUES[0].mean(0, np.float64) * 257)),
    ):
        found = whole(join(planes, how))
        assert found.dtype == np.uint16
        assert np.abs(found.astype(float) - expected).max() <= 1  # of rounding


def test_the_maximum_ignores_what_is_no_number_and_knows_white_is_zero() -> None:
    first, second = np.array([[1.0, np.nan]]), np.array([[np.nan, 3.0]])
    np.testing.assert_array_equal(whole(join([Pixels.of_array(first), Pixels.of_array(second)], "max")), [[1, 3]])
    dark, bright = np.array([[200]], np.uint8), np.array([[50]], np.uint8)
    inverted = [Pixels((1, 1), lambda window, a=a: a[window], inverted=True) for a in (dark, bright)]  # type: ignore[misc]
    found = join(inverted, "max")
    assert (whole(found).tolist(), found.inverted) == ([[50]], True)


def test_a_channel_may_have_the_name_of_a_number() -> None:
    lasers = stack_of_array(VALUES[0], Axes.of("cyx", VALUES[0].shape, "a"), "a", ["405", "488", "1"])
    for channel, place in (("488", 1), (405, 0), ("1", 0), (3, 2)):
        assert Pictures(lasers, Reading(channel=channel)).channel == place
    with pytest.raises(ImageError, match="has 3 channels, so there is no 561"):
        Pictures(lasers, Reading(channel=561))


def endless(sizes: dict[str, int]) -> Stack:
    return Stack("a", sizes, (5, 6), ("",), lambda place, channel: Pixels.of_array(VALUES[0, 0]))


@pytest.mark.parametrize("sizes", [{"t": 10**9}, {"t": 10**5, "z": 10**5}, {"z": 10**6}])
def test_endless_planes_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ImageError, match="too many to read all; choose some by --page"):
        Pictures(endless(sizes))
    page = "".join(f"{axis}9" for axis in sizes)
    assert len(Pictures(endless(sizes), Reading(page=page))) == 1
