"""The keypoints that a grouped person lacks, looked for at its tag."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import numpy as np
import torch

from associative_embedding.detect import subpixel
from associative_embedding.grouping import Norm, tag_distance
from associative_embedding.types import Array, Maps

FillRule = Literal["near", "rounded"]


def near(distance: Array, value: Array, tag_threshold: float) -> Array:
    """The heatmap value, of pixels within the tag threshold only."""
    return np.asarray(np.where(distance < tag_threshold, value, -np.inf))


def rounded(distance: Array, value: Array, tag_threshold: float) -> Array:
    """Published code's: value - round(distance); every person finds some pixel, if at another's tag."""
    return np.asarray(value - np.round(distance))


# how good a pixel is for a person: (P, pixels) tag distances, (pixels,) heatmap values, tag threshold -> (P, pixels)
FILLING: dict[FillRule, Callable[[Array, Array, float], Array]] = {"near": near, "rounded": rounded}


@torch.no_grad()
def fill_missing(
    keypoints: Array,
    tag: Array,
    maps: Maps,
    fill_threshold: float,
    tag_threshold: float,
    *,
    norm: Norm = "rms",
    rule: FillRule = "near",
) -> Array:
    """Keypoints that a person lacks, taken where the heatmap is highest among the pixels that carry its tag.

    Published decoders scan every pixel of every type for every person (seconds an image); here only the pixels above
    `fill_threshold` of the types that somebody lacks are read, all people at once, at the map's own resolution.

    Args:
        keypoints: ``(G, K, 3)`` x, y on the map, score (0 = missing).
        tag: ``(G, D)``.
        maps: of this image (batch 1).
        fill_threshold: lowest heatmap value.
        tag_threshold: tag distance from which a pixel is somebody else's.
        norm: of the tag distance, see `grouping.tag_distance`.
        rule: how value and distance weigh, a key of `FILLING`.
    """
    missing = keypoints[:, :, 2] == 0
    kinds = np.flatnonzero(missing.any(axis=0))
    if not len(kinds):
        return keypoints.copy()
    heatmap = maps.heatmap[0]
    lacked = torch.from_numpy(kinds).to(heatmap.device)
    order, y, x = (heatmap[lacked] >= fill_threshold).nonzero(as_tuple=True)
    channel = lacked[order]
    table = torch.cat([order[:, None], heatmap[channel, y, x, None], maps.tag[0, channel, :, y, x]], dim=1)
    host = table.float().cpu().numpy()
    first = np.searchsorted(host[:, 0], np.arange(len(kinds) + 1))  # row of each type's first pixel
    tag = tag.astype(np.float32)

    def worth(people: Array, pixels: Array) -> Array:
        distance = tag_distance(tag[people, None], pixels[None, :, 2:], norm)
        return FILLING[rule](distance, pixels[:, 1], tag_threshold)

    found = [
        _best_pixels(missing[:, k], host, slice(start, end), worth)
        for k, (start, end) in zip(kinds, pairwise(first), strict=True)
    ]
    person, row = np.concatenate(found, axis=1)
    chosen = torch.from_numpy(row).to(heatmap.device)
    xy = subpixel(heatmap, channel[chosen], y[chosen], x[chosen]).cpu().numpy()
    filled = keypoints.copy()
    filled[person, kinds[host[row, 0].astype(np.int64)]] = np.concatenate([xy, host[row, 1:2].clip(0, 1)], axis=1)
    return filled


def _best_pixels(missing: Array, table: Array, rows: slice, worth: Callable[[Array, Array], Array]) -> Array:
    """``(2, P)`` int64: the people who lack a keypoint and find it, and the row of the best pixel for each.

    Args:
        missing: ``(G,)`` bool.
        table: ``(pixels, 2 + D)`` number of the type, heatmap value, tag.
        rows: of the keypoint's type.
        worth: people and their type's pixels -> how good each pixel is for each person, -inf = not at all.
    """
    people = np.flatnonzero(missing)
    if rows.start == rows.stop:
        return np.empty((2, 0), dtype=np.int64)
    value = worth(people, table[rows])  # (P, pixels)
    best = value.argmax(axis=1)
    return np.stack([people, rows.start + best])[:, value[np.arange(len(people)), best] > -np.inf]
