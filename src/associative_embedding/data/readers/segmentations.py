"""Draws the regions of the COCO format: boxes, polygons and run-length encodings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pycocotools import mask as rle

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import trim
from associative_embedding.structures.run_lengths import decode_runs, decode_strip

MAX_POLYGONS = 10_000  # of an object
MAX_OUTLINE = 2**22  # pixels of all its polygons; pycocotools needs a hundred bytes for each


def mark_regions(mask: Array, regions: Iterable[Any], where: str) -> None:
    """Sets the pixels of regions in a mask.

    Args:
        mask: ``(H, W)`` bool, changed in place.
        regions: boxes xywh (arrays) and segmentations.
        where: the image, for messages.

    Raises:
        ValueError: for a segmentation that cannot be read.
    """
    for region in regions:
        if isinstance(region, np.ndarray):
            fill_box(mask, region, True)
        else:
            mask |= region_mask(region, mask.shape, f"{where}: a crowd's 'segmentation'")


def fill_box(mask: Array, box_xywh: Array, value: bool) -> None:
    """Sets every pixel that a box touches in a mask ``(H, W)``, in place."""
    height, width = mask.shape
    x0, y0 = np.clip(np.floor(box_xywh[:2]), 0, (width, height)).astype(int)
    x1, y1 = np.clip(np.ceil(box_xywh[:2] + box_xywh[2:]), 0, (width, height)).astype(int)
    mask[y0:y1, x0:x1] = value


def region_mask(segmentation: Any, size: tuple[int, int], where: str) -> Array:
    """Returns the mask of polygons or of a run-length encoding, ``(H, W)`` bool.

    Raises:
        ValueError: for a segmentation that cannot be read; `where` is the beginning of the message.
    """
    try:
        return decode_runs(as_runs(segmentation, size), size)
    except Exception as error:  # pycocotools raises bare Exceptions
        raise ValueError(f"{where} cannot be read ({error})") from None


def region_crop(segmentation: Any, size: tuple[int, int], where: str) -> tuple[tuple[int, int], Array]:
    """Returns the same mask as a crop: y, x of its first pixel and ``(h, w)`` bool, see `structures.masks.trim`."""
    try:
        x, strip = decode_strip(as_runs(segmentation, size), size)
    except Exception as error:
        raise ValueError(f"{where} cannot be read ({error})") from None
    (y, inner_x), crop = trim(strip)
    return (y, x + inner_x if crop.size else 0), crop


def as_runs(segmentation: Any, size: tuple[int, int]) -> dict[str, Any]:
    """Returns a segmentation as a run-length encoding."""
    return segmentation if isinstance(segmentation, dict) else trace_polygons(segmentation, size)


def trace_polygons(polygons: Any, size: tuple[int, int]) -> dict[str, Any]:
    """Returns the run-length encoding of the union of polygons, each a sequence x, y, x, y ...

    Raises:
        ValueError: see `checked_polygons`.
    """
    encoded: dict[str, Any] = rle.merge(rle.frPyObjects(checked_polygons(polygons, size), *size))
    return encoded


def checked_polygons(polygons: Any, size: tuple[int, int]) -> list[list[float]]:
    """Returns polygons, each a flat list of x, y in pixels, with all corners within one image side of the image.

    Args:
        polygons: of one object.
        size: (H, W) of the image.

    Raises:
        ValueError: for a polygon without three finite corners, no polygon, or an outline that is too long.
    """
    side = max(size)
    corners = [np.asarray(polygon, np.float64) for polygon in polygons]
    good = all(c.ndim == 1 and len(c) >= 6 and len(c) % 2 == 0 and np.isfinite(c).all() for c in corners)
    if not corners or not good:
        raise ValueError("each polygon must be a list of x, y of at least three corners")
    # pycocotools walks along every edge, so a corner far outside would need any amount of time and memory
    near = [np.clip(c, -side, 2 * side).reshape(-1, 2) for c in corners]
    length = sum(float(np.abs(np.diff(xy, axis=0, append=xy[:1])).sum()) for xy in near)
    if len(near) > MAX_POLYGONS or length > MAX_OUTLINE:
        raise ValueError(
            f"{len(near)} polygons with {length:.0f} pixels of outline are more than the {MAX_POLYGONS} and "
            f"{MAX_OUTLINE} of an object"
        )
    return [xy.ravel().tolist() for xy in near]
