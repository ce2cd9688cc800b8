"""Merges the maps of several views of one image (scales, the mirror image) into one (paper, sections 3.3 and 4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.maps import Maps

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
    heatmap = torch.stack([m.heatmap for m in maps]).mean(dim=0)
    return Maps(heatmap, torch.cat([m.tag for m in maps], dim=2)), reference


def merge_mirror(maps: Maps, mirrored: Maps, flip_index: Array) -> Maps:
    """Averages the heatmaps of an image and its mirror image, and stacks their tags on D.

    Args:
        mirrored: maps of the image flipped left to right.
        flip_index: ``(C,)`` int64, see `Task`.
    """
    # Mirrored back, the left shoulder's map is in the channel of the right one.
    index = torch.as_tensor(flip_index, device=maps.heatmap.device)
    heatmap = mirrored.heatmap.flip(-1)[:, index]
    tag = mirrored.tag.flip(-1)[:, index]
    return Maps((maps.heatmap + heatmap) / 2, torch.cat([maps.tag, tag], dim=2))


def resample(maps: Maps, source: ImageGeometry, target: ImageGeometry) -> Maps:
    """Samples the maps of one view, bilinearly, at the map pixels of another view of the same image."""
    h, w = target.map_size
    y, x = np.meshgrid(np.arange(h), np.arange(w), indexing="ij")
    xy = source.to_map(target.to_image(np.stack([x, y], axis=-1).astype(np.float64)))
    # By the geometries, not by a resize: inputs are padded to whole multiples, so two maps cover different areas.
    size = np.array([source.map_size[1], source.map_size[0]])
    grid = torch.from_numpy((xy + 0.5) / size * 2 - 1)[None].to(maps.heatmap)

    def sample(value: Tensor) -> Tensor:
        return F.grid_sample(value, grid, mode="bilinear", padding_mode="border", align_corners=False)

    return Maps(sample(maps.heatmap), sample(maps.tag.flatten(1, 2)).reshape(*maps.tag.shape[:3], h, w))
