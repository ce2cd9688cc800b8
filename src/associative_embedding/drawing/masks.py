"""Draws masks on a picture: a translucent fill, a sharp outline, and different colours for neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from associative_embedding.drawing.canvas import Plate, draw_box, draw_label_if_free, label_size
from associative_embedding.drawing.palette import COLOURS, RIM, Colour, colour_distance, palette, to_colour
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks

FILL, SHADE = 0.35, 0.5  # opacity of the inside, and of the dark seam around the outline
MANY = 300  # masks
SIDE_PER_WIDTH = 16  # least side of a mask, in widths of its outline
APART = 60.0  # CIELAB distance from which two colours have different names; neighbours need no more
OVERVIEW = 1024  # pixels of the long side at which neighbours are searched: larger images are sampled, for speed
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def draw_masks(
    canvas: Array, masks: Masks, *, texts: Sequence[str] = (), boxes: bool = False, colours: Array | None = None
) -> None:
    """Draws masks on a picture; the first mask lies on top.

    The outline is the border of the mask itself, one pixel wide in pictures of up to about 700 pixels a side, wider in
    larger ones as far as the mask is large. A dark seam around it makes it visible on bright pictures. From `MANY`
    masks on there are outlines only: between hundreds of colours the picture itself could not be seen.

    Args:
        canvas: ``(H, W, 3)`` uint8 RGB of ``masks.size``, changed in place.
        masks: N masks.
        texts: N texts, or none. A text is written into its mask if the mask is large enough and the place is free.
        boxes: draw the box around each mask.
        colours: ``(N, 3)`` uint8 RGB; default: see `mask_colours`.
    """
    colours = mask_colours(masks) if colours is None else colours
    width = max(1, round(math.sqrt(masks.size[0] * masks.size[1]) / 500))
    fill = FILL if len(masks) < MANY else 0.0
    for i, area in reversed(list(enumerate(masks.area.tolist()))):
        if area:
            own = max(1, min(width, round(math.sqrt(area) / SIDE_PER_WIDTH)))
            _draw_mask(canvas, masks.corners[i], masks.crops[i], to_colour(colours[i]), own, fill)
    if boxes:
        for (x, y, w, h), colour in zip(masks.xywh.tolist(), colours, strict=True):
            draw_box(canvas, np.array([x, y]), np.array([x + w, y + h]), 0.5 * width, to_colour(colour))
    taken: list[Plate] = []
    for i, text in enumerate(texts):
        if text:
            _write_inside(canvas, text, masks.corners[i], masks.crops[i], to_colour(colours[i]), taken)


def _draw_mask(canvas: Array, corner: Array, crop: Array, colour: Colour, width: int, fill: float) -> None:
    """Draws one mask that is not empty.

    Only the crop and the seam around it are computed: hundreds of cells would take too long on whole pictures.

    Args:
        width: of its outline, pixels.
        fill: opacity of its inside.
    """
    region = np.zeros((crop.shape[0] + 2 * width, crop.shape[1] + 2 * width), np.uint8)
    region[width:-width, width:-width] = crop
    inner, outer = (f(region, CROSS, iterations=width) for f in (cv2.erode, cv2.dilate))
    first = corner - width
    low, high = np.maximum(first, 0), np.minimum(first + region.shape, canvas.shape[:2])
    (y0, x0), (y1, x1) = low - first, high - first
    zone = (region + inner + outer)[y0:y1, x0:x1]  # 0 outside, 1 seam, 2 outline, 3 inside
    opacity = np.array([[0], [SHADE], [1], [fill]], np.float32)
    paint = opacity * np.array([RIM, RIM, colour, colour], np.float32) + np.float32(0.5)
    under = canvas[low[0] : high[0], low[1] : high[1]]
    under[:] = (under * (1 - opacity)[zone] + paint[zone]).astype(np.uint8)


def _write_inside(canvas: Array, text: str, corner: Array, crop: Array, colour: Colour, taken: list[Plate]) -> None:
    """Writes a text around the innermost pixel of a mask, if the mask and its box are larger than the text's plate."""
    w, h = label_size(canvas, text)
    if crop.shape[0] < h or crop.shape[1] < w or np.count_nonzero(crop) < w * h:
        return
    depth = cv2.distanceTransform(np.pad(crop, 1).astype(np.uint8), cv2.DIST_L2, 3)
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    # Padding moved the pixel by 1, and its centre is at 0.5.
    draw_label_if_free(canvas, text, np.array([corner[1] + x - 0.5, corner[0] + y - 0.5]), colour, taken)


def mask_colours(masks: Masks) -> Array:
    """Returns ``(N, 3)`` uint8 RGB, different for neighbours.

    Mask i has colour i of the palette, or the next one that is far enough from the colours of its neighbours.
    """
    colours = palette(COLOURS)
    distance = colour_distance(colours)
    chosen = np.arange(len(masks)) % COLOURS
    for i, others in enumerate(_earlier_neighbours(masks)):
        if others:
            turn = (chosen[i] + np.arange(COLOURS)) % COLOURS
            nearest = distance[turn][:, chosen[others]].min(axis=1)
            chosen[i] = turn[np.minimum(nearest, APART).argmax()]  # the first that is far enough, else the farthest
    return colours[chosen]


def _earlier_neighbours(masks: Masks) -> list[list[int]]:
    """Returns, for each mask, the masks before it whose territories meet its own; see `territories`."""
    step = math.ceil(max(1, *masks.size) / OVERVIEW)
    land = territories(masks.labels()[::step, ::step]).astype(np.int64)
    pairs = []
    for a, b in ((land[:, 1:], land[:, :-1]), (land[1:], land[:-1])):
        meet = a != b
        # A pair as one number, so that `unique` needs no second axis.
        pairs.append(np.maximum(a, b)[meet] * (len(masks) + 1) + np.minimum(a, b)[meet])
    found: list[list[int]] = [[] for _ in range(len(masks))]
    for pair in np.unique(np.concatenate(pairs)).tolist():
        later, earlier = divmod(pair, len(masks) + 1)
        found[later - 1].append(earlier - 1)
    return found


def territories(labels: Array) -> Array:
    """Gives each pixel its nearest label, so that masks with a gap between them are neighbours, too.

    Args:
        labels: ``(H, W)``, 0 = background.

    Returns:
        ``(H, W)``; all 0 if there is no label.
    """
    if not labels.any():
        return labels
    _, nearest = cv2.distanceTransformWithLabels(
        (labels == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(nearest.max()) + 1, labels.dtype)
    owner[nearest[labels > 0]] = labels[labels > 0]
    return np.asarray(owner[nearest])
