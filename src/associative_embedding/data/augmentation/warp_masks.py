"""Warps masks to the network's input, crop by crop: the cost grows with the masks, not with the image."""

from __future__ import annotations

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry, reduction, resample
from associative_embedding.structures.masks import Masks, trim


def warp_masks(masks: Masks, geometry: ImageGeometry) -> Masks:
    """Returns the N masks in the input pixels of a geometry; a mask outside of the input becomes empty.

    A pixel belongs to a mask if the mask covers at least half of it. The result equals `warp` of dense masks up to
    rounding: OpenCV 4 samples in steps of 1/32 pixel.

    Args:
        masks: in image pixels.
        geometry: image -> input.
    """
    grid = reduction(geometry)
    shape = np.array([crop.shape for crop in masks.crops], np.int64).reshape(-1, 2)
    # Crops grow to the grid of the squares that `warp` averages, so that the same pixels are averaged together.
    before, after = masks.corners % grid, -(masks.corners + shape) % grid
    first = masks.corners - before
    low, high = input_windows(first, masks.corners + shape + after, geometry)
    shift = geometry.to_input(first[:, ::-1]) - low
    matrix = geometry.matrix * grid
    corners, crops = np.zeros((len(masks), 2), np.int64), [np.zeros((0, 0), bool)] * len(masks)
    for i in np.flatnonzero((low < high).all(axis=1) & (shape > 0).all(axis=1)).tolist():
        matrix[:, 2] = shift[i]
        width, height = (high[i] - low[i]).tolist()
        level = averaged(masks.crops[i], before[i], after[i], grid)
        corner, crops[i] = trim(resample(level, matrix, (height, width)) >= 128)
        corners[i] = low[i, ::-1] + corner
    return Masks(geometry.input_size, corners, tuple(crops))


def input_windows(first: Array, last: Array, geometry: ImageGeometry) -> tuple[Array, Array]:
    """Returns the windows of the input that contain N boxes of the image.

    Args:
        first, last: ``(N, 2)`` y, x of the boxes in the image; `last` is one past the end.
        geometry: image -> input.

    Returns:
        ``(N, 2)`` int64 first and ``(N, 2)`` one past the last x, y. For a box outside of the input, a side is empty:
        first >= last.
    """
    y, x = np.stack([first, last], axis=-1).transpose(1, 0, 2)  # each (N, 2), from and to
    outline = geometry.to_input(np.stack([x[:, [0, 1, 0, 1]], y[:, [0, 0, 1, 1]]], axis=-1))
    low = np.maximum(np.floor(outline.min(axis=1)), 0)
    high = np.minimum(np.ceil(outline.max(axis=1)), geometry.input_size[::-1])
    return low.astype(int), high.astype(int)


def averaged(crop: Array, before: Array, after: Array, grid: int) -> Array:
    """Returns the share of each square of `grid` x `grid` pixels that a crop covers, uint8 in 0..255.

    Args:
        crop: ``(h, w)`` bool.
        before, after: y, x pixels by which the squares reach beyond the crop.
        grid: side of a square in pixels.
    """
    level = np.multiply(crop, 255, dtype=np.uint8)
    if grid == 1:
        return level
    level = cv2.copyMakeBorder(level, before[0], after[0], before[1], after[1], cv2.BORDER_CONSTANT)
    return cv2.resize(level, (level.shape[1] // grid, level.shape[0] // grid), interpolation=cv2.INTER_AREA)
