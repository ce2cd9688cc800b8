"""Instances with masks -> a zip of ImageJ's regions of interest (.roi), for its ROI Manager."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np

from associative_embedding.instances.found import Found
from associative_embedding.io.optional_packages import need
from associative_embedding.io.outputs import MARK
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import require_masks
from associative_embedding.structures.outlines import outlines

MOVE, LINE, CLOSE = 0.0, 1.0, 4.0  # steps of a path of several parts (java.awt.geom.PathIterator)
DATE = (1980, 1, 1, 0, 0, 0)  # of all files in the zip: equal results are equal files
LARGEST = 60535  # pixels: farther places do not fit the whole numbers of ImageJ


def to_imagej(instances: Found) -> bytes:
    """Returns a zip with a region for each object, named by its label (``0001.roi``).

    A region follows the sides of pixels, so that ImageJ's mask of it is the object's. An object of several parts or
    with holes is a composite region. Objects without pixels are left out.

    Raises:
        ValueError: for instances without masks, or when roifile is not installed (extra ``[roi]``).
    """
    masks = require_masks(instances.masks)
    roifile = need("roifile", "roi", "a zip of ImageJ's regions")
    data = io.BytesIO()
    digits = max(4, len(str(len(masks))))
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = MARK
        for i, crop in enumerate(masks.crops):
            polygons = [[ring + masks.corners[i][::-1] for ring in polygon] for polygon in outlines(crop)]
            if polygons:
                name = f"{i + 1:0{digits}d}"
                archive.writestr(zipfile.ZipInfo(f"{name}.roi", DATE), region(roifile, polygons, name).tobytes())
    return data.getvalue()


def region(roifile: Any, polygons: list[list[Array]], name: str) -> Any:
    """Returns a ``roifile.ImagejRoi`` of polygons, each its outer ring and its holes."""
    rings = [ring for polygon in polygons for ring in polygon]
    if len(rings) == 1 and rings[0].max() <= LARGEST:
        found = roifile.ImagejRoi.frompoints(rings[0], name=name)
        found.roitype = roifile.ROI_TYPE.TRACED
        found.right, found.bottom = rings[0].max(axis=0).tolist()  # the box of a traced region ends at its last corner
        return found
    found = roifile.ImagejRoi()
    found.name, found.roitype = name, roifile.ROI_TYPE.RECT
    corners = np.concatenate(rings)
    (found.left, found.top), (found.right, found.bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    path = np.concatenate([path_of(ring) for ring in rings]).astype(np.float32)
    found.multi_coordinates, found.shape_roi_size = path, len(path)
    return found


def path_of(ring: Array) -> Array:
    """Returns the steps of a ring: go to the first corner, draw lines to the others, close."""
    steps = np.full((len(ring), 3), LINE)
    steps[0, 0], steps[:, 1:] = MOVE, ring
    return np.append(steps.ravel(), CLOSE)
