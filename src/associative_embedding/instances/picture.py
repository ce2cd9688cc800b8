"""Instances over their image: a picture with skeletons or masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from associative_embedding.drawing.canvas import check_picture
from associative_embedding.drawing.masks import draw_masks
from associative_embedding.drawing.palette import to_colour
from associative_embedding.drawing.skeletons import (
    MIN_KEYPOINT_SCORE,
    SkeletonStyle,
    draw_skeletons,
    draw_trail,
    track_colours,
)
from associative_embedding.instances.found import Found
from associative_embedding.io.optional_packages import need
from associative_embedding.structures.arrays import Array

NOTEBOOK_SIDE = 800  # pixels; a photo of a camera would make a notebook of 20 MB


def draw_instances(
    image: Array,
    instances: Found,
    *,
    scores: bool = False,
    threshold: float = MIN_KEYPOINT_SCORE,
    boxes: bool = False,
    names: bool = False,
    legend: bool = False,
    trails: Mapping[int, Array] | None = None,
) -> Array:
    """Returns a copy of the image with skeletons or masks over it; the first instance lies on top.

    A limb has the colour of its instance. Keypoints are cyan on the left, orange on the right and white in the middle;
    where the sides of a skeleton are not known, each keypoint type has its own colour.
    Lines are wider for larger instances, within bounds that grow with the image. For masks, see
    `drawing.masks.draw_masks`. Instances with a track have its colour and number, the same in every frame; those
    without one are grey.

    Args:
        image: ``(H, W, 3)`` uint8 RGB of ``instances.image_size``.
        instances: what to draw.
        scores: write each instance's score at its head. In a mask it is written where it fits, after the class if there
            are several classes.
        threshold: in [0, 1]; keypoints with a lower score are not drawn, nor their limbs. Has no effect on masks.
        boxes: draw the box around the drawn keypoints or the mask.
        names: write the names of keypoints beside them, where there is room. Has no effect on masks.
        legend: explain the colours of keypoints in a corner. Has no effect on masks.
        trails: track id -> ``(n, 2)`` x, y in image pixels, the path of the track, oldest first; drawn below all else.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        ValueError: for an image of another shape, type or size, or a threshold outside of [0, 1].
    """
    check_picture(image)
    if image.shape[:2] != tuple(instances.image_size):
        raise ValueError(f"image is {image.shape[:2]}, but the instances were found in one of {instances.image_size}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], not {threshold}")
    canvas = image.copy()
    # Trails first: people and masks must not be hidden by them.
    for number, points in (trails or {}).items():
        draw_trail(canvas, points, to_colour(track_colours(np.array([number]))[0]))
    texts = _texts(instances, scores)
    colours = None if instances.track_id is None else track_colours(instances.track_id)
    if instances.masks is not None:
        draw_masks(canvas, instances.masks, texts=texts, boxes=boxes, colours=colours)
    elif instances.skeleton is not None:
        style = SkeletonStyle(threshold, boxes, names, legend)
        draw_skeletons(canvas, instances.keypoints, instances.skeleton, style, texts=texts, colours=colours)
    return canvas


def _texts(instances: Found, scores: bool) -> list[str]:
    """Returns the text of each instance: its track, its class if there are several, its score."""
    texts = []
    for i in range(len(instances)):
        words: list[str] = []
        if instances.track_id is not None and instances.track_id[i] >= 0:  # -1: no track yet
            words.append(f"#{instances.track_id[i]}")
        if scores and instances.masks is not None and len(instances.class_names) > 1:
            class_id = int(instances.class_id[i])
            words.append(str(instances.class_names.get(class_id, class_id)))
        texts.append(" ".join([*words, f"{instances.score[i]:.2f}"] if scores else words))
    return texts


def notebook_png(instances: Found) -> bytes | None:
    """Returns the picture as a PNG of at most `NOTEBOOK_SIDE` pixels, or None if the instances keep no image."""
    if instances.image is None:
        return None
    picture = draw_instances(instances.image, instances)
    shrink = NOTEBOOK_SIDE / max(picture.shape[:2])
    if shrink < 1:
        picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".png", picture[:, :, ::-1])[1])


def plot(instances: Found, axes: Any = None) -> Any:
    """Draws the picture into axes of matplotlib, by default those in use, and returns them.

    Raises:
        ValueError: without an image, or when matplotlib is not installed (extra ``[notebook]``).
    """
    picture = instances.draw()
    axes = axes or need("matplotlib.pyplot", "notebook", "a plot").gca()
    axes.imshow(picture)
    axes.set_axis_off()
    return axes
