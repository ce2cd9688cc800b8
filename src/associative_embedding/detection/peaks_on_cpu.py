"""The search for peaks on a CPU, in numpy: many small steps, for each of which torch takes several times as long."""

from __future__ import annotations

import cv2
import numpy as np

from associative_embedding.detection.peak_table import (
    CHANNEL,
    COLUMNS,
    LEAST,
    SCORE,
    SUBPIXEL,
    TAG,
    X,
    Y,
    top_of_parabola,
    unflatten,
)
from associative_embedding.structures.arrays import Array

NEIGHBOURS = np.array([-1, 0, 1])
CROWDED = 0.05  # share of candidates among the pixels from which a filter over the whole map is faster


def find_peaks(heatmap: Array, tag: Array, candidates: Array, window: int) -> Array:
    """Returns the table of peaks ``(P, 6 + D)`` float64.

    Args:
        heatmap: ``(C, h, w)`` float32, `finite`.
        tag: ``(C, D, h, w)`` float32, `finite`.
        candidates: ``(C, h, w)`` bool, the pixels that may be peaks.
        window: side of the maximum filter, odd.
    """
    place = highest_of_window(heatmap, candidates, window)
    channel, y, x = unflatten(place, heatmap.shape)
    table = np.empty((len(place), COLUMNS + tag.shape[1]))
    table[:, CHANNEL], table[:, Y], table[:, X], table[:, SCORE] = channel, y, x, heatmap.reshape(-1)[place]
    table[:, SUBPIXEL] = subpixel(heatmap, place, y, x)
    table[:, TAG] = tag[channel, :, y, x]
    return table


def highest(heatmap: Array) -> Array:
    """Returns the sub-pixel x, y and the value of the highest pixel of every map, ``(P, 3)`` float64.

    Args:
        heatmap: ``(P, h, w)`` float32, `finite`.
    """
    count, height, width = heatmap.shape
    pixel = heatmap.reshape(count, -1).argmax(axis=1)
    place = np.arange(count) * (height * width) + pixel
    xy = subpixel(heatmap, place, pixel // width, pixel % width)
    return np.column_stack([xy, heatmap.reshape(-1)[place]]).astype(np.float64)


def finite(values: Array) -> bool:
    """Whether no value is NaN or infinite."""
    with np.errstate(all="ignore"):
        # Such a value makes the sum NaN or infinite, and a sum needs no memory. Finite values may add up to infinity,
        # too: then each is looked at.
        return bool(np.isfinite(values.sum(dtype=np.float32)) or np.isfinite(values).all())


def highest_of_window(heatmap: Array, candidates: Array, window: int) -> Array:
    """Returns the candidates that no pixel of their window exceeds, as ascending flat indices.

    Args:
        heatmap: ``(C, h, w)`` float32.
        candidates: ``(C, h, w)`` bool.
        window: side, odd.
    """
    flat, (_, height, width) = heatmap.reshape(-1), heatmap.shape
    place = np.flatnonzero(candidates)
    if window == 1:
        return place
    if len(place) > flat.size * CROWDED:
        return np.asarray(place[flat[place] == window_maximum(heatmap, window).reshape(-1)[place]])
    row = place // width
    y, x = row % height, place - row * width
    # Most candidates are lower than a direct neighbour; four cheap comparisons leave few for the whole window.
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        inside = (x + dx >= 0) & (x + dx < width) if dx else (y + dy >= 0) & (y + dy < height)
        # A neighbour outside of the map is replaced by the pixel itself.
        highest = flat[place] >= flat[place + inside * (dy * width + dx)]
        place, y, x = place[highest], y[highest], x[highest]
    reach = np.arange(-(window // 2), window // 2 + 1)
    near_y = (y[:, None] + reach).clip(0, height - 1) - y[:, None]  # clipped: the part of the window on the map
    near_x = (x[:, None] + reach).clip(0, width - 1) - x[:, None]
    around = place[:, None, None] + near_y[:, :, None] * width + near_x[:, None, :]
    return np.asarray(place[flat[place] >= flat[around].max(axis=(1, 2))])


def window_maximum(heatmap: Array, window: int) -> Array:
    """Returns the highest value of the odd square window around each pixel, ``(C, h, w)``; only the map counts."""
    kernel = np.ones((window, window), np.uint8)
    return np.stack([cv2.dilate(channel, kernel) for channel in heatmap])


def subpixel(heatmap: Array, place: Array, y: Array, x: Array) -> Array:
    """Returns where peaks lie between pixels, ``(P, 2)`` float32 x, y; see `top_of_parabola`.

    A map with a side under 3 pixels has no parabola along that side, and the position stays the pixel's.

    Args:
        heatmap: ``(C, h, w)`` float32.
        place, y, x: ``(P,)`` int64 flat index, row and column of each peak.
    """
    height, width = heatmap.shape[-2:]
    flat, at = heatmap.reshape(-1), np.stack([x, y])  # (2, P): numpy is faster along long rows
    size, step = np.array([[width], [height]]), np.array([[1], [width]])
    middle = np.minimum(np.maximum(at, 1), np.maximum(size - 2, 1))
    shift = middle - at
    index = (place + shift * step)[None] + NEIGHBOURS[:, None, None] * step  # (3, 2, P)
    low, mid, high = np.log(np.maximum(flat[index.clip(0, flat.size - 1)], np.float32(LEAST)))
    move = top_of_parabola(low, mid, high, shift.astype(np.float32))
    return np.asarray((at + move * (size > 2)).astype(np.float32).T)
