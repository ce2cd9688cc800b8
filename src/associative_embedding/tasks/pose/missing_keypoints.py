"""Fills in the keypoints that a grouped person lacks, from pixels that carry the person's tag (paper, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from associative_embedding.detection import peaks_on_cpu
from associative_embedding.detection.peak_table import unflatten
from associative_embedding.detection.peaks import on_cpu
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Norm, tag_distance
from associative_embedding.structures.map_values import Values, as_array
from associative_embedding.structures.maps import Maps

FillRule = Literal["near", "rounded"]

# The pixels that keypoints may be filled from: a table (P, 2 + D) float32 of keypoint type, heatmap value and tag, and
# the function that computes the sub-pixel x, y of some of its rows.
Pixels = tuple[Array, Callable[[Array], Array]]

CELLS = 2  # cells of the first tag dimension within the tag threshold
MOST_CELLS = 1e9  # for each keypoint type, times `CELLS`: keeps cell numbers in 64 bits; more distant tags share cells


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
    """Returns the keypoints, with missing ones placed where the heatmap is highest among pixels of the person's tag.

    Published decoders scan every pixel of every type for every person (seconds an image). Here only pixels above
    `fill_threshold` are read, of the types that somebody lacks, for all people at once, at the map's own resolution.

    Args:
        keypoints: ``(G, K, 3)`` x, y on the map, score (0 = missing).
        tag: ``(G, D)`` of each person.
        maps: of this image (batch 1).
        fill_threshold: lowest heatmap value.
        tag_threshold: tag distance from which a pixel belongs to somebody else.
        norm: of the tag distance, see `grouping.tag_distance`.
        rule: how heatmap value and tag distance weigh, a key of `FILLING`.
    """
    missing = keypoints[:, :, 2] == 0
    if not missing.any():
        return keypoints.copy()
    heatmap, tags, person, kind = maps.heatmap[0], maps.tag[0], *np.nonzero(missing)
    read_pixels = pixels_on_cpu if on_cpu(heatmap) else pixels_on_gpu
    table, position = read_pixels(heatmap, tags, fill_threshold, missing.any(axis=0))
    row = FILLING[rule](kind, tag[person].astype(np.float32), table, tag_threshold, norm)
    person, kind, row = person[row >= 0], kind[row >= 0], row[row >= 0]
    filled = keypoints.copy()
    filled[person, kind] = np.concatenate([position(row), table[row, 1:2].clip(0, 1)], axis=1)
    return filled


def pixels_on_cpu(heatmap: Values, tag: Values, threshold: float, wanted: Array) -> Pixels:
    """Reads the pixels from the threshold on, of maps on a CPU.

    Args:
        heatmap: ``(K, h, w)``.
        tag: ``(K, D, h, w)``.
        threshold: lowest heatmap value.
        wanted: ``(K,)`` bool, the keypoint types to read.
    """
    values, tags = as_array(heatmap), as_array(tag)
    count, size = len(values), values.shape[1] * values.shape[2]
    flat, flat_tags, kinds = values.reshape(count, size), tags.reshape(count, -1, size), np.flatnonzero(wanted)
    # Type by type: reading one plane at a time takes a fraction of one selection over all of them.
    pixels = [np.flatnonzero(flat[kind] >= threshold) for kind in kinds]
    total = sum(map(len, pixels))
    table, place, row = np.empty((total, 2 + flat_tags.shape[1]), np.float32), np.empty(total, np.int64), 0
    for kind, pixel in zip(kinds, pixels, strict=True):
        rows = slice(row, row + len(pixel))
        table[rows, 0], table[rows, 1], table[rows, 2:] = kind, flat[kind].take(pixel), flat_tags[kind].take(pixel, 1).T
        place[rows] = kind * size + pixel
        row = rows.stop

    def position(row: Array) -> Array:
        _, y, x = unflatten(place[row], values.shape)
        return peaks_on_cpu.subpixel(values, place[row], y, x)

    return table, position


def pixels_on_gpu(heatmap: Values, tag: Values, threshold: float, wanted: Array) -> Pixels:
    """Reads the same pixels of tensors on any device; arguments as in `pixels_on_cpu`."""
    import torch

    from associative_embedding.detection import peaks_on_gpu

    of_type = torch.from_numpy(wanted).to(heatmap.device)
    place = ((heatmap >= threshold) & of_type[:, None, None]).flatten().nonzero()[:, 0]
    kind, y, x = unflatten(place, heatmap.shape)
    columns = [kind[:, None], heatmap[kind, y, x, None], tag[kind, :, y, x]]
    table = as_array(torch.cat([column.float() for column in columns], dim=1))

    def position(row: Array) -> Array:
        at = torch.from_numpy(row).to(heatmap.device)
        return as_array(peaks_on_gpu.subpixel(heatmap, place[at], y[at], x[at]))

    return table, position


def near(kind: Array, tag: Array, table: Array, threshold: float, norm: Norm) -> Array:
    """Takes the highest pixel whose tag distance is below the threshold; of equally high ones the first.

    Cost grows with the pixels of similar tag, not with people: pixels are sorted into cells of the first tag dimension,
    and each keypoint is compared with the cells around its own.
    """
    result = np.full(len(kind), -1)
    if not len(table):
        return result
    # A little more than the threshold, for rounding; the exact comparison follows.
    reach = threshold * (np.sqrt(tag.shape[1]) if norm == "rms" else 1.0) * 1.001 + 1e-6
    cell, own_cell = cells(kind, tag, table, reach)
    order = np.argsort(cell, kind="stable")
    cell = cell[order]
    first, last = np.searchsorted(cell, own_cell - CELLS), np.searchsorted(cell, own_cell + CELLS + 1)
    count = last - first
    pair = np.repeat(np.arange(len(kind)), count)
    row = order[np.arange(len(pair)) + np.repeat(first - (count.cumsum() - count), count)]
    similar = tag_distance(tag[pair], table[row, 2:], norm) < threshold
    pair, row = pair[similar], row[similar]
    if not len(pair):
        return result
    start, value = np.flatnonzero(np.diff(pair, prepend=-1)), table[row, 1]  # start: of each keypoint's pixels
    highest = np.repeat(np.maximum.reduceat(value, start), np.diff(start, append=len(pair)))
    result[pair[start]] = np.minimum.reduceat(np.where(value == highest, row, len(table)), start)
    return result


def cells(kind: Array, tag: Array, table: Array, reach: float) -> tuple[Array, Array]:
    """Numbers the cells of the table's rows and of the missing keypoints; types follow each other without overlap.

    Tags within `reach` of a keypoint's tag lie at most `CELLS` cells from its own.
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
    """Takes the pixel of the greatest value - round(distance), as published code; however far its tag is."""
    result = np.full(len(kind), -1)
    for i, k in enumerate(kind):
        rows = np.flatnonzero(table[:, 0] == k)
        if len(rows):
            distance = tag_distance(tag[i], table[rows, 2:].astype(np.float32), norm)
            result[i] = rows[np.argmax(table[rows, 1].astype(np.float32) - np.round(distance))]
    return result


# The pixel that each of the missing keypoints takes, a row of the table or -1 = none: (P,) keypoint types, (P, D) tags
# of their people, the table of pixels, the tag threshold and the norm -> (P,).
FILLING: dict[FillRule, Callable[[Array, Array, Array, float, Norm], Array]] = {"near": near, "rounded": rounded}
