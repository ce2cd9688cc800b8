"""Plots of tags: each dot and bar is in its place and has its colour."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.drawing.palette import palette
from associative_embedding.drawing.tag_plots import BAR, DROPPED, LEFT, WIDTH, draw_tag_histogram, draw_tag_plot
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups
from support.pictures import PAIR


def grouped(tag: Any, group: Any, step: Any) -> tuple[Detections, Groups]:
    tag = np.array(tag, np.float64)
    tag = tag[:, None] if tag.ndim == 1 else tag
    group = np.array(group)
    count = int(group.max(initial=-1)) + 1
    means = np.array([tag[group == g].mean(axis=0) for g in range(count)]).reshape(count, tag.shape[1])
    detections = Detections(np.ones(len(group)), tag, np.zeros((len(group), 2)), np.array(step, np.int64))
    return detections, Groups(group, means, np.ones(count))


def dots(picture: Array, colour: Any) -> Array:
    """``(n, 2)`` x, y of the dots of a colour, from left to right."""
    count, _, stats, centres = cv2.connectedComponentsWithStats((picture == colour).all(axis=2).astype(np.uint8))
    large = [centres[i] for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] > 40]
    return np.array(sorted(map(tuple, large))).reshape(-1, 2)


def test_tag_plot_places_each_dot() -> None:
    detections, groups = grouped([0.0, 0.2, 5.0, 2.5], [0, 0, 1, -1], [0, 1, 1, 2])
    picture = draw_tag_plot(detections, groups, PAIR)
    red, blue, grey = dots(picture, palette(2)[0]), dots(picture, palette(2)[1]), dots(picture, DROPPED)
    assert (len(red), len(blue), len(grey)) == (2, 1, 1)
    assert red[0, 1] < red[1, 1] == pytest.approx(blue[0, 1], abs=0.5)  # rows are keypoint types
    assert grey[0, 1] > blue[0, 1]
    unit = (blue[0, 0] - red[0, 0]) / 5
    assert red[1, 0] - red[0, 0] == pytest.approx(0.2 * unit, abs=0.7)
    assert grey[0, 0] - red[0, 0] == pytest.approx(2.5 * unit, abs=0.7)


def test_tag_plot_of_several_values_shows_the_direction_that_separates() -> None:
    rng = np.random.default_rng(0)
    tag = rng.normal(scale=0.05, size=(8, 3))
    tag[4:, 2] += 4  # the people differ in the last value alone
    detections, groups = grouped(tag, [0] * 4 + [1] * 4, [0, 1, 2, 0, 0, 1, 2, 1])
    picture = draw_tag_plot(detections, groups, PAIR)
    left, right = dots(picture, palette(2)[0]), dots(picture, palette(2)[1])
    assert left[:, 0].max() + 300 < right[:, 0].min()


@pytest.mark.parametrize(("tag", "group"), [([], []), ([1.0, 1.0], [0, 0]), ([[1.0, 2.0]] * 2, [0, -1])])
def test_tag_plot_of_little(tag: Any, group: list[int]) -> None:
    detections, groups = grouped(tag, np.array(group, int), [0, 1][: len(group)])
    picture = draw_tag_plot(detections, groups, PAIR)
    assert len(dots(picture, palette(1)[0])) == group.count(0)
    assert len(dots(picture, DROPPED)) == group.count(-1)


def test_tag_plot_refuses_what_does_not_fit() -> None:
    detections, groups = grouped([0.0, 1.0], [0, 1], [0, 1])
    for wrong, reason in (
        (replace(groups, group=np.zeros(3, int)), "3 group numbers for 2"),
        (replace(groups, group=np.array([0, 2])), "group is none"),
        (replace(groups, tag=groups.tag * np.nan), "not finite"),
    ):
        with pytest.raises(ValueError, match=reason):
            draw_tag_plot(detections, wrong, PAIR)
    with pytest.raises(ValueError, match="step is outside"):
        draw_tag_plot(replace(detections, step=np.array([0, 3])), groups, PAIR)


# --- foreground pixels


def bars(picture: Array, colour: Any) -> Array:
    """``(WIDTH // BAR,)`` pixels of a colour in each bar's middle."""
    columns = LEFT + BAR * np.arange(WIDTH // BAR) + BAR // 2
    return (picture[:, columns] == colour).all(axis=2).sum(axis=0)


def test_bars_are_as_high_as_there_are_pixels_in_the_colour_of_their_group() -> None:
    tag = np.repeat([0.0, 1.0, 4.0, 2.5], [100, 40, 60, 20])
    pixels, groups = grouped(tag, np.repeat([0, 0, 1, -1], [100, 40, 60, 20]), np.zeros(220))
    colours = np.array([[10, 20, 200], [200, 20, 10]], np.uint8)
    picture = draw_tag_histogram(pixels, groups, {"cell": 0}, colours)
    blue, red, grey = (bars(picture, colour) for colour in (*colours, DROPPED))
    first, second = np.flatnonzero(blue > 20)  # the identifier's dot is smaller
    (third,), (fourth,) = np.flatnonzero(red > 20), np.flatnonzero(grey)
    assert first < second < fourth < third
    assert third - first == pytest.approx(4 * (second - first), abs=4)
    room = blue[first]
    assert blue[second] == pytest.approx(0.4 * room, abs=1)
    assert red[third] == pytest.approx(0.6 * room, abs=8)  # and the dot, when it lies there
    assert grey[fourth] == pytest.approx(0.2 * room, abs=1)


def test_groups_in_one_bar_are_stacked() -> None:
    tag, group = np.repeat([0.0, 5.0], [80, 60]), np.repeat([0, 1, 2, -1], [40, 40, 30, 30])
    pixels, groups = grouped(tag, group, np.zeros(140))
    picture = draw_tag_histogram(pixels, replace(groups, tag=np.full((3, 1), 2.5)), {"cell": 0})
    red, blue, green, grey = (bars(picture, colour) for colour in (*palette(3), DROPPED))
    first, second = red.argmax(), green.argmax()
    assert red[first] == pytest.approx(blue[first], abs=1)
    assert green[second] == pytest.approx(0.75 * red[first], abs=1)
    assert grey[second] == pytest.approx(0.75 * red[first], abs=1)


def test_identifiers_are_marked() -> None:
    pixels, groups = grouped([0.0, 2.0, 8.0, 8.0], [0, 0, 1, 1], [0] * 4)
    above = draw_tag_histogram(pixels, groups, {"cell": 0})[:29]  # the bars
    for colour, tag in zip(palette(2), (1, 8), strict=True):
        dot = np.flatnonzero((above == colour).all(axis=2).any(axis=0))
        assert len(dot) > 4
        assert dot.mean() + 0.5 == pytest.approx(LEFT + WIDTH * (tag + 0.32) / 8.64, abs=0.7)


def test_each_class_has_its_own_histogram() -> None:
    pixels, groups = grouped([0.0, 0.0, 5.0, 5.0], [0, 0, 1, 1], [2, 2, 0, 0])
    picture = draw_tag_histogram(pixels, groups, {"cat": 2, "dog": 0})
    rows = [np.flatnonzero((picture == colour).all(axis=2).any(axis=1)) for colour in palette(2)]
    assert rows[0].max() < rows[1].min()
    assert (draw_tag_histogram(pixels, groups, {"cow": 1}) != palette(2)[:, None, None]).any(axis=3).all()


def test_the_histogram_refuses_what_does_not_fit() -> None:
    pixels, groups = grouped([0.0, 1.0], [0, 1], [0, 0])
    for wrong, reason in (
        (replace(groups, group=np.zeros(3, int)), "3 group numbers for 2"),
        (replace(groups, group=np.array([0, 2])), "group is none"),
        (replace(groups, tag=groups.tag * np.nan), "not finite"),
    ):
        with pytest.raises(ValueError, match=reason):
            draw_tag_histogram(pixels, wrong, {"cell": 0})


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.integers(1, 3), st.integers(0, 7), st.sampled_from([0.0, 1.0, 1e6]), st.integers(0, 99))
def test_histograms_of_anything(count: int, dimension: int, classes: int, spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    step = rng.integers(0, max(1, classes), count)
    pixels, groups = grouped(spread * rng.normal(size=(count, dimension)), rng.integers(-1, 1, count), step)
    picture = draw_tag_histogram(pixels, groups, {str(c): c for c in range(classes)})
    assert picture.shape[1] > LEFT + WIDTH
