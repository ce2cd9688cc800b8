"""Draws skeletons and the trails of tracks on a picture.

A picture is ``(H, W, 3)`` uint8 RGB. Each shape has a dark rim, so it can be seen on any background.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from associative_embedding.drawing.canvas import Plate, draw_box, draw_dot, draw_lines, font_size
from associative_embedding.drawing.labels import Label, draw_labels, draw_legend, draw_names
from associative_embedding.drawing.palette import COLOURS, RIM, WHITE, Colour, palette, to_colour
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.keypoint_sides import split_side, words_of
from associative_embedding.structures.skeleton import Skeleton

SIDE_COLOURS: dict[str, Colour] = {"l": (0, 229, 255), "r": (255, 145, 0), "": WHITE}  # left, right, middle
SIDE_NAMES = {"l": "left", "r": "right", "": "middle"}
# The words in names of keypoints of the head; a label is written there.
HEAD_WORDS = frozenset(
    "head nose eye eyes ear ears mouth snout beak face forehead muzzle chin jaw antenna antennae skull crown".split()
)
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
    share = np.arange(1, len(points)) / len(points)
    draw_lines(canvas, np.stack([points[:-1], points[1:]], axis=1), width * (0.4 + 0.6 * share), colour)


@dataclass(frozen=True)
class SkeletonStyle:
    """How skeletons are drawn.

    Attributes:
        threshold: in [0, 1]; keypoints with a lower score are not drawn, nor their limbs.
        boxes: draw the box around the drawn keypoints.
        names: write the names of keypoints beside them, where there is room.
        legend: explain the colours of keypoints in a corner.
    """

    threshold: float = MIN_KEYPOINT_SCORE
    boxes: bool = False
    names: bool = False
    legend: bool = False


def draw_skeletons(
    canvas: Array,
    keypoints: Array,
    skeleton: Skeleton,
    style: SkeletonStyle | None = None,
    *,
    texts: Sequence[str] = (),
    colours: Array | None = None,
) -> None:
    """Draws people on a picture; the first person lies on top.

    Args:
        canvas: ``(H, W, 3)`` uint8 RGB, changed in place.
        keypoints: ``(N, K, 3)`` x, y in pixels and score in [0, 1]; K = ``len(skeleton)``. A score of 0 means missing.
        skeleton: edges and sides of the K keypoint types.
        style: what is drawn; default: limbs and dots.
        texts: N texts, written at the heads of the people; or none.
        colours: ``(N, 3)`` uint8 RGB of the limbs; default: the palette's.
    """
    style = style or SkeletonStyle()
    colours = palette(len(keypoints)) if colours is None else colours
    score = keypoints[:, :, 2]
    shown = (score > 0) & (score >= style.threshold) & np.isfinite(keypoints).all(axis=2)  # (N, K)
    people = [
        _Person(np.asarray(keypoints[i, :, :2], np.float64), shown[i], canvas.shape[:2], to_colour(colours[i]))
        for i in range(len(keypoints))
    ]
    for person in reversed(people):
        if person.shown.any():
            if style.boxes:
                margin = BOX_MARGIN * person.radius
                draw_box(canvas, person.low - margin, person.high + margin, person.radius * 0.7, person.colour)
            _draw_skeleton(canvas, person, skeleton)
    # After all people, so that no limb hides a text.
    points, plates = keypoints[shown][:, :2].astype(np.float64), list[Plate]()
    written = [(person, text) for person, text in zip(people, texts, strict=False) if text and person.shown.any()]
    draw_labels(canvas, [_label(person, text, skeleton, canvas) for person, text in written], points, plates)
    if style.legend and len(keypoints):
        draw_legend(canvas, legend_entries(skeleton), points, plates)
    if style.names:
        for person in people:
            names = [name for name, drawn in zip(skeleton.keypoints, person.shown, strict=True) if drawn]
            draw_names(canvas, names, person.xy[person.shown], 1.45 * person.radius, plates)


class _Person:
    """What is drawn of one person: keypoints, the box around those drawn, and half the width of limbs."""

    def __init__(self, xy: Array, shown: Array, size: tuple[int, ...], colour: Colour) -> None:
        self.xy, self.shown, self.colour = xy, shown, colour
        self.low = xy[shown].min(axis=0, initial=np.inf)
        self.high = xy[shown].max(axis=0, initial=-np.inf)
        self.radius = limb_radius((self.low, self.high), size) if shown.any() else 0.0


def _label(person: _Person, text: str, skeleton: Skeleton, canvas: Array) -> Label:
    """Returns the label of a person, at its head: the keypoints of the head, or the highest keypoint."""
    head = person.shown & np.array(_is_head(skeleton))
    if not head.any():
        head = person.shown & (person.xy[:, 1] == person.low[1])
    middle, points = person.xy[head].mean(axis=0), person.xy[head]
    height = float(np.hypot(*(person.high - person.low)))
    radius = float(np.hypot(*(points - middle).T).max()) + 3 * person.radius
    rest = person.xy[person.shown & ~head]
    away = middle - rest.mean(axis=0) if len(rest) else np.zeros(2)
    full = font_size(canvas)
    size = round(float(np.clip(0.14 * height, max(10.0, 0.6 * full), full)))
    return Label(text, middle, min(radius, 0.25 * height + 3 * person.radius), away, size, person.colour)


@cache
def _is_head(skeleton: Skeleton) -> tuple[bool, ...]:
    return tuple(bool(HEAD_WORDS & set(words_of(name))) for name in skeleton.keypoints)


@cache
def keypoint_colours(skeleton: Skeleton) -> tuple[Colour, ...]:
    """Returns the colour of each keypoint type: that of its side, or one of its own where no side is known."""
    sides = keypoint_sides(skeleton)
    if any(sides):
        return tuple(SIDE_COLOURS[side] for side in sides)
    level = np.linspace(0.08, 0.92, len(sides))  # the ends of the colour map are too dark
    row = cv2.applyColorMap((level * 255).astype(np.uint8)[None], cv2.COLORMAP_TURBO)[0, :, ::-1]
    return tuple(to_colour(colour) for colour in row)


def legend_entries(skeleton: Skeleton) -> list[tuple[str, Colour]]:
    """Returns what the colours of keypoints mean: the sides, or the keypoint types where no side is known."""
    sides = keypoint_sides(skeleton)
    if not any(sides):
        return list(zip(skeleton.keypoints, keypoint_colours(skeleton), strict=True))
    return [(name, SIDE_COLOURS[side]) for side, name in SIDE_NAMES.items() if side in sides]


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


def _draw_skeleton(canvas: Array, person: _Person, skeleton: Skeleton) -> None:
    xy, shown, radius = person.xy, person.shown, person.radius
    limbs = xy[skeleton.edge_index[shown[skeleton.edge_index].all(axis=1)]]  # (n, 2, 2)
    rim = max(0.8, 0.4 * radius)
    # all rims first: a rim must not cut through a limb of the same person
    for half, colour in ((radius + rim, RIM), (radius, person.colour)):
        draw_lines(canvas, limbs, np.full(len(limbs), half), colour)
    colours = keypoint_colours(skeleton)
    for k in np.flatnonzero(shown):
        draw_dot(canvas, xy[k], radius * 1.45, colours[k], rim=rim)


@cache
def keypoint_sides(skeleton: Skeleton) -> tuple[str, ...]:
    """Returns "l", "r" or "" for each keypoint type: by its name, else by its flip pair, of which the first is left."""
    pairs = {name: side for pair in skeleton.flip_pairs for name, side in zip(pair, "lr", strict=True)}
    splits = [(name, split_side(name)) for name in skeleton.keypoints]
    return tuple(split[0] if split else pairs.get(name, "") for name, split in splits)
