"""The keypoints that a grouped person lacks, looked for at its tag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch

from associative_embedding.detect import flat_places, subpixel, unflatten
from associative_embedding.grouping import Norm, tag_distance
from associative_embedding.types import Array, Maps

FillRule = Literal["near", "rounded"]


def near(kind: Array, tag: Array, table: Array, threshold: float, norm: Norm) -> Array:
    """The highest pixel whose tag is within the threshold, (P,) rows of the table, -1 = none.

    Sorted by the first tag dimension, the pixels that a keypoint may take stand side by side, and only they are
    compared: as many as carry about its tag, however many people there are.
    """
    reach = threshold * (np.sqrt(tag.shape[1]) if norm == "rms" else 1.0) * 1.001 + 1e-6
    low = min(float(table[:, 2].min(initial=0)), float(tag[:, 0].min(initial=0)))
    span = max(float(table[:, 2].max(initial=0)), float(tag[:, 0].max(initial=0))) - low + 2 * reach + 1
    line = table[:, 0] * span + (table[:, 2] - low)  # all types one after the other
    order = np.argsort(line)
    line, middle = line[order], kind * span + (tag[:, 0].astype(np.float64) - low)
    first, last = np.searchsorted(line, middle - reach), np.searchsorted(line, middle + reach)
    count = last - first
    pair = np.repeat(np.arange(len(kind)), count)
    row = order[np.arange(len(pair)) + np.repeat(first - (count.cumsum() - count), count)]
    distance = tag_distance(tag[pair], table[row, 2:].astype(np.float32), norm)
    taken = distance < threshold
    pair, row = pair[taken], row[taken]
    result = np.full(len(kind), -1)
    if not len(pair):
        return result
    start = np.flatnonzero(np.diff(pair, prepend=-1))  # of each keypoint's pixels
    highest = np.maximum.reduceat(table[row, 1], start)
    rows = np.where(table[row, 1] == np.repeat(highest, np.diff(start, append=len(pair))), row, len(table))
    result[pair[start]] = np.minimum.reduceat(rows, start)  # of equally high pixels the first
    return result


def rounded(kind: Array, tag: Array, table: Array, threshold: float, norm: Norm) -> Array:
    """Published code's: the pixel of the greatest value - round(distance); all find some, if at another's tag."""
    result = np.full(len(kind), -1)
    for i, k in enumerate(kind):
        rows = np.flatnonzero(table[:, 0] == k)
        if len(rows):
            distance = tag_distance(tag[i], table[rows, 2:].astype(np.float32), norm)
            result[i] = rows[np.argmax(table[rows, 1].astype(np.float32) - np.round(distance))]
    return result


# the pixel that each of P missing keypoints takes, a row of the table or -1: (P,) its type, (P, D) its person's tag,
# the table (pixels, 2 + D) of type, heatmap value and tag, tag threshold, norm -> (P,)
FILLING: dict[FillRule, Callable[[Array, Array, Array, float, Norm], Array]] = {"near": near, "rounded": rounded}


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
    if not missing.any():
        return keypoints.copy()
    heatmap, tags = maps.heatmap[0], maps.tag[0]
    dimensions, pixels = tags.shape[1], heatmap.shape[1] * heatmap.shape[2]
    mask = heatmap >= fill_threshold
    mask[torch.from_numpy(np.flatnonzero(~missing.any(axis=0))).to(mask.device)] = False
    index = flat_places(mask)
    channel = torch.div(index, pixels, rounding_mode="floor")
    places = (index + channel * ((dimensions - 1) * pixels))[:, None] + torch.arange(dimensions).to(index) * pixels
    columns = [channel[:, None], heatmap.reshape(-1)[index, None], tags.reshape(-1)[places]]
    table = torch.cat([column.double() for column in columns], dim=1).cpu().numpy()
    person, kind = np.nonzero(missing)
    row = FILLING[rule](kind, tag[person].astype(np.float32), table, tag_threshold, norm)
    person, kind, row = person[row >= 0], kind[row >= 0], row[row >= 0]
    chosen = unflatten(index[torch.from_numpy(row).to(index.device)], heatmap.shape)
    xy = subpixel(heatmap, *chosen).cpu().numpy()
    filled = keypoints.copy()
    filled[person, kind] = np.concatenate([xy, table[row, 1:2].clip(0, 1)], axis=1)
    return filled
