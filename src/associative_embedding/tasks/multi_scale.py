"""Merges the maps of several views of one image (scales, the mirror image) into one (paper, sections 3.3 and 4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from associative_embedding.structures import map_values
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.map_values import Values, concatenate
from associative_embedding.structures.maps import Maps, unmirror

View = tuple[Maps, ImageGeometry]


def merge_views(views: Sequence[View]) -> View:
    """Averages heatmaps and stacks tags on D, on the grid of the first view's map.

    Two detections then have equal tags only if their tags are equal in every view (paper, sections 3.3 and 4.1).
    """
    if len(views) == 1:
        return views[0]
    # The first view is the largest: sampling small maps on a fine grid loses nothing, the reverse would.
    reference = views[0][1]
    maps = [views[0][0], *(resample(maps, geometry, reference) for maps, geometry in views[1:])]
    heatmap = sum(m.heatmap for m in maps) / len(maps)
    return Maps(heatmap, concatenate([m.tag for m in maps], axis=2)), reference


def merge_mirror(maps: Maps, mirrored: Maps, flip_index: Array) -> Maps:
    """Averages the heatmaps of an image and its mirror image, and stacks their tags on D.

    Args:
        mirrored: maps of the image flipped left to right.
        flip_index: ``(C,)`` int64, see `Task`.
    """
    back = unmirror(mirrored, flip_index)
    return Maps((maps.heatmap + back.heatmap) / 2, concatenate([maps.tag, back.tag], axis=2))


def resample(maps: Maps, source: ImageGeometry, target: ImageGeometry) -> Maps:
    """Samples the maps of one view, bilinearly, at the map pixels of another view of the same image.

    The views differ in scale and place only: rows stay rows.
    """
    h, w = target.map_size
    # By the geometries, not by a resize: inputs are padded to whole multiples, so two maps cover different areas.
    corners = source.to_map(target.to_image(np.array([[0.0, 0.0], [w - 1, h - 1]])))
    (left, top), (right, bottom) = corners
    y, x = np.linspace(top, bottom, h), np.linspace(left, right, w)

    def sample(values: Values) -> Values:
        return map_values.resample(values, y, x)

    return Maps(sample(maps.heatmap), sample(maps.tag))
