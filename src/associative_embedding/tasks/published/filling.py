"""Fills in missing keypoints as published code does: from every pixel of the map, however far its tag is."""

from __future__ import annotations

import numpy as np

from associative_embedding.structures.arrays import Array

HIGH = 0.05  # heatmap value of the pixels that are tried first
BATCH = 1 << 16  # pixels, times people, that are compared at once: these stay in the CPU's cache


def choose_pixels(keypoints: Array, heatmap: Array, tag: Array) -> Array:
    """Returns the flat index of the pixel that fills in each missing keypoint, ``(G, K)`` int64; -1 = not missing.

    A pixel is worth its heatmap value minus the rounded distance (L2) from its tag to the mean tag of the person. The
    tags of a person are read again from the map, at the final places of the keypoints.

    Args:
        keypoints: ``(G, K, 3)`` x, y in pixels of the map counted from 0, and score (0 = missing).
        heatmap: ``(K, h, w)`` float32.
        tag: ``(K, D, h, w)`` float32.
    """
    count, types = keypoints.shape[:2]
    height, width = heatmap.shape[1:]
    flat, flat_tag = heatmap.reshape(types, -1), tag.reshape(types, tag.shape[1], -1)
    column, row = (keypoints[:, :, i].astype(np.int64).clip(0, size - 1) for i, size in ((0, width), (1, height)))
    found = keypoints[:, :, 2] > 0
    own = np.array([flat_tag[found[p], :, (row * width + column)[p, found[p]]].mean(axis=0) for p in range(count)])
    chosen = np.full((count, types), -1)
    for k in np.flatnonzero(~found.all(axis=0)):
        people = np.flatnonzero(~found[:, k])
        chosen[people, k] = search(flat[k], flat_tag[k], own[people])
    return chosen


def search(heatmap: Array, tag: Array, own: Array) -> Array:
    """Returns the first of the best pixels for the tags of P people, ``(P,)`` int64; see `choose_pixels`.

    Args:
        heatmap: ``(n,)`` float32, the pixels of the map of one keypoint type.
        tag: ``(D, n)`` float32.
        own: ``(P, D)`` float32, tags of the people.
    """
    chosen, others = np.zeros(len(own), np.int64), np.arange(len(own))
    # `take` needs a quarter of the time of an index in brackets.
    high = np.flatnonzero(heatmap >= HIGH)
    if len(high):
        best, worth = best_pixels(heatmap.take(high), tag.take(high, axis=1), own)
        chosen = high[best]
        # No pixel below `HIGH` is worth more than its heatmap value.
        others = np.flatnonzero(worth < HIGH)
    chosen[others] = best_pixels(heatmap, tag, own[others])[0]
    return chosen


def best_pixels(heatmap: Array, tag: Array, own: Array) -> tuple[Array, Array]:
    """Returns for each person the first of the best of all given pixels, and its worth; arguments as in `search`."""
    best, worth = np.zeros(len(own), np.int64), np.zeros(len(own), np.float32)
    step = max(1, BATCH // len(heatmap))
    for first in range(0, len(own), step):
        rows = slice(first, first + step)
        values = rounded_distance(tag, own[rows])
        np.subtract(heatmap, values, out=values)
        best[rows] = values.argmax(axis=1)
        worth[rows] = values[np.arange(len(values)), best[rows]]
    return best, worth


def rounded_distance(tag: Array, own: Array) -> Array:
    """Returns the rounded L2 distances ``(P, n)`` of tags ``(D, n)`` to those of people ``(P, D)``."""
    # In place: without new arrays a whole map takes a tenth less time.
    squares = tag[0] - own[:, :1]
    np.square(squares, out=squares)
    for others, tags in zip(tag[1:], own.T[1:], strict=True):
        difference = others - tags[:, None]
        squares += np.square(difference, out=difference)
    distance = np.sqrt(squares, out=squares)
    return np.asarray(np.rint(distance, out=distance))
