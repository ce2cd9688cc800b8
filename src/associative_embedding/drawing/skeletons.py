"""Draws skeletons and the trails of tracks on a picture.

A picture is ``(H, W, 3)`` uint8 RGB. Each shape has a dark rim, so it can be seen on any background.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from associative_embedding.drawing.canvas import Plate, draw_box, draw_dot, draw_label, draw_line
from associative_embedding.drawing.palette import COLOURS, RIM, WHITE, Colour, palette, to_colour
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.keypoint_sides import split_side
from associative_embedding.structures.skeleton import Skeleton

SIDE_COLOURS: dict[str, Colour] = {"l": (0, 229, 255), "r": (255, 145, 0), "": WHITE}  # left, right, middle
GREY = 150  # of an instance without a track
MIN_KEYPOINT_SCORE = 0.1  # of a drawn keypoint: decoding also returns weaker ones, which are mostly guesses
BOX_MARGIN = 2.5  # between the keypoints and their box, in radii of the limbs


def track_colours(track_id: Array) -> Array:
    """Returns the colour of each track, the same in every frame; grey for -1.

    Args:
        track_id: ``(N,)`` int64.

    Returns:
        ``(N, 3)`` uint8 RGB.
    """
    colours = palette(COLOURS)[(track_id - 1) % COLOURS]
    return np.where((track_id >= 0)[:, None], colours, np.uint8(GREY))


def draw_trail(canvas: Array, points: Array, colour: Colour) -> None:
    """Draws the path of a track; it becomes thinner towards the past.

    Args:
        canvas: ``(H, W, 3)`` uint8 RGB, changed in place.
        points: ``(n, 2)`` x, y in pixels, the oldest first.
        colour: of the track.
    """
    width = max(0.7, 0.0012 * math.sqrt(canvas.shape[0] * canvas.shape[1]))
    for i in range(len(points) - 1):
        share = (i + 1) / len(points)
        draw_line(canvas, points[i], points[i + 1], width * (0.4 + 0.6 * share), colour)


def draw_skeletons(
    canvas: Array,
    keypoints: Array,
    skeleton: Skeleton,
    *,
    texts: Sequence[str] = (),
    threshold: float = MIN_KEYPOINT_SCORE,
    boxes: bool = False,
    colours: Array | None = None,
) -> None:
    """Draws people on a picture; the first person lies on top.

    Args:
        canvas: ``(H, W, 3)`` uint8 RGB, changed in place.
        keypoints: ``(N, K, 3)`` x, y in pixels and score in [0, 1]; K = ``len(skeleton)``. A score of 0 means missing.
        skeleton: edges and sides of the K keypoint types.
        texts: N texts, written beside the people; or none.
        threshold: in [0, 1]; keypoints with a lower score are not drawn, nor their limbs.
        boxes: draw the box around the drawn keypoints.
        colours: ``(N, 3)`` uint8 RGB of the limbs; default: the palette's.
    """
    colours = palette(len(keypoints)) if colours is None else colours
    labels = []
    for i in reversed(range(len(keypoints))):
        person = np.asarray(keypoints[i], dtype=np.float64)
        shown = (person[:, 2] > 0) & (person[:, 2] >= threshold) & np.isfinite(person).all(axis=1)
        if not shown.any():
            continue
        xy = person[:, :2]
        low, high = xy[shown].min(axis=0), xy[shown].max(axis=0)
        radius = limb_radius((low, high), canvas.shape[:2])
        margin = BOX_MARGIN * radius
        colour = to_colour(colours[i])
        if boxes:
            draw_box(canvas, low - margin, high + margin, radius * 0.7, colour)
        _draw_skeleton(canvas, xy, shown, skeleton, radius, colour)
        if texts and texts[i]:
            labels.append((texts[i], low - margin, colour))
    plates: list[Plate] = []
    for text, corner, colour in reversed(labels):  # after all people, so that no limb hides a text
        draw_label(canvas, text, corner, colour, plates)


def limb_radius(box: tuple[Array, Array], size: tuple[int, ...]) -> float:
    """Returns half the width of a person's limbs, pixels.

    It grows with the person, within bounds that grow with the image: people in the distance stay visible.

    Args:
        box: two opposite corners x, y around the person.
        size: (H, W) of the image.
    """
    image_scale = math.sqrt(size[0] * size[1])
    person = float(np.hypot(*(box[1] - box[0])))
    return float(np.clip(0.0075 * person + 0.7, 0.0017 * image_scale + 1, 0.0045 * image_scale + 1))


def _draw_skeleton(canvas: Array, xy: Array, shown: Array, skeleton: Skeleton, radius: float, colour: Colour) -> None:
    limbs = [(xy[a], xy[b]) for a, b in skeleton.edge_index if shown[a] and shown[b]]
    rim = max(0.8, 0.4 * radius)
    for a, b in limbs:  # all rims first: a rim must not cut through a limb of the same person
        draw_line(canvas, a, b, radius + rim, RIM)
    for a, b in limbs:
        draw_line(canvas, a, b, radius, colour)
    sides = keypoint_sides(skeleton)
    for k in np.flatnonzero(shown):
        draw_dot(canvas, xy[k], radius * 1.45, SIDE_COLOURS[sides[k]], rim=rim)


@cache
def keypoint_sides(skeleton: Skeleton) -> tuple[str, ...]:
    """Returns "l", "r" or "" for each keypoint type: by its name, else by its flip pair, of which the first is left."""
    pairs = {name: side for pair in skeleton.flip_pairs for name, side in zip(pair, "lr", strict=True)}
    splits = [(name, split_side(name)) for name in skeleton.keypoints]
    return tuple(split[0] if split else pairs.get(name, "") for name, split in splits)
