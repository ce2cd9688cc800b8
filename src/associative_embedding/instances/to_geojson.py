"""Instances with masks -> GeoJSON as QuPath reads it (File > Import objects from file), in pixels.

https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
"""

from __future__ import annotations

from typing import Any

import numpy as np

from associative_embedding.drawing.palette import COLOURS, palette
from associative_embedding.instances.found import Found
from associative_embedding.instances.measure import measurements
from associative_embedding.structures.masks import require_masks
from associative_embedding.structures.outlines import outlines


def to_geojson(instances: Found) -> dict[str, Any]:
    """Returns a FeatureCollection with a detection of QuPath for each object: its outline, class and measurements.

    An outline follows the sides of pixels, so that filled again it gives the same mask; x and y count from the upper
    left corner of the image. Objects without pixels are left out.

    Raises:
        ValueError: for instances without masks.
    """
    masks = require_masks(instances.masks)
    columns = {"score": instances.score, **measurements(instances)}
    names = instances.class_name.tolist()
    colours = {name: palette(COLOURS)[i % COLOURS].tolist() for i, name in enumerate(sorted(set(names)))}
    features = []
    for i, crop in enumerate(masks.crops):
        if (geometry := geometry_of(crop, masks.corners[i])) is not None:
            measured = {name: round(float(values[i]), 4) for name, values in columns.items() if np.isfinite(values[i])}
            kind = {"name": names[i], "color": colours[names[i]]}
            properties = {"objectType": "detection", "classification": kind, "measurements": measured}
            features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    return {"type": "FeatureCollection", "features": features}


def geometry_of(crop: Any, corner: Any) -> dict[str, Any] | None:
    """Returns the geometry of a mask ``(h, w)``, whose first pixel is at `corner` y, x; None without pixels."""
    rings = [[closed(ring + corner[::-1]) for ring in polygon] for polygon in outlines(crop)]
    if not rings:
        return None
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings[0]}
    return {"type": "MultiPolygon", "coordinates": rings}


def closed(ring: Any) -> list[list[int]]:
    """Returns the corners of a ring as lists, the first one repeated at the end, as GeoJSON has it."""
    corners: list[list[int]] = ring.tolist()
    return [*corners, corners[0]]
