"""Charts: where points lie, the ends of the axes, and the running mean."""

from __future__ import annotations

import re

import pytest

from associative_embedding.training.curves import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MOST_POINTS,
    RIGHT,
    TOP,
    WIDTH,
    chart,
    limits,
    running_mean,
    short,
)


def curves_in(svg: str) -> list[list[list[float]]]:
    """The points of each curve, in pixels."""
    return [[[float(v) for v in p.split(",")] for p in text.split()] for text in re.findall(r'points="([^"]*)"', svg)]


def test_the_ends_of_a_curve_are_the_corners_of_the_plot() -> None:
    ((first, middle, last),) = curves_in(chart("AP", [(10, 0.0), (20, 0.25), (30, 1.0)]))
    assert first == [LEFT, HEIGHT - BOTTOM]
    assert middle == [(LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM - 0.25 * (HEIGHT - TOP - BOTTOM)]
    assert last == [WIDTH - RIGHT, TOP]


def test_one_point_and_a_constant_lie_in_the_middle() -> None:
    for points in ([(5, 2.0)], [(5, 2.0), (9, 2.0)]):
        (curve,) = curves_in(chart("loss", points))
        assert {y for _, y in curve} == {TOP + (HEIGHT - TOP - BOTTOM) / 2}


def test_a_smooth_curve_is_drawn_over_its_points() -> None:
    svg = chart("loss", [(1, 1.0), (2, 0.0)], smooth=True)
    assert len(curves_in(svg)) == 2
    assert svg.index('class="pale"') < svg.index('class="curve"')


def test_long_curves_are_thinned() -> None:
    (curve,) = curves_in(chart("loss", [(step, step % 7) for step in range(10 * MOST_POINTS + 1)]))
    assert len(curve) <= MOST_POINTS


def test_titles_are_escaped() -> None:
    svg = chart('<b>"AP"', [(1, 0.5)])
    assert "<b>" not in svg
    assert "&lt;b&gt;&quot;AP&quot;: 0.5<" in svg


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([0.2, 0.9], (0, 0.9)),
        ([0.8, 0.9], (0.8, 0.9)),
        ([-1.0, 3.0], (-1.0, 3.0)),
        ([2.0, 2.0], (1.5, 2.5)),
        ([0.0], (-0.5, 0.5)),
    ],
)
def test_the_ends_of_an_axis(values: list[float], ends: tuple[float, float]) -> None:
    assert limits(values) == ends


def test_a_running_mean_keeps_four_fifths() -> None:
    assert [step for step, _ in running_mean([(1, 1.0), (2, 0.0), (3, 0.0)])] == [1, 2, 3]
    assert [value for _, value in running_mean([(1, 1.0), (2, 0.0), (3, 0.0)])] == pytest.approx([1, 0.8, 0.64])


@pytest.mark.parametrize(("value", "text"), [(1200.0, "1200"), (0.12345, "0.123"), (1e-5, "1e-05"), (2.5, "2.5")])
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert short(value) == text
