"""Arrays of keypoints, ``(..., 3)`` x, y, visibility: which lie inside of an image, and the box around them."""

from __future__ import annotations

import numpy as np

from associative_embedding.structures.arrays import Array


def hide_outside(keypoints: Array, size: tuple[int, int]) -> Array:
    """Returns a copy with visibility 0 for keypoints outside of an image; their x, y stay.

    Args:
        keypoints: ``(..., 3)`` x, y, visibility.
        size: (H, W) of the image.
    """
    x, y = keypoints[..., 0], keypoints[..., 1]
    # x = W is outside: the last pixel covers [W - 1, W)
    inside = (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0])
    result = keypoints.copy()
    result[..., 2] *= inside
    return result


def labelled_xyxy(keypoints: Array) -> Array | None:
    """Returns the box around all labelled keypoints, ``(4,)`` x0, y0, x1, y1, or None if there are none.

    Args:
        keypoints: ``(..., 3)`` x, y, visibility.
    """
    xy = keypoints[keypoints[..., 2] > 0][:, :2]
    return np.concatenate([xy.min(axis=0), xy.max(axis=0)]) if len(xy) else None
