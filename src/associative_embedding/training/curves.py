"""Curves as SVG, for the report of a run: no script, no font and no file of others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

Point = tuple[float, float]  # step, value

WIDTH, HEIGHT = 340, 170  # of a chart
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 26, 22  # margins around its plot
SMOOTH = 0.8  # share of the old value in the running mean of a noisy curve
MOST_POINTS = 400  # of a curve


def chart(title: str, points: Sequence[Point], *, smooth: bool = False) -> str:
    """Returns a chart of one curve as an ``<svg>``.

    Args:
        title: above the chart.
        points: finite, in the order of their steps; at least one.
        smooth: draw the points pale and their running mean over them.
    """
    points = points[:: math.ceil(len(points) / MOST_POINTS)]
    low, high = limits([value for _, value in points])
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)

    def place(point: Point) -> str:
        x = LEFT + (point[0] - first) / (last - first) * (WIDTH - LEFT - RIGHT)
        y = TOP + (high - point[1]) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return f"{x:.1f},{y:.1f}"

    ends = ((high, TOP), (low, HEIGHT - BOTTOM))
    axis = [f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{short(value)}</text>' for value, y in ends]
    axis += [f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>' for _, y in ends]
    axis += [
        f'<text x="{LEFT}" y="{HEIGHT - 6}">step {short(first)}</text>',
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{short(last)}</text>',
    ]
    curves = [(points, "pale"), (running_mean(points), "curve")] if smooth else [(points, "curve")]
    lines = [f'<polyline class="{kind}" points="{" ".join(map(place, curve))}"/>' for curve, kind in curves]
    x, y = place(points[-1]).split(",")
    dot = f'<circle cx="{x}" cy="{y}" r="3"/>'
    head = f'<text class="title" x="{LEFT}" y="15">{escape(title)}: {short(points[-1][1])}</text>'
    label = escape(f"{title} by step", quote=True)
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg {box} role="img" aria-label="{label}">{head}{"".join([*axis, *lines])}{dot}</svg>'


def limits(values: Sequence[float]) -> tuple[float, float]:
    """Returns the ends of an axis: shares from 0 to 1 keep 0, and a constant is in the middle."""
    low, high = min(values), max(values)
    if low >= 0 and low < 0.5 * high:
        low = 0.0
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def running_mean(points: Sequence[Point]) -> list[Point]:
    """Returns the exponential running mean of a curve."""
    mean, result = points[0][1], []
    for step, value in points:
        mean = SMOOTH * mean + (1 - SMOOTH) * value
        result.append((step, mean))
    return result


def short(value: float) -> str:
    """Returns a number with three digits; steps are whole."""
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e6 else f"{value:.3g}"
