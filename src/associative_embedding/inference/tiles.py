"""Images of any size: cuts an image into tiles, and merges the objects of all tiles.

The memory contains the crops of the objects and the maps of one tile, so it does not grow with the area of the image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from associative_embedding.instances import Instances, concatenate
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.connected import connected
from associative_embedding.structures.masks import Masks, require_masks, trim
from associative_embedding.structures.windows import Window, intersect, relative

STRETCH = 0.125  # share of a tile by which a side that is not cut may be longer
SAME = 0.5  # least IoU, in the overlap of two tiles, of two pieces of one object


def windows(size: tuple[int, int], tile: int, overlap: int, grid: int = 1) -> list[Window]:
    """Returns tiles that cover an image of `size` (H, W), row by row.

    Args:
        tile: longest side of a tile, pixels. An image side of up to `1 + STRETCH` times as much is not cut.
        overlap: least overlap of two neighbours, pixels.
        grid: tiles begin at multiples of it, pixels. Where it is the pixel of a network's coarsest map, the network
            computes the same for a place in all tiles that contain it and enough of its surroundings.

    Raises:
        ValueError: when the overlap is not below half of the tile.
    """
    if not 0 <= 2 * overlap < tile:
        raise ValueError(f"the overlap of tiles must be at least 0 and below half of them, not {overlap} of {tile}")
    # A grid that is coarse for the tile would make the overlap much larger.
    if grid > overlap or math.ceil(overlap / grid) >= tile // grid:
        grid = 1
    rows, columns = (spans(length, tile, overlap, grid) for length in size)
    return [(y, x) for y in rows for x in columns]


def spans(length: int, tile: int, overlap: int, grid: int) -> list[slice]:
    """Returns evenly spread spans that cover a length; arguments as of `windows`."""
    if length <= (1 + STRETCH) * tile:
        return [slice(0, length)]
    overlap = math.ceil(overlap / grid) * grid
    count = math.ceil((length - overlap) / (tile // grid * grid - overlap))
    # No longer than needed: a length just above that of two tiles costs three short ones, not three whole ones.
    side = math.ceil((length + (count - 1) * overlap) / count / grid) * grid
    # Equal steps instead of a short last tile: every object then has the same surroundings.
    starts = np.ceil(np.linspace(0, length - side, count) / grid).astype(int) * grid
    return [slice(start, min(start + side, length)) for start in starts.tolist()]


def cores(tiles: Sequence[Window]) -> list[Window]:
    """Returns the part of each tile that decides its pixels; the cores cover the image without an overlap.

    Where two tiles overlap, each decides the half that is nearer to it: there it has more of the surroundings.

    Args:
        tiles: see `windows`.
    """
    rows, columns = (halves({(tile[axis].start, tile[axis].stop) for tile in tiles}) for axis in (0, 1))
    return [(rows[y.start], columns[x.start]) for y, x in tiles]


def halves(ends: set[tuple[int, int]]) -> dict[int, slice]:
    """Returns the core of each span by its start; spans are pairs of start and stop that cover a length."""
    ordered = sorted(ends)
    middles = [(before[1] + after[0]) // 2 for before, after in pairwise(ordered)]
    borders = [ordered[0][0], *middles, ordered[-1][1]]
    return {span[0]: slice(*core) for span, core in zip(ordered, pairwise(borders), strict=True)}


def stitch(parts: Iterable[tuple[Window, Instances]], size: tuple[int, int]) -> Instances:
    """Merges the objects of all tiles into the objects of an image of `size` (H, W), best first.

    Each pixel is decided by the tile whose core contains it. Two pieces of one class whose IoU is above `SAME` in the
    overlap of their tiles become one object, the union of their pixels. An object without such a partner is kept whole
    by the tile that decides most of its pixels, and dropped by the others. Of two objects that still share pixels, the
    one with the higher score keeps them. An object in many tiles is merged step by step.

    The pieces that losing pixels leaves are not removed, see `SegmentationTask.cleaned`.

    Args:
        parts: a window, and the objects found in it in pixels of the window, row by row of tiles; see `windows`.
    """
    tiles: list[Window] = []
    found: list[Instances] = []
    starts, pairs = [0], [np.zeros((0, 3), np.int64)]
    for window, objects in parts:
        placed = moved(objects, window, size)
        for i in reversed(range(len(tiles))):
            if tiles[i][0].stop <= window[0].start:
                break  # this row of tiles and all before it end above the window
            if strip := intersect(tiles[i], window):
                pairs.append(meetings(found[i], placed, strip) + np.array([starts[i], starts[-1], 0]))
        tiles.append(window)
        found.append(placed)
        starts.append(starts[-1] + len(placed))
    return settle(concatenate(found), decided(found, cores(tiles)), np.concatenate(pairs))


def moved(objects: Instances, window: Window, size: tuple[int, int]) -> Instances:
    """Moves the objects of a window to the pixels of the image."""
    masks = require_masks(objects.masks).moved(window[0].start, window[1].start, size)
    return replace(objects, image_size=size, masks=masks, image=None)


def decided(found: Sequence[Instances], areas: Sequence[Window]) -> Masks:
    """Returns the pixels of all objects that their own tiles decide; many objects have none."""
    masks = [require_masks(objects.masks) for objects in found]
    return Masks.join([inside(part, area) for part, area in zip(masks, areas, strict=True)], masks[0].size)


def settle(objects: Instances, owned: Masks, met: Array) -> Instances:
    """Makes the objects of the image from those of its tiles, best first.

    Args:
        objects: N, of all tiles.
        owned: N, the pixels of each that its own tile decides.
        met: ``(P, 3)``, see `meetings`.
    """
    part, whole = owned.area, require_masks(objects.masks).area
    pairs, same = met[:, :2], met[:, 2] == 1
    # Only pieces with pixels of their own: another one could join two objects of a tile that separates them.
    same &= (part[pairs] > 0).all(axis=1)
    alone = np.ones(len(objects), bool)
    alone[pairs[same]] = False
    kept = np.where(alone, 2 * part > whole, part > 0)
    row = np.cumsum(kept) - 1
    united, number = unite(
        replace(objects, masks=choose(alone, require_masks(objects.masks), owned))[kept], row[pairs[same]]
    )
    rivals = number[row[pairs[~same & kept[pairs].all(axis=1)]]]
    united = contest(united, np.unique(np.sort(rivals, axis=1), axis=0))
    return united[np.argsort(-united.score, kind="stable")]


def choose(first: Array, a: Masks, b: Masks) -> Masks:
    """Returns mask i of `a` where ``first``, ``(N,)`` bool, is true, else of `b`."""
    crops = tuple(x if one else y for one, x, y in zip(first, a.crops, b.crops, strict=True))
    return Masks(a.size, np.where(first[:, None], a.corners, b.corners), crops)


def inside(masks: Masks, area: Window) -> Masks:
    """Cuts regions to a part of the image; one outside it becomes empty."""
    corners, crops = [], []
    for i, crop in enumerate(masks.crops):
        window = masks.window(i)
        inner = intersect(window, area)
        if inner == window:
            corners.append((window[0].start, window[1].start))
            crops.append(crop)  # most objects: no copy
        elif inner is None:
            corners.append((0, 0))
            crops.append(np.zeros((0, 0), bool))
        else:
            (y, x), part = trim(crop[relative(inner, window)])
            corners.append((inner[0].start + y, inner[1].start + x))
            crops.append(part)
    places = np.array(corners, np.int64).reshape(-1, 2)
    places[[not crop.size for crop in crops]] = 0
    return Masks(masks.size, places, tuple(crops))


def meetings(a: Instances, b: Instances, strip: Window) -> Array:
    """Returns ``(P, 3)`` int64: rows of two pieces of one class that share pixels, and whether they are one object.

    Args:
        strip: the overlap of the two tiles.
    """
    # Only in the strip: outside it one of the two tiles has no pixels, which would lower the IoU.
    iou = inside(require_masks(a.masks), strip).iou(inside(require_masks(b.masks), strip))
    rows = np.argwhere((iou > 0) & (a.class_id[:, None] == b.class_id))
    return np.column_stack([rows, iou[rows[:, 0], rows[:, 1]] > SAME]).astype(np.int64)


def unite(pieces: Instances, same: Array) -> tuple[Instances, Array]:
    """Unites the pieces of each object. An object gets the score and the tag of its largest piece.

    Args:
        pieces: N pieces.
        same: ``(P, 2)`` rows of two pieces of one object.

    Returns:
        the objects, and ``(N,)`` the number of the object that each piece belongs to.
    """
    n = len(pieces)
    number = connected(n, same[:, 0], same[:, 1])
    count = int(number.max(initial=-1)) + 1
    masks = require_masks(pieces.masks)
    order = np.lexsort((-masks.area, number))  # object by object, the largest piece first
    first = np.searchsorted(number[order], np.arange(count))
    members = np.split(order, first[1:]) if count else []
    united = Masks.join([union(masks[rows]) for rows in members], masks.size)
    return replace(pieces[order[first]], masks=united), number


def union(masks: Masks) -> Masks:
    """Returns one region, the union of all."""
    if len(masks) == 1:
        return masks
    ends = masks.corners + np.array([crop.shape for crop in masks.crops])
    y, x = masks.corners.min(axis=0).tolist()
    bottom, right = ends.max(axis=0).tolist()
    crop = np.zeros((bottom - y, right - x), bool)
    for i, part in enumerate(masks.crops):
        crop[relative(masks.window(i), (slice(y, bottom), slice(x, right)))] |= part
    return Masks(masks.size, np.array([[y, x]]), (crop,))


def contest(instances: Instances, rivals: Array) -> Instances:
    """Gives the pixels that two objects share to the one with the higher score; drops objects without pixels.

    Args:
        rivals: ``(P, 2)`` rows of two objects that share pixels.
    """
    masks = require_masks(instances.masks)
    crops = list(masks.crops)
    for a, b in rivals:
        winner, loser = (a, b) if instances.score[a] >= instances.score[b] else (b, a)
        won, lost = masks.window(winner), masks.window(loser)
        shared = intersect(won, lost)
        if shared is not None:
            crops[loser] = crops[loser].copy()
            crops[loser][relative(shared, lost)] &= ~crops[winner][relative(shared, won)]
    remaining = Masks(masks.size, masks.corners, tuple(crops))
    return replace(instances, masks=remaining)[remaining.area > 0]
