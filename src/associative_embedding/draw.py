"""Pictures: skeletons over an image, and the tags as the paper shows them (figures 4 and 7).

Every picture is ``(H, W, 3)`` uint8 RGB. Each shape has a dark rim, so that it shows on any background.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache

import cv2
import numpy as np

from associative_embedding.skeleton import Skeleton, split_side
from associative_embedding.strokes import (
    RIM,
    WHITE,
    Colour,
    Plate,
    check_picture,
    contact_sheet,
    draw_dot,
    draw_label,
    draw_line,
    palette,
    to_colour,
    write_text,
)
from associative_embedding.types import Array, Detections, Groups, Instances

SIDE_COLOURS: dict[str, Colour] = {"l": (0, 229, 255), "r": (255, 145, 0), "": WHITE}  # left, right, middle
INK: Colour = (40, 44, 52)
PALE: Colour = (226, 229, 234)
DROPPED: Colour = (176, 180, 186)


MIN_KEYPOINT_SCORE = 0.1  # of a keypoint in pictures: those that decoding fills in below it are guesses, not shown


def draw_instances(
    image: Array,
    instances: Instances,
    *,
    scores: bool = False,
    threshold: float = MIN_KEYPOINT_SCORE,
    boxes: bool = False,
) -> Array:
    """The image with the skeletons over it; the best instance lies on top.

    Limbs have the colour of their instance; keypoints are cyan on the left, orange on the right and white in the
    middle. Widths follow the size of the instance, within bounds of the size of the image.

    Args:
        image: ``(H, W, 3)`` uint8 RGB of ``instances.image_size``.
        scores: write each instance's score beside it.
        threshold: keypoints with a lower score, in [0, 1], are not drawn, nor are their limbs.
        boxes: draw the box around the drawn keypoints.

    Raises:
        ValueError: for an image of another shape, type or size, or a threshold outside of [0, 1].
    """
    check_picture(image)
    if image.shape[:2] != tuple(instances.image_size):
        raise ValueError(f"image is {image.shape[:2]}, but the instances were found in one of {instances.image_size}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], not {threshold}")
    canvas = image.copy()
    colours = palette(len(instances))
    labels = []
    for i in reversed(range(len(instances))):
        keypoints = np.asarray(instances.keypoints[i], dtype=np.float64)
        shown = (keypoints[:, 2] > 0) & (keypoints[:, 2] >= threshold) & np.isfinite(keypoints).all(axis=1)
        if not shown.any():
            continue
        xy = keypoints[:, :2]
        low, high = xy[shown].min(axis=0), xy[shown].max(axis=0)
        radius = limb_radius((low, high), image.shape[:2])
        colour = to_colour(colours[i])
        if boxes:
            _draw_box(canvas, low - 2.5 * radius, high + 2.5 * radius, radius * 0.7, colour)
        _draw_skeleton(canvas, xy, shown, instances.skeleton, radius, colour)
        if scores:
            labels.append((f"{instances.score[i]:.2f}", low - 2.5 * radius, colour))
    plates: list[Plate] = []
    for text, corner, colour in reversed(labels):  # after all people, so that no limb hides a number
        draw_label(canvas, text, corner, colour, plates)
    return canvas


def limb_radius(box: tuple[Array, Array], size: tuple[int, int]) -> float:
    """Half the width of a limb, in pixels, of a person between two corners in an image of (H, W)."""
    image_scale = math.sqrt(size[0] * size[1])
    person = float(np.hypot(*(box[1] - box[0])))
    return float(np.clip(0.0075 * person + 0.7, 0.0017 * image_scale + 1, 0.0045 * image_scale + 1))


def draw_tag_plot(detections: Detections, groups: Groups, skeleton: Skeleton) -> Array:
    """The tags of one image as in the paper's figure 4: a row per keypoint type, a dot per detection.

    The x axis is the tag, or for ``D > 1`` its first principal component. A dot has its group's colour (that of the
    instance in `draw_instances` when groups and instances have the same order), a dropped detection is grey; the
    vertical lines are the groups' mean tags.

    Args:
        detections: ``step`` is the index of the keypoint type.
        groups: ``group (M,)`` of the same detections.

    Raises:
        ValueError: when the lengths differ, a step is no keypoint type, a group is none, or a tag is not finite.
    """
    if len(groups.group) != len(detections):
        raise ValueError(f"{len(groups.group)} group numbers for {len(detections)} detections")
    if len(detections) and not 0 <= detections.step.min() <= detections.step.max() < len(skeleton):
        raise ValueError(f"a detection's step is outside of the skeleton's {len(skeleton)} keypoint types")
    if len(detections) and not -1 <= groups.group.min() <= groups.group.max() < len(groups):
        raise ValueError(f"a detection's group is none of the {len(groups)}, nor -1")
    tags = np.concatenate([detections.tag, groups.tag]).astype(np.float64)
    if not np.isfinite(tags).all():
        raise ValueError("a tag is not finite")
    x, axis = _first_component(tags, len(detections))
    row, left, top, width = 26, 150, 16, 640
    height = row * len(skeleton)
    canvas = np.full((top + height + 56, left + width + 24, 3), 255, np.uint8)
    low, high = (float(x.min()), float(x.max())) if len(x) else (0.0, 0.0)
    margin = 0.04 * (high - low) or 0.5
    place = left + width * (x - low + margin) / (high - low + 2 * margin)

    for k, name in enumerate(skeleton.keypoints):
        y = top + row * (k + 0.5)
        draw_line(canvas, (left, y), (left + width, y), 0.5, PALE)
        write_text(canvas, name, (left - 12, y), 13, INK, anchor="rm")
    for value in _ticks(low - margin, high + margin):
        tick = left + width * (value - low + margin) / (high - low + 2 * margin)
        draw_line(canvas, (tick, top + height), (tick, top + height + 4), 0.5, INK)
        write_text(canvas, f"{value:g}", (tick, top + height + 14), 12, INK, anchor="mm")
    draw_line(canvas, (left, top + height), (left + width, top + height), 0.6, INK)
    write_text(canvas, axis, (left + width / 2, top + height + 38), 13, INK, anchor="mm")

    colours = palette(len(groups))
    for mean, colour in zip(place[len(detections) :], colours, strict=True):
        draw_line(canvas, (mean, top), (mean, top + height), 0.6, to_colour(colour // 2 + 127))
    for i in np.argsort(detections.score, kind="stable"):
        group = int(groups.group[i])
        centre = (place[i], top + row * (detections.step[i] + 0.5))
        draw_dot(canvas, centre, 6, DROPPED if group < 0 else to_colour(colours[group]), rim=0.8)
    return canvas


def draw_tag_maps(image: Array, tag: Array, heatmap: Array, channels: Mapping[str, int]) -> Array:
    """The tag maps of some keypoint types as in the paper's figure 7: the image once for each, tinted by the tag.

    The colour is the tag (one scale for all), its opacity the heatmap: people that the network keeps apart differ in
    colour.

    Args:
        image: ``(H, W, 3)`` uint8 RGB that the maps cover entirely: the network's input, not the image before padding.
        tag: ``(K, h, w)`` tags.
        heatmap: ``(K, h, w)`` scores in [0, 1].
        channels: title -> channel, for instance ``skeleton.index`` for all keypoint types.

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
    return contact_sheet(panels, columns=min(len(panels), 6))


# --- a person


def _draw_skeleton(canvas: Array, xy: Array, shown: Array, skeleton: Skeleton, radius: float, colour: Colour) -> None:
    limbs = [(xy[a], xy[b]) for a, b in skeleton.edge_index if shown[a] and shown[b]]
    rim = max(0.8, 0.4 * radius)
    for a, b in limbs:  # all rims first: a rim must not cut through a limb of the same person
        draw_line(canvas, a, b, radius + rim, RIM)
    for a, b in limbs:
        draw_line(canvas, a, b, radius, colour)
    sides = _sides(skeleton)
    for k in np.flatnonzero(shown):
        draw_dot(canvas, xy[k], radius * 1.45, SIDE_COLOURS[sides[k]], rim=rim)


@cache
def _sides(skeleton: Skeleton) -> tuple[str, ...]:
    """l, r or nothing for each keypoint type: by its name, else by its flip pair, whose first is left."""
    pairs = {name: side for pair in skeleton.flip_pairs for name, side in zip(pair, "lr", strict=True)}
    named = [split_side(name) for name in skeleton.keypoints]
    return tuple(part[0] if part else pairs.get(name, "") for part, name in zip(named, skeleton.keypoints, strict=True))


def _draw_box(canvas: Array, low: Array, high: Array, radius: float, colour: Colour) -> None:
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    sides = list(zip(corners, corners[1:] + corners[:1], strict=True))
    for a, b in sides:
        draw_line(canvas, a, b, radius + 0.8, RIM)
    for a, b in sides:
        draw_line(canvas, a, b, radius, colour)


# --- tags


def _first_component(tags: Array, count: int) -> tuple[Array, str]:
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


def _ticks(low: float, high: float) -> list[float]:
    """About six round numbers in a range."""
    rough = (high - low) / 6
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(i * step, 12) for i in range(first, last + 1)]


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
