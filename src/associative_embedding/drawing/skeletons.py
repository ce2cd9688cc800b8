"""Pictures of what was found: skeletons over an image, or masks (`draw_masks`).

Every picture is ``(H, W, 3)`` uint8 RGB. Each shape has a dark rim, so that it shows on any background.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache

import numpy as np

from associative_embedding.draw_masks import COLOURS, draw_masks
from associative_embedding.skeleton import Skeleton, split_side
from associative_embedding.strokes import (
    RIM,
    WHITE,
    Colour,
    Plate,
    check_picture,
    draw_box,
    draw_dot,
    draw_label,
    draw_line,
    palette,
    to_colour,
)
from associative_embedding.types import Array, Instances

SIDE_COLOURS: dict[str, Colour] = {"l": (0, 229, 255), "r": (255, 145, 0), "": WHITE}  # left, right, middle
GREY = 150  # of an instance that has no track yet
MIN_KEYPOINT_SCORE = 0.1  # of a keypoint in pictures: those that decoding fills in below it are guesses, not shown


def draw_instances(
    image: Array,
    instances: Instances,
    *,
    scores: bool = False,
    threshold: float = MIN_KEYPOINT_SCORE,
    boxes: bool = False,
    trails: Mapping[int, Array] | None = None,
) -> Array:
    """The image with the skeletons or masks over it; the best instance lies on top.

    Limbs have the colour of their instance; keypoints are cyan on the left, orange on the right and white in the
    middle. Widths follow the size of the instance, within bounds of the size of the image. Of masks, see
    `draw_masks.draw_masks`. Instances with a track id have its colour and number, in every frame the same; those that
    have none yet are grey.

    Args:
        image: ``(H, W, 3)`` uint8 RGB of ``instances.image_size``.
        scores: write each instance's score beside it; into a mask, and with several classes the class before it, only
            where it fits.
        threshold: keypoints with a lower score, in [0, 1], are not drawn, nor are their limbs. Nothing to masks.
        boxes: draw the box around the drawn keypoints or the mask.
        trails: track id -> ``(n, 2)`` where it was, oldest first, in image pixels; drawn below.

    Raises:
        ValueError: for an image of another shape, type or size, or a threshold outside of [0, 1].
    """
    check_picture(image)
    if image.shape[:2] != tuple(instances.image_size):
        raise ValueError(f"image is {image.shape[:2]}, but the instances were found in one of {instances.image_size}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], not {threshold}")
    canvas = image.copy()
    for number, points in (trails or {}).items():
        draw_trail(canvas, points, to_colour(track_colours(np.array([number]))[0]))
    texts = _texts(instances, scores)
    if instances.masks is not None:
        colours = None if instances.track_id is None else track_colours(instances.track_id)
        draw_masks(canvas, instances.masks, texts=texts, boxes=boxes, colours=colours)
    elif instances.skeleton is not None:
        _draw_skeletons(canvas, instances, instances.skeleton, texts=texts, threshold=threshold, boxes=boxes)
    return canvas


def _texts(instances: Instances, scores: bool) -> list[str]:
    """What is written beside each instance: its track, its class where there are several, its score."""
    texts = []
    for i in range(len(instances)):
        words = []
        if instances.track_id is not None and instances.track_id[i] >= 0:
            words.append(f"#{instances.track_id[i]}")
        if scores and instances.masks is not None and len(instances.class_names) > 1:
            class_id = int(instances.class_id[i])
            words.append(str(instances.class_names.get(class_id, class_id)))
        texts.append(" ".join([*words, f"{instances.score[i]:.2f}"] if scores else words))
    return texts


def track_colours(track_id: Array) -> Array:
    """``(N, 3)`` uint8 RGB: of each track its own, grey for -1."""
    colours = palette(COLOURS)[(track_id - 1) % COLOURS]
    return np.where((track_id >= 0)[:, None], colours, np.uint8(GREY))


def draw_trail(canvas: Array, points: Array, colour: Colour) -> None:
    """The way of a track, fading towards the past; drawn upon the picture."""
    width = max(0.7, 0.0012 * math.sqrt(canvas.shape[0] * canvas.shape[1]))
    for i in range(len(points) - 1):
        share = (i + 1) / len(points)
        draw_line(canvas, points[i], points[i + 1], width * (0.4 + 0.6 * share), colour)


def _draw_skeletons(
    canvas: Array, instances: Instances, skeleton: Skeleton, *, texts: list[str], threshold: float, boxes: bool
) -> None:
    colours = palette(len(instances)) if instances.track_id is None else track_colours(instances.track_id)
    labels = []
    for i in reversed(range(len(instances))):
        keypoints = np.asarray(instances.keypoints[i], dtype=np.float64)
        shown = (keypoints[:, 2] > 0) & (keypoints[:, 2] >= threshold) & np.isfinite(keypoints).all(axis=1)
        if not shown.any():
            continue
        xy = keypoints[:, :2]
        low, high = xy[shown].min(axis=0), xy[shown].max(axis=0)
        radius = limb_radius((low, high), canvas.shape[:2])
        colour = to_colour(colours[i])
        if boxes:
            draw_box(canvas, low - 2.5 * radius, high + 2.5 * radius, radius * 0.7, colour)
        _draw_skeleton(canvas, xy, shown, skeleton, radius, colour)
        if texts[i]:
            labels.append((texts[i], low - 2.5 * radius, colour))
    plates: list[Plate] = []
    for text, corner, colour in reversed(labels):  # after all people, so that no limb hides a number
        draw_label(canvas, text, corner, colour, plates)


def limb_radius(box: tuple[Array, Array], size: tuple[int, ...]) -> float:
    """Half the width of a limb, in pixels, of a person between two corners in an image of (H, W)."""
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
    sides = _sides(skeleton)
    for k in np.flatnonzero(shown):
        draw_dot(canvas, xy[k], radius * 1.45, SIDE_COLOURS[sides[k]], rim=rim)


@cache
def _sides(skeleton: Skeleton) -> tuple[str, ...]:
    """l, r or nothing for each keypoint type: by its name, else by its flip pair, whose first is left."""
    pairs = {name: side for pair in skeleton.flip_pairs for name, side in zip(pair, "lr", strict=True)}
    named = [split_side(name) for name in skeleton.keypoints]
    return tuple(part[0] if part else pairs.get(name, "") for part, name in zip(named, skeleton.keypoints, strict=True))
