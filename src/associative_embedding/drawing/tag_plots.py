"""Plots the tags of one image as the paper does: dots by keypoint type (figure 4), a histogram (figure 5).

Every picture is ``(H, W, 3)`` uint8 RGB. The horizontal axis is the tag; for ``D > 1``, its first principal
component.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from associative_embedding.drawing.canvas import draw_dot, draw_line, write_text
from associative_embedding.drawing.palette import Colour, palette, to_colour
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups
from associative_embedding.structures.skeleton import Skeleton

INK: Colour = (40, 44, 52)
PALE: Colour = (226, 229, 234)
DROPPED: Colour = (176, 180, 186)

LEFT, WIDTH, RIGHT = 150, 640, 24  # pixels: the column of names, the axis, the right margin
TOP, ROW, BELOW = 16, 26, 56  # pixels: the upper margin, one row of dots, the axis with its title
BAR = 4  # pixels, width of a bar
TICKS = 6  # about as many on the axis


@dataclass(frozen=True)
class _Axis:
    """The horizontal axis: tags from `low` to `high` fill the `WIDTH` of the plot."""

    low: float
    high: float
    title: str

    @classmethod
    def around(cls, values: Array, title: str) -> _Axis:
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
        margin = 0.04 * (high - low) or 0.5
        return cls(low - margin, high + margin, title)

    def place(self, value: Array) -> Array:
        """Converts tags to x in pixels."""
        return LEFT + WIDTH * (value - self.low) / (self.high - self.low)

    def draw(self, canvas: Array, y: float) -> None:
        for value in _ticks(self.low, self.high):
            tick = float(self.place(np.array(value)))
            draw_line(canvas, (tick, y), (tick, y + 4), 0.5, INK)
            write_text(canvas, f"{value:g}", (tick, y + 14), 12, INK, anchor="mm")
        draw_line(canvas, (LEFT, y), (LEFT + WIDTH, y), 0.6, INK)
        write_text(canvas, self.title, (LEFT + WIDTH / 2, y + 38), 13, INK, anchor="mm")


def draw_tag_plot(detections: Detections, groups: Groups, skeleton: Skeleton) -> Array:
    """Draws the tags of one image (paper, figure 4): a row for each keypoint type, a dot for each detection.

    A dot has the colour of its group, a dropped detection is grey. Vertical lines are the mean tags of the groups. If
    groups and instances have the same order, a group has the colour of its instance in `draw_instances`.

    Args:
        detections: M peaks; ``step`` is the index of the keypoint type.
        groups: of these detections.
        skeleton: names of the keypoint types.

    Raises:
        ValueError: when the lengths differ, a step is no keypoint type, a group does not exist, or a tag is not finite.
    """
    if len(detections) and not 0 <= detections.step.min() <= detections.step.max() < len(skeleton):
        raise ValueError(f"a detection's step is outside of the skeleton's {len(skeleton)} keypoint types")
    axis, place, means = _tag_axis(detections, groups)
    canvas = _blank(ROW * len(skeleton))
    bottom = TOP + ROW * len(skeleton)
    for k, name in enumerate(skeleton.keypoints):
        y = TOP + ROW * (k + 0.5)
        draw_line(canvas, (LEFT, y), (LEFT + WIDTH, y), 0.5, PALE)
        write_text(canvas, name, (LEFT - 12, y), 13, INK, anchor="rm")
    axis.draw(canvas, bottom)
    colours = palette(len(groups))
    _draw_means(canvas, means, colours, (TOP, bottom))
    for i in np.argsort(detections.score, kind="stable"):  # the best on top
        group = int(groups.group[i])
        centre = (place[i], TOP + ROW * (detections.step[i] + 0.5))
        draw_dot(canvas, centre, 6, DROPPED if group < 0 else to_colour(colours[group]), rim=0.8)
    return canvas


def draw_tag_histogram(
    detections: Detections, groups: Groups, channels: Mapping[str, int], colours: Array | None = None
) -> Array:
    """Draws the tags of one image's foreground pixels (paper, figure 5): a histogram for each class.

    A bar is a stack of the pixels of each group in its colour, and of the pixels without a group in grey. A dot over a
    thin line marks the tag of a group, to which its pixels are nearest.

    Args:
        detections: M pixels; ``step`` is the index of the class.
        groups: of these pixels.
        channels: title -> class, the histograms to draw.
        colours: ``(G, 3)`` uint8 RGB of the groups; default: the palette's.

    Raises:
        ValueError: when the lengths differ, a group does not exist, or a tag is not finite.
    """
    axis, place, means = _tag_axis(detections, groups)
    colours = palette(len(groups)) if colours is None else colours
    height = max(90, 230 // max(1, len(channels)))
    canvas = _blank(height * len(channels))
    for row, (title, channel) in enumerate(channels.items()):
        top, bottom = TOP + height * row + 14, TOP + height * (row + 1)  # 14 pixels for the dots above
        of_class = detections.step == channel
        shown = np.unique(groups.group[of_class & (groups.group >= 0)])
        _draw_means(canvas, means[shown], colours[shown], (top - 6, bottom))
        counts = _count(place[of_class], groups.group[of_class], len(groups))
        _draw_bars(canvas, counts, [*map(to_colour, colours), DROPPED], (top, bottom))
        for mean, colour in zip(means[shown], colours[shown], strict=True):
            draw_dot(canvas, (mean, top - 6), 4, to_colour(colour), rim=0.8)
        draw_line(canvas, (LEFT, bottom), (LEFT + WIDTH, bottom), 0.5, PALE)
        write_text(canvas, title, (LEFT - 12, (top + bottom) / 2), 13, INK, anchor="rm")
        write_text(canvas, f"{counts.sum(axis=1).max(initial=0)} pixels", (LEFT - 12, top), 11, INK, anchor="rm")
    axis.draw(canvas, TOP + height * len(channels))
    return canvas


def first_component(tags: Array, count: int) -> tuple[Array, str]:
    """Reduces tags to one number each: their first principal component, or the tag itself if D = 1.

    Args:
        tags: ``(M, D)``.
        count: the component is computed from the first `count` rows.

    Returns:
        ``(M,)``, and the title of the axis.
    """
    if tags.shape[1] == 1:
        return tags[:, 0], "tag"
    centred = tags[:count] - tags[:count].mean(axis=0) if count else tags[:0]
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    if not spread.any():
        return tags[:, 0], f"tag (first of {tags.shape[1]} values)"
    # The sign of a component is arbitrary: here its largest part is positive, so pictures can be compared.
    direction = directions[0] * np.sign(directions[0][np.abs(directions[0]).argmax()])
    share = spread[0] ** 2 / (spread**2).sum()
    return tags @ direction, f"tag, first principal component of {tags.shape[1]} values ({share:.0%} of variance)"


def _tag_axis(detections: Detections, groups: Groups) -> tuple[_Axis, Array, Array]:
    """Returns the axis of all tags, and x in pixels of the ``(M,)`` detections and of the ``(G,)`` groups."""
    count = len(detections)
    if len(groups.group) != count:
        raise ValueError(f"{len(groups.group)} group numbers for {count} detections")
    if count and not -1 <= groups.group.min() <= groups.group.max() < len(groups):
        raise ValueError(f"a detection's group is none of the {len(groups)}, nor -1")
    tags = np.concatenate([detections.tag, groups.tag]).astype(np.float64)
    if not np.isfinite(tags).all():
        raise ValueError("a tag is not finite")
    values, title = first_component(tags, count)
    axis = _Axis.around(values, title)
    place = axis.place(values)
    return axis, place[:count], place[count:]


def _blank(height: int) -> Array:
    return np.full((TOP + height + BELOW, LEFT + WIDTH + RIGHT, 3), 255, np.uint8)


def _draw_means(canvas: Array, places: Array, colours: Array, span: tuple[int, int]) -> None:
    """Draws pale vertical lines from one y to another."""
    for x, colour in zip(places, colours, strict=True):
        draw_line(canvas, (x, span[0]), (x, span[1]), 0.6, to_colour(colour // 2 + 127))


def _count(place: Array, group: Array, groups: int) -> Array:
    """Returns ``(bars, G + 1)`` int64, the pixels of each group in each bar; the last column counts group -1."""
    counts = np.zeros((WIDTH // BAR, groups + 1), np.int64)
    np.add.at(counts, ((place - LEFT).astype(np.int64) // BAR, group), 1)
    return counts


def _draw_bars(canvas: Array, counts: Array, colours: Sequence[Colour], span: tuple[int, int]) -> None:
    """Draws stacked bars from one y to another; the highest bar fills the span."""
    peak = max(1, counts.sum(axis=1).max(initial=0))
    edge = span[1] - np.round(counts.cumsum(axis=1) / peak * (span[1] - span[0])).astype(np.int64)
    for bar, g in np.argwhere(counts):
        below = edge[bar, g - 1] if g else span[1]
        canvas[edge[bar, g] : below, LEFT + BAR * bar : LEFT + BAR * (bar + 1)] = colours[g]


def _ticks(low: float, high: float) -> list[float]:
    """Returns about `TICKS` round numbers (1, 2 or 5 times a power of 10 apart) from `low` to `high`."""
    rough = (high - low) / TICKS
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(i * step, 12) for i in range(first, last + 1)]  # without 0.30000000000000004
