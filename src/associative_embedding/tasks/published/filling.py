"""Fills in missing keypoints as published code does: from every pixel of the map, however far its tag is."""

from __future__ import annotations

import numpy as np

from associative_embedding.structures.arrays import Array

HIGH = 0.05  # heatmap value of the pixels that are tried first


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
    own = [flat_tag[found[p], :, (row * width + column)[p, found[p]]].mean(axis=0) for p in range(count)]
    chosen = np.full((count, types), -1)
    for k in np.flatnonzero(~found.all(axis=0)):
        search = Search(flat[k], flat_tag[k])
        for p in np.flatnonzero(~found[:, k]):
            chosen[p, k] = search(own[p])
    return chosen


class Search:
    """The search for the best pixel of one keypoint type; `choose_pixels` explains what is best.

    Args:
        heatmap: ``(n,)`` float32, the pixels of the map.
        tag: ``(D, n)`` float32.
    """

    def __init__(self, heatmap: Array, tag: Array) -> None:
        self.heatmap, self.tag = heatmap, tag
        self.high = np.flatnonzero(heatmap >= HIGH)
        # `take` needs a quarter of the time of an index in brackets.
        self.high_values, self.high_tag = heatmap.take(self.high), tag.take(self.high, axis=1)

    def __call__(self, tag: Array) -> int:
        """Returns the first of the best pixels for a person's tag ``(D,)``."""
        if len(self.high):
            worth = self.high_values - rounded_distance(self.high_tag, tag)
            best = int(worth.argmax())
            # No pixel below `HIGH` is worth more than its heatmap value.
            if worth[best] >= HIGH:
                return int(self.high[best])
        worth = rounded_distance(self.tag, tag)
        return int(np.subtract(self.heatmap, worth, out=worth).argmax())


def rounded_distance(tags: Array, tag: Array) -> Array:
    """Returns the rounded L2 distances ``(n,)`` of tags ``(D, n)`` to one tag ``(D,)``."""
    # In place: without new arrays a whole map takes a tenth less time.
    squares = tags[0] - tag[0]
    np.square(squares, out=squares)
    for others, own in zip(tags[1:], tag[1:], strict=True):
        difference = others - own
        squares += np.square(difference, out=difference)
    distance = np.sqrt(squares, out=squares)
    return np.asarray(np.rint(distance, out=distance))
