"""Regions as they lie in the network's input, crop by crop: the cost grows with them, not with the image."""

from __future__ import annotations

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry, reduction, resample
from associative_embedding.structures.masks import Masks, trim


def warp_masks(masks: Masks, geometry: ImageGeometry) -> Masks:
    """The regions in the input pixels of a geometry, in their order; empty where nothing of one is left.

    Each is warped as `geometry.warp` would warp its picture, and holds the pixels that it covers at least half of.
    """
    grid = reduction(geometry)
    shape = np.array([crop.shape for crop in masks.crops], np.int64).reshape(-1, 2)
    # grown, so that the same squares of pixels are averaged as in the whole image
    before, after = masks.corners % grid, -(masks.corners + shape) % grid
    first = masks.corners - before
    low, high = landing(first, masks.corners + shape + after, geometry)
    shift = geometry.to_input(first[:, ::-1]) - low
    matrix = geometry.matrix * grid
    corners, crops = np.zeros((len(masks), 2), np.int64), [np.zeros((0, 0), bool)] * len(masks)
    for i in np.flatnonzero((low < high).all(axis=1) & (shape > 0).all(axis=1)).tolist():
        matrix[:, 2] = shift[i]
        width, height = (high[i] - low[i]).tolist()
        level = picture(masks.crops[i], before[i], after[i], grid)
        corner, crops[i] = trim(resample(level, matrix, (height, width)) >= 128)
        corners[i] = low[i, ::-1] + corner
    return Masks(geometry.input_size, corners, tuple(crops))


def landing(first: Array, last: Array, geometry: ImageGeometry) -> tuple[Array, Array]:
    """``(N, 2)`` first and one past the last x, y that boxes reach in the input; not in order if they do not reach it.

    Args:
        first, last: ``(N, 2)`` y, x of the boxes in the image.
    """
    y, x = np.stack([first, last], axis=-1).transpose(1, 0, 2)  # each (N, 2), from and to
    outline = geometry.to_input(np.stack([x[:, [0, 1, 0, 1]], y[:, [0, 0, 1, 1]]], axis=-1))
    low = np.maximum(np.floor(outline.min(axis=1)), 0)
    high = np.minimum(np.ceil(outline.max(axis=1)), geometry.input_size[::-1])
    return low.astype(int), high.astype(int)


def picture(crop: Array, before: Array, after: Array, grid: int) -> Array:
    """The crop as levels, 255 inside of the region, averaged over squares of `grid` x `grid` pixels.

    Args:
        before, after: y, x pixels that the squares reach beyond the crop.
    """
    level = np.multiply(crop, 255, dtype=np.uint8)
    if grid == 1:
        return level
    level = cv2.copyMakeBorder(level, before[0], after[0], before[1], after[1], cv2.BORDER_CONSTANT)
    return cv2.resize(level, (level.shape[1] // grid, level.shape[0] // grid), interpolation=cv2.INTER_AREA)
