"""The keypoints that a grouped person lacks, looked for at its tag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from associative_embedding.detection import peaks_on_cpu as host
from associative_embedding.detection.peaks_on_gpu import subpixel
from associative_embedding.grouping import Norm, tag_distance
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.maps import Maps

CELLS = 2  # cells of a tag's reach
MOST_CELLS = 1e9  # of a type, times `CELLS`: further tags share some
FillRule = Literal["near", "rounded"]


def near(kind: Array, tag: Array, table: Array, threshold: float, norm: Norm) -> Array:
    """The highest pixel whose tag is within the threshold, (P,) rows of the table, -1 = none.

    Sorted by cells of the first tag dimension, the pixels that a keypoint may take stand side by side, and only they
    are compared: as many as carry about its tag, however many people there are.
    """
    result = np.full(len(kind), -1)
    if not len(table):
        return result
    reach = threshold * (np.sqrt(tag.shape[1]) if norm == "rms" else 1.0) * 1.001 + 1e-6
    key, middle = cells(kind, tag, table, reach)
    order = np.argsort(key, kind="stable")
    key = key[order]
    first, last = np.searchsorted(key, middle - CELLS), np.searchsorted(key, middle + CELLS + 1)
    count = last - first
    pair = np.repeat(np.arange(len(kind)), count)
    row = order[np.arange(len(pair)) + np.repeat(first - (count.cumsum() - count), count)]
    taken = tag_distance(tag[pair], table[row, 2:], norm) < threshold
    pair, row = pair[taken], row[taken]
    if not len(pair):
        return result
    start, value = np.flatnonzero(np.diff(pair, prepend=-1)), table[row, 1]  # of each keypoint's pixels
    highest = np.repeat(np.maximum.reduceat(value, start), np.diff(start, append=len(pair)))
    result[pair[start]] = np.minimum.reduceat(np.where(value == highest, row, len(table)), start)  # the first of equals
    return result


def cells(kind: Array, tag: Array, table: Array, reach: float) -> tuple[Array, Array]:
    """Numbers of the cells of the table's rows, and of the missing keypoints, of types side by side.

    What lies within the reach of a keypoint lies at most `CELLS` cells from its own.
    """
    low = min(float(table[:, 2].min()), float(tag[:, 0].min()))
    high = max(float(table[:, 2].max()), float(tag[:, 0].max()))
    scale = CELLS / max(reach, (high - low) / MOST_CELLS)
    width = int((high - low) * scale) + 2 * CELLS + 2
    rows, missing = (
        types.astype(np.int64) * width + ((first - low) * scale).astype(np.int64) + CELLS
        for types, first in ((table[:, 0], table[:, 2].astype(np.float64)), (kind, tag[:, 0].astype(np.float64)))
    )
    small = (float(table[:, 0].max()) + 1) * width < 2**16
    return rows.astype(np.uint16) if small else rows, missing  # 16 bits are sorted by radix, in a third of the time


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
    heatmap, tags, person, kind = maps.heatmap[0], maps.tag[0], *np.nonzero(missing)
    search = host_pixels if heatmap.device.type == "cpu" else device_pixels
    table, position = search(heatmap, tags, fill_threshold, missing.any(axis=0))
    row = FILLING[rule](kind, tag[person].astype(np.float32), table, tag_threshold, norm)
    person, kind, row = person[row >= 0], kind[row >= 0], row[row >= 0]
    filled = keypoints.copy()
    filled[person, kind] = np.concatenate([position(row), table[row, 1:2].clip(0, 1)], axis=1)
    return filled


# a row a pixel of type, heatmap value and tag, (P, 2 + D) float32; and what gives the sub-pixel x, y of some rows
Pixels = tuple[Array, Callable[[Array], Array]]


def host_pixels(heatmap: Tensor, tag: Tensor, threshold: float, channels: Array) -> Pixels:
    """The pixels of some channels from the threshold on, of maps on a CPU."""
    values = host.array(heatmap)
    index, table = host.pixels_above(values, host.array(tag), threshold, channels)

    def position(row: Array) -> Array:
        place = index[row]
        return host.subpixel(values, place, *host.unflatten(place, values.shape)[1:])

    return table, position


def device_pixels(heatmap: Tensor, tag: Tensor, threshold: float, channels: Array) -> Pixels:
    """The same on any device."""
    wanted = torch.from_numpy(channels).to(heatmap.device)
    channel, y, x = torch.nonzero((heatmap >= threshold) & wanted[:, None, None], as_tuple=True)
    columns = [channel[:, None], heatmap[channel, y, x, None], tag[channel, :, y, x]]
    table = torch.cat([column.float() for column in columns], dim=1).cpu().numpy()

    def position(row: Array) -> Array:
        at = torch.from_numpy(row).to(heatmap.device)
        return subpixel(heatmap, channel[at], y[at], x[at]).cpu().numpy()

    return table, position
