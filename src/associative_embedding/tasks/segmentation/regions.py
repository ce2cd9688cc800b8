"""Labelled pixels of a map -> clean regions of the image."""

from __future__ import annotations

import math

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.masks import Masks, trim

DROPPED = -1  # label of foreground that belongs to no object, and must not be given to the object beside it


def to_image(heatmap: Array, labels: Array, geometry: ImageGeometry) -> tuple[Array, Array]:
    """Resamples the heatmap (bilinear) and the labels (nearest) to every pixel of the image, both ``(H, W)``.

    Args:
        heatmap: ``(h, w)`` float32.
        labels: ``(h, w)`` int32 below 2^24.
    """
    height, width = geometry.image_size
    linear = geometry.matrix[:, :2] / geometry.stride
    # From index to index, as OpenCV counts; the geometry's coordinates have pixel centres at i + 0.5.
    offset = linear @ np.array([0.5, 0.5]) + geometry.matrix[:, 2] / geometry.stride - 0.5
    matrix = np.column_stack([linear, offset])

    def at_pixels(value: Array, interpolation: int) -> Array:
        flags = interpolation | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(value, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)

    # OpenCV resamples no int32; float32 holds integers exactly below 2^24.
    moved = at_pixels(labels.astype(np.float32), cv2.INTER_NEAREST)
    return at_pixels(heatmap.astype(np.float32), cv2.INTER_LINEAR), np.rint(moved).astype(np.int32)


def fill_labels(labels: Array, foreground: Array, reach: float) -> Array:
    """Restricts labels to the foreground, and gives unlabelled foreground the label of the nearest labelled pixel.

    The result is 0 where the nearest label is farther than `reach` pixels away, or is `DROPPED`.

    Args:
        labels: ``(H, W)`` int32, 0 = none.
        foreground: ``(H, W)`` bool.
    """
    missing = labels == 0
    if not missing.any() or missing.all():
        return np.where(foreground, labels, 0).clip(0)
    distance, nearest = cv2.distanceTransformWithLabels(
        missing.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_pixel = np.zeros(int(nearest.max()) + 1, np.int32)
    of_pixel[nearest[~missing]] = labels[~missing]
    return np.where(foreground & (distance <= reach), of_pixel[nearest], 0).clip(0)


def fill_reach(geometry: ImageGeometry) -> float:
    """Returns how far the edge of a labelled map pixel may lie from its object's outline, image pixels."""
    # One and a half map pixels along the diagonal, and one image pixel for rounding.
    return 1 + 1.5 * geometry.stride / geometry.scale * math.sqrt(2)


def clean(masks: Masks, min_size: int, *, split: bool) -> tuple[Masks, Array]:
    """Drops connected regions under `min_size` pixels.

    Args:
        masks: M.
        min_size: pixels.
        split: every connected region becomes a mask; otherwise all regions of a mask stay together.

    Returns:
        N masks, and the number of the mask that each comes from, ``(N,)`` int64.
    """
    corners, crops, source = [], [], []
    for i, crop in enumerate(masks.crops):
        for part in connected(crop, min_size, split=split):
            corner, trimmed = trim(part)
            corners.append(masks.corners[i] + corner)
            crops.append(trimmed)
            source.append(i)
    places = np.array(corners, np.int64).reshape(-1, 2)
    return Masks(masks.size, places, tuple(crops)), np.array(source, np.int64)


def connected(crop: Array, min_size: int, *, split: bool) -> list[Array]:
    """Returns the 4-connected regions of a ``(h, w)`` bool mask with at least `min_size` pixels, apart or as one."""
    if not crop.size:
        return []
    count, number, stats, _ = cv2.connectedComponentsWithStats(crop.astype(np.uint8), connectivity=4)
    large = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= min_size]
    if split:
        return [number == i for i in large]
    return [np.isin(number, large)] if large else []


def mean_inside(masks: Masks, value: Array) -> Array:
    """Returns the mean of ``(H, W)`` values inside each mask, ``(N,)``."""
    return np.array([value[masks.window(i)][crop].mean() for i, crop in enumerate(masks.crops)], np.float64)
