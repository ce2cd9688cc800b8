"""Regions as the COCO format writes them: boxes, polygons and run-length encodings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pycocotools import mask as rle

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import trim
from associative_embedding.structures.run_lengths import decode_runs, decode_strip


def mark_regions(mask: Array, regions: Iterable[Any], where: str) -> None:
    """Set the pixels of boxes xywh (arrays) and of segmentations; `where` names the image for messages."""
    for region in regions:
        if isinstance(region, np.ndarray):
            fill_box(mask, region, True)
        else:
            mask |= region_mask(region, mask.shape, f"{where}: a crowd's 'segmentation'")


def fill_box(mask: Array, box_xywh: Array, value: bool) -> None:
    """Every pixel that the box touches."""
    high, wide = mask.shape
    x0, y0 = np.clip(np.floor(box_xywh[:2]), 0, (wide, high)).astype(int)
    x1, y1 = np.clip(np.ceil(box_xywh[:2] + box_xywh[2:]), 0, (wide, high)).astype(int)
    mask[y0:y1, x0:x1] = value


def region_mask(segmentation: Any, size: tuple[int, int], where: str) -> Array:
    """``(H, W)`` bool of COCO polygons or a run-length encoding, plain or compressed."""
    try:
        return decode_runs(as_runs(segmentation, size), size)
    except Exception as error:  # pycocotools raises bare Exceptions
        raise ValueError(f"{where} cannot be read ({error})") from None


def region_crop(segmentation: Any, size: tuple[int, int], where: str) -> tuple[tuple[int, int], Array]:
    """The same as y, x of its first pixel and the ``(h, w)`` bool crop around it, see `masks.trim`."""
    try:
        x, strip = decode_strip(as_runs(segmentation, size), size)
    except Exception as error:
        raise ValueError(f"{where} cannot be read ({error})") from None
    (y, inner_x), crop = trim(strip)
    return (y, x + inner_x if crop.size else 0), crop


def as_runs(segmentation: Any, size: tuple[int, int]) -> dict[str, Any]:
    """A segmentation as a run-length encoding."""
    return segmentation if isinstance(segmentation, dict) else trace_polygons(segmentation, size)


def trace_polygons(polygons: Any, size: tuple[int, int]) -> dict[str, Any]:
    """The run-length encoding of all that lies in any of the polygons, each x, y, x, y ..."""
    side = max(size)
    corners = [np.asarray(polygon, np.float64) for polygon in polygons]
    if not all(c.ndim == 1 and len(c) >= 6 and len(c) % 2 == 0 and np.isfinite(c).all() for c in corners):
        raise ValueError("each polygon must be a list of x, y of at least three corners")
    near = [np.clip(c, -side, 2 * side).tolist() for c in corners]  # far corners would cost memory without end
    encoded: dict[str, Any] = rle.merge(rle.frPyObjects(near, *size))
    return encoded
