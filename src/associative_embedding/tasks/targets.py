"""The training target of one image, for any task."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array


@dataclass(frozen=True)
class ImageTarget:
    """A training target of one image, on its map.

    Attributes:
        heatmap: ``(C, h, w)`` float32 in [0, 1].
        valid: ``(C, h, w)`` bool, where the heatmap loss counts.
        index: ``(M, 4)`` int64 channel, y, x, group of each tag sample; in frames of a video the group is the track.
    """

    heatmap: Array
    valid: Array
    index: Array


def share_of(mask: Array, size: tuple[int, int]) -> Array:
    """Returns the share of each map pixel that a mask covers, ``(h, w)`` float32.

    Args:
        mask: ``(H, W)`` bool, in input pixels.
        size: (h, w) of the map.
    """
    return np.asarray(cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA))


def mostly(mask: Array, size: tuple[int, int]) -> Array:
    """Whether a mask covers at least half of each map pixel, ``(h, w)`` bool; arguments as in `share_of`."""
    return np.asarray(share_of(mask, size) >= 0.5)
