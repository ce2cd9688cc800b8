"""The search for peaks on a CPU, in numpy: many small steps, each of which would cost torch several times as much.

`detect` has the same for other devices; the tests hold both to the same results.
"""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from associative_embedding.structures.arrays import Array

STEPS = np.array([-1, 0, 1])
CROWDED = 20  # pixels a pixel above the threshold, below which a filter over the whole map is quicker


def array(values: Tensor) -> Array:
    """A tensor on the CPU as a contiguous array of single precision, which shares its memory where it can."""
    return np.ascontiguousarray(values.detach().float().numpy())


def peaks(heatmap: Array, threshold: float, window: int) -> Array:
    """Flat indices, ascending, of the pixels from the threshold on that are the highest of their odd window.

    Where the pixels above the threshold are few, no filter runs over the map: most of them fall at a direct neighbour.

    Args:
        heatmap: ``(C, h, w)`` float32.
    """
    flat, (_, height, width) = heatmap.reshape(-1), heatmap.shape
    place = np.flatnonzero(flat >= threshold)
    if window == 1:
        return place
    if len(place) > flat.size / CROWDED:
        return np.asarray(place[flat[place] == window_maximum(heatmap, window).reshape(-1)[place]])
    row = place // width
    y, x = row % height, place - row * width
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        inside = (x + dx >= 0) & (x + dx < width) if dx else (y + dy >= 0) & (y + dy < height)
        # a neighbour beyond the border is the pixel itself
        highest = flat[place] >= flat[place + inside * (dy * width + dx)]
        place, y, x = place[highest], y[highest], x[highest]
    reach = np.arange(-(window // 2), window // 2 + 1)
    near_y = (y[:, None] + reach).clip(0, height - 1) - y[:, None]  # of the window, what lies on the map
    near_x = (x[:, None] + reach).clip(0, width - 1) - x[:, None]
    around = place[:, None, None] + near_y[:, :, None] * width + near_x[:, None, :]
    return np.asarray(place[flat[place] >= flat[around].max(axis=(1, 2))])


def window_maximum(heatmap: Array, window: int) -> Array:
    """The highest value of the odd square window around each pixel, ``(C, h, w)``; what lies outside does not count."""
    kernel = np.ones((window, window), np.uint8)
    return np.stack([cv2.dilate(channel, kernel) for channel in heatmap])


def unflatten(index: Array, size: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Channel, y and x of flat indices of ``(C, h, w)``."""
    row = index // size[2]
    channel = row // size[1]
    return channel, row - channel * size[1], index - row * size[2]


def subpixel(heatmap: Array, place: Array, y: Array, x: Array) -> Array:
    """`detect.subpixel` of flat indices, ``(M, 2)`` float32 x, y."""
    height, width = heatmap.shape[-2:]
    flat, at = heatmap.reshape(-1), np.stack([x, y])  # (2, M): long rows
    size, step = np.array([[width], [height]]), np.array([[1], [width]])
    middle = np.minimum(np.maximum(at, 1), np.maximum(size - 2, 1))
    shift = middle - at
    index = (place + shift * step)[None] + STEPS[:, None, None] * step  # (3, 2, M)
    low, mid, high = np.log(np.maximum(flat[index.clip(0, flat.size - 1)], np.float32(1e-6)))
    curvature = 2 * mid - low - high
    move = shift.astype(np.float32) + (high - low) / (2 * np.maximum(curvature, np.float32(1e-6)))
    move = np.where((curvature > 1e-6) & (size > 2), move.clip(-0.5, 0.5), np.float32(0))
    return (at + move).astype(np.float32).T


def peak_table(heatmap: Array, tag: Array, threshold: float, window: int) -> Array:
    """A row a peak, the columns of `detect`: channel, y, x, score, sub-pixel x and y, tag; ``(M, 6 + D)`` float64.

    Args:
        heatmap: ``(C, h, w)``.
        tag: ``(C, D, h, w)``.
    """
    place = peaks(heatmap, threshold, window)
    channel, y, x = unflatten(place, heatmap.shape)
    table = np.empty((len(place), 6 + tag.shape[1]))
    table[:, 0], table[:, 1], table[:, 2], table[:, 3] = channel, y, x, heatmap.reshape(-1)[place]
    table[:, 4:6] = subpixel(heatmap, place, y, x)
    table[:, 6:] = tag[channel, :, y, x]
    return table


def pixels_above(heatmap: Array, tag: Array, threshold: float, channels: Array) -> tuple[Array, Array]:
    """The pixels of some channels from the threshold on: flat indices ``(P,)``, and type, value and tag ``(P, 2 + D)``.

    Args:
        heatmap: ``(C, h, w)``.
        tag: ``(C, D, h, w)``.
        channels: ``(C,)`` bool.
    """
    pixels = heatmap.shape[1] * heatmap.shape[2]
    flat, tags = heatmap.reshape(len(heatmap), pixels), tag.reshape(len(tag), -1, pixels)
    places = [np.flatnonzero(flat[channel] >= threshold) for channel in np.flatnonzero(channels)]
    columns = [
        (k, flat[k, place], tags[k, :, place]) for k, place in zip(np.flatnonzero(channels), places, strict=True)
    ]
    table = np.empty((sum(map(len, places)), 2 + tags.shape[1]), np.float32)
    row = 0
    for channel, value, its_tags in columns:
        part = table[row : row + len(value)]
        part[:, 0], part[:, 1], part[:, 2:] = channel, value, its_tags
        row += len(value)
    index = [k * pixels + place for k, place in zip(np.flatnonzero(channels), places, strict=True)]
    return np.concatenate([*index, np.zeros(0, np.int64)]), table


def finite(values: Array) -> bool:
    """Whether no value is NaN or infinite, which would spoil their sum."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(values.sum(dtype=np.float32)))
