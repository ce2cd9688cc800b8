"""Where published code places a keypoint between the pixels of a map."""

from __future__ import annotations

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array

QUARTER = 0.25  # map pixels
LOWEST, HIGHEST = 0.001, 50.0  # heatmap values whose logarithm DARK takes
STIFFNESS = np.finfo(np.float32).eps  # added to DARK's second derivatives, so that they can be inverted

# All functions take a heatmap (C, h, w) float32, finite, and the channel, row and column (P,) int64 of each keypoint,
# and return its place (P, 2) float32 x, y in indices of pixels.


def quarter(heatmap: Array, channel: Array, y: Array, x: Array) -> Array:
    """Moves a quarter pixel towards the higher neighbour on each axis; left or up if both are equal.

    At the border the pixel itself stands for the neighbour that is missing.
    """
    height, width = heatmap.shape[1:]
    right = heatmap[channel, y, np.minimum(x + 1, width - 1)] > heatmap[channel, y, np.maximum(x - 1, 0)]
    below = heatmap[channel, np.minimum(y + 1, height - 1), x] > heatmap[channel, np.maximum(y - 1, 0), x]
    move = np.where(np.stack([right, below], axis=1), QUARTER, -QUARTER)
    return np.asarray((np.stack([x, y], axis=1) + move).astype(np.float32))


def inner_quarter(heatmap: Array, channel: Array, y: Array, x: Array) -> Array:
    """Moves a quarter pixel towards the higher neighbour on each axis, but not at the border, nor between equal ones.

    mmpose 1.x leaves the first two pixels of an axis alone, and the last one.
    """
    height, width = heatmap.shape[1:]
    place = np.stack([x, y], axis=1).astype(np.float32)
    for axis, inside in enumerate(
        ((x > 1) & (x < width - 1) & (y > 0) & (y < height), (y > 1) & (y < height - 1) & (x > 0) & (x < width))
    ):
        at, dy, dx = np.flatnonzero(inside), axis, 1 - axis
        c, row, column = channel[at], y[at], x[at]
        slope = heatmap[c, row + dy, column + dx] - heatmap[c, row - dy, column - dx]
        place[at, axis] += QUARTER * np.sign(slope)
    return place


def dark(heatmap: Array, channel: Array, y: Array, x: Array) -> Array:
    """Moves to the top of a parabola in both directions, one Newton step on the logarithm of the blurred heatmap.

    "Distribution-aware coordinate representation" (Zhang et al., CVPR 2020), as UDP uses it.
    """
    used = np.unique(channel)
    smooth = np.full((len(heatmap), *heatmap.shape[1:]), LOWEST, np.float32)
    for c in used:
        smooth[c] = cv2.GaussianBlur(heatmap[c], (3, 3), 0)
    height, width = heatmap.shape[1:]

    def log(dx: int, dy: int) -> Array:
        value = smooth[channel, (y + dy).clip(0, height - 1), (x + dx).clip(0, width - 1)]
        return np.asarray(np.log(value.clip(LOWEST, HIGHEST)))

    middle, right, left, below, above = log(0, 0), log(1, 0), log(-1, 0), log(0, 1), log(0, -1)
    both = 0.5 * (log(1, 1) - right - below + middle + middle - left - above + log(-1, -1))
    first = 0.5 * np.stack([right - left, below - above], axis=1)
    second = np.empty((len(x), 2, 2), np.float32)
    second[:, 0, 0], second[:, 1, 1] = right - 2 * middle + left, below - 2 * middle + above
    second[:, 0, 1] = second[:, 1, 0] = both
    stiff = second + STIFFNESS * np.eye(2)
    try:
        step = np.linalg.inv(stiff) @ first[:, :, None]
    except np.linalg.LinAlgError:  # of one keypoint: published code ends there
        step = np.linalg.pinv(stiff) @ first[:, :, None]
    return np.asarray((np.stack([x, y], axis=1) - step[:, :, 0]).astype(np.float32))
