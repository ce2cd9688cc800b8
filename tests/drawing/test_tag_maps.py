"""Tag maps over an image: each tint is in its place and has its colour."""

from __future__ import annotations

import numpy as np
import pytest

from associative_embedding.drawing.tag_maps import draw_tag_maps, foreground_maps, tints_of
from associative_embedding.structures.detections import Detections
from support.pictures import canvas


def test_tag_maps_tint_people_apart() -> None:
    heatmap, tag = np.zeros((2, 10, 20)), np.full((2, 10, 20), 1e6)  # elsewhere a tag may be anything
    heatmap[:, 5, 4] = heatmap[0, 5, 15] = 1
    tag[:, 5, 4], tag[0, 5, 15] = -1.0, 1.0
    picture = draw_tag_maps(canvas(200, (120, 240)), tag, heatmap, {"nose": 0, "hip": 1})
    assert picture.shape == (120, 240 * 2 + 6, 3)
    middle = 12 * 5 + 6
    low, high, low_again = (picture[middle, x].astype(int) for x in (54, 186, 240 + 6 + 54))
    assert low[2] > low[0] + 60  # blue
    assert high[0] > high[2] + 60  # red
    np.testing.assert_array_equal(low, low_again)  # one scale for all panels
    assert np.ptp(picture[100, 120].astype(int)) == 0  # grey where nothing is


def test_tag_maps_refuse_what_does_not_fit() -> None:
    image, maps = canvas(), np.zeros((2, 4, 4))
    for tag, heatmap, channels, reason in (
        (maps, maps[:1], {"a": 0}, r"must both be \(K, h, w\)"),
        (maps[0], maps[0], {"a": 0}, r"must both be \(K, h, w\)"),
        (maps, maps, {"a": 2}, "outside of the 2 maps"),
        (maps * np.nan, maps, {"a": 1}, "not finite"),
        (maps, maps, {}, "needs pictures"),
    ):
        with pytest.raises(ValueError, match=reason):
            draw_tag_maps(image, tag, heatmap, channels)
    assert draw_tag_maps(image, maps, maps, {"a": 0}).shape == image.shape


def test_foreground_maps_hold_each_pixel_where_it_is() -> None:
    xy = np.array([[0, 0], [3, 1], [2, 1], [3, 1]])
    step, score = np.array([0, 0, 1, 1]), np.array([0.5, 0.7, 1.2, 0.9])
    tag, there = foreground_maps(Detections(score, np.array([[1.0], [2.0], [3.0], [4.0]]), xy, step), 2, (2, 4))
    assert tag.tolist() == [[[1, 0, 0, 0], [0, 0, 0, 2]], [[0, 0, 0, 0], [0, 0, 3, 4]]]
    assert there.tolist() == [[[0.5, 0, 0, 0], [0, 0, 0, 0.7]], [[0, 0, 0, 0], [0, 0, 1, 0.9]]]


def test_foreground_maps_show_the_component_that_the_histogram_shows() -> None:
    """Objects that differ in the last of several values alone have tints that differ."""
    tag = np.zeros((6, 3))
    tag[3:, 2] = 5
    xy = np.stack([np.arange(6), np.zeros(6)], axis=1)
    values, _ = foreground_maps(Detections(np.ones(6), tag, xy, np.zeros(6, int)), 1, (1, 6))
    assert values[0, 0].tolist() == [0, 0, 0, 5, 5, 5]


def test_no_foreground_is_no_tint() -> None:
    nothing = Detections(np.zeros(0), np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, int))
    assert not np.stack(foreground_maps(nothing, 3, (4, 5))).any()


def test_a_tint_is_the_colour_of_the_group_with_the_nearest_tag() -> None:
    colours = np.array([[250, 0, 0], [0, 0, 250]], np.uint8)
    tag = np.array([[[[0.1, 0.9]], [[0.0, 1.0]]]])  # (1, 2, 1, 2)
    groups = np.array([[0.0, 0.0], [1.0, 1.0]])
    assert tints_of(tag, groups, colours).tolist() == [[[[250, 0, 0], [0, 0, 250]]]]
    assert (tints_of(tag, groups[:0], colours[:0]) == 128).all()
    picture = draw_tag_maps(canvas(200, (40, 80)), tag[:, 0], np.ones((1, 1, 2)), {"a": 0}, tints=colours[None, None])
    assert picture[30, 10].tolist() == [250, 0, 0]
    assert picture[30, 70].tolist() == [0, 0, 250]
