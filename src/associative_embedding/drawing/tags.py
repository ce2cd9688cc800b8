"""Pictures of the tags as the paper shows them: dots by keypoint type (figure 4), a histogram (5), maps (7).

Every picture is ``(H, W, 3)`` uint8 RGB. The axis of the plots is the tag, or for ``D > 1`` its first principal
component.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from associative_embedding.drawing.canvas import (
    RIM,
    Colour,
    check_picture,
    contact_sheet,
    draw_dot,
    draw_label,
    draw_line,
    palette,
    to_colour,
    write_text,
)
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups
from associative_embedding.structures.skeleton import Skeleton

INK: Colour = (40, 44, 52)
PALE: Colour = (226, 229, 234)
DROPPED: Colour = (176, 180, 186)

LEFT, WIDTH, RIGHT = 150, 640, 24  # pixels of the names, of the axis, and of what is right of it
TOP, ROW, BELOW = 16, 26, 56  # above the rows, one row of dots, and the axis with its title
BAR = 4  # width of a bar


@dataclass(frozen=True)
class _Axis:
    """Where a tag between `low` and `high` lies on the picture's width."""

    low: float
    high: float
    title: str

    @classmethod
    def around(cls, values: Array, title: str) -> _Axis:
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
        margin = 0.04 * (high - low) or 0.5
        return cls(low - margin, high + margin, title)

    def place(self, value: Array) -> Array:
        return LEFT + WIDTH * (value - self.low) / (self.high - self.low)

    def draw(self, canvas: Array, y: float) -> None:
        for value in _ticks(self.low, self.high):
            tick = float(self.place(np.array(value)))
            draw_line(canvas, (tick, y), (tick, y + 4), 0.5, INK)
            write_text(canvas, f"{value:g}", (tick, y + 14), 12, INK, anchor="mm")
        draw_line(canvas, (LEFT, y), (LEFT + WIDTH, y), 0.6, INK)
        write_text(canvas, self.title, (LEFT + WIDTH / 2, y + 38), 13, INK, anchor="mm")


def draw_tag_plot(detections: Detections, groups: Groups, skeleton: Skeleton) -> Array:
    """The tags of one image as in the paper's figure 4: a row per keypoint type, a dot per detection.

    A dot has its group's colour (that of the instance in `draw_instances` when groups and instances have the same
    order), a dropped detection is grey; the vertical lines are the groups' mean tags.

    Args:
        detections: ``step`` is the index of the keypoint type.
        groups: ``group (M,)`` of the same detections.

    Raises:
        ValueError: when the lengths differ, a step is no keypoint type, a group is none, or a tag is not finite.
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
    for i in np.argsort(detections.score, kind="stable"):
        group = int(groups.group[i])
        centre = (place[i], TOP + ROW * (detections.step[i] + 0.5))
        draw_dot(canvas, centre, 6, DROPPED if group < 0 else to_colour(colours[group]), rim=0.8)
    return canvas


def draw_tag_histogram(
    detections: Detections, groups: Groups, channels: Mapping[str, int], colours: Array | None = None
) -> Array:
    """The tags of one image's foreground pixels as in the paper's figure 5: a histogram a class.

    A bar is stacked of the pixels of each group, in its colour, and grey of those in none. A dot over a thin line is
    the tag of a group: the identifier, to which its pixels are the nearest.

    Args:
        detections: M pixels; ``step`` is the index of the class.
        groups: ``group (M,)`` of the same pixels.
        channels: title -> class, of those to be shown.
        colours: ``(G, 3)`` uint8 RGB of the groups, by default the palette's.

    Raises:
        ValueError: when the lengths differ, a group is none, or a tag is not finite.
    """
    axis, place, means = _tag_axis(detections, groups)
    colours = palette(len(groups)) if colours is None else colours
    height = max(90, 230 // max(1, len(channels)))
    canvas = _blank(height * len(channels))
    for row, (title, channel) in enumerate(channels.items()):
        top, bottom = TOP + height * row + 14, TOP + height * (row + 1)  # the identifiers' dots are above
        of_class = detections.step == channel
        own = np.unique(groups.group[of_class & (groups.group >= 0)])
        _draw_means(canvas, means[own], colours[own], (top - 6, bottom))
        counts = _count(place[of_class], groups.group[of_class], len(groups))
        _draw_bars(canvas, counts, [*map(to_colour, colours), DROPPED], (top, bottom))
        for mean, colour in zip(means[own], colours[own], strict=True):
            draw_dot(canvas, (mean, top - 6), 4, to_colour(colour), rim=0.8)
        draw_line(canvas, (LEFT, bottom), (LEFT + WIDTH, bottom), 0.5, PALE)
        write_text(canvas, title, (LEFT - 12, (top + bottom) / 2), 13, INK, anchor="rm")
        write_text(canvas, f"{counts.sum(axis=1).max(initial=0)} pixels", (LEFT - 12, top), 11, INK, anchor="rm")
    axis.draw(canvas, TOP + height * len(channels))
    return canvas


def draw_tag_maps(image: Array, tag: Array, heatmap: Array, channels: Mapping[str, int], *, columns: int = 6) -> Array:
    """The tag maps of some channels as in the paper's figure 7: the image once for each, tinted by the tag.

    The colour is the tag (one scale for all), its opacity the heatmap: instances that the network keeps apart differ
    in colour.

    Args:
        image: ``(H, W, 3)`` uint8 RGB that the maps cover entirely: the network's input, not the image before padding.
        tag: ``(K, h, w)`` tags.
        heatmap: ``(K, h, w)`` scores in [0, 1].
        channels: title -> channel, for instance ``skeleton.index`` for all keypoint types.
        columns: pictures side by side.

    Raises:
        ValueError: for maps of different or other shapes, an unknown channel, or tags that are not finite.
    """
    check_picture(image)
    if tag.shape != heatmap.shape or tag.ndim != 3:
        raise ValueError(f"tag and heatmap must both be (K, h, w), not {tag.shape} and {heatmap.shape}")
    for title, channel in channels.items():
        if not 0 <= channel < len(tag):
            raise ValueError(f"channel {channel} ({title}) is outside of the {len(tag)} maps")
    chosen = [*channels.values()]
    if not np.isfinite(tag[chosen]).all() or not np.isfinite(heatmap[chosen]).all():
        raise ValueError("tag or heatmap is not finite")
    low, high = _tag_range(tag[chosen], heatmap[chosen])
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    base = grey.astype(np.float32) * 0.55
    panels = []
    for title, channel in channels.items():
        panel = _tint(base, (tag[channel] - low) / (high - low), heatmap[channel])
        draw_label(panel, title, np.array([0.0, 0.0]), RIM, [])
        panels.append(panel)
    return contact_sheet(panels, columns=min(len(panels), columns))


def foreground_maps(pixels: Detections, channels: int, size: tuple[int, int]) -> tuple[Array, Array]:
    """What `draw_tag_maps` draws of foreground pixels: tags (their first component) and scores, ``(C, h, w)`` each.

    Args:
        pixels: M pixels of the map; ``step`` is the index of the class.
        channels: C.
        size: (h, w).
    """
    tag, score = np.zeros((2, channels, *size))
    x, y = np.round(pixels.xy).astype(np.int64).T
    tag[pixels.step, y, x] = first_component(pixels.tag, len(pixels))[0]
    score[pixels.step, y, x] = pixels.score.clip(0, 1)
    return tag, score


def first_component(tags: Array, count: int) -> tuple[Array, str]:
    """``(M, D)`` -> ``(M,)`` and the name of the axis. The component is that of the first `count` rows."""
    if tags.shape[1] == 1:
        return tags[:, 0], "tag"
    centred = tags[:count] - tags[:count].mean(axis=0) if count else tags[:0]
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    if not spread.any():
        return tags[:, 0], f"tag (first of {tags.shape[1]} values)"
    direction = directions[0] * np.sign(directions[0][np.abs(directions[0]).argmax()])
    share = spread[0] ** 2 / (spread**2).sum()
    return tags @ direction, f"tag, first principal component of {tags.shape[1]} values ({share:.0%} of variance)"


# --- plots


def _tag_axis(detections: Detections, groups: Groups) -> tuple[_Axis, Array, Array]:
    """The axis of all tags, and the places upon it of the ``(M,)`` detections and the ``(G,)`` groups."""
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
    """Pale vertical lines between two heights."""
    for x, colour in zip(places, colours, strict=True):
        draw_line(canvas, (x, span[0]), (x, span[1]), 0.6, to_colour(colour // 2 + 127))


def _count(place: Array, group: Array, groups: int) -> Array:
    """``(bars, G + 1)`` int64 pixels of each group in each bar, those of group -1 last."""
    counts = np.zeros((WIDTH // BAR, groups + 1), np.int64)
    np.add.at(counts, ((place - LEFT).astype(np.int64) // BAR, group), 1)
    return counts


def _draw_bars(canvas: Array, counts: Array, colours: Sequence[Colour], span: tuple[int, int]) -> None:
    """Stacked bars between two heights, the highest as high as there is room."""
    peak = max(1, counts.sum(axis=1).max(initial=0))
    edge = span[1] - np.round(counts.cumsum(axis=1) / peak * (span[1] - span[0])).astype(np.int64)
    for bar, g in np.argwhere(counts):
        below = edge[bar, g - 1] if g else span[1]
        canvas[edge[bar, g] : below, LEFT + BAR * bar : LEFT + BAR * (bar + 1)] = colours[g]


def _ticks(low: float, high: float) -> list[float]:
    """About six round numbers in a range."""
    rough = (high - low) / 6
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(i * step, 12) for i in range(first, last + 1)]


# --- maps


def _tag_range(tag: Array, heatmap: Array) -> tuple[float, float]:
    """The range of the tags where there is something: elsewhere a tag means nothing and may be anything."""
    there = tag[heatmap > 0.5 * heatmap.max(initial=0)]
    low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 0.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _tint(base: Array, tag: Array, heatmap: Array) -> Array:
    """A ``(H, W, 3)`` float picture under the colours of ``(h, w)`` tags in [0, 1], with the heatmap as opacity."""
    size = (base.shape[1], base.shape[0])
    # between two tags lies no tag: interpolation would show people who are not there
    level = cv2.resize(tag.astype(np.float32), size, interpolation=cv2.INTER_NEAREST_EXACT)
    alpha = cv2.resize(heatmap.astype(np.float32), size, interpolation=cv2.INTER_LINEAR).clip(0, 1)[:, :, None]
    bright = 0.1 + 0.8 * level.clip(0, 1)  # the ends of the colour map are too dark to be seen
    turbo = cv2.applyColorMap((bright * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[:, :, ::-1]
    mixed: Array = (base * (1 - alpha) + turbo * alpha + 0.5).astype(np.uint8)
    return mixed
