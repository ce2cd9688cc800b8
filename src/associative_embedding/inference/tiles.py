"""Images of any size: cuts an image into tiles, and merges the objects of all tiles.

The memory contains the crops of the objects and the maps of one tile, so it does not grow with the area of the image.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from associative_embedding.instances import Instances, concatenate
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks, require_masks, trim
from associative_embedding.structures.windows import Window, intersect, relative

SAME = 0.5  # least IoU, in the overlap of two tiles, of two pieces of one object


def windows(size: tuple[int, int], tile: int, overlap: int) -> list[Window]:
    """Returns tiles of at most `tile` x `tile` pixels that cover an image of `size` (H, W).

    Args:
        tile: side of a tile, pixels.
        overlap: least overlap of two neighbours, pixels.

    Raises:
        ValueError: when the overlap is not below half of the tile.
    """
    if not 0 <= 2 * overlap < tile:
        raise ValueError(f"the overlap of tiles must be at least 0 and below half of them, not {overlap} of {tile}")
    return [(rows, columns) for rows in spans(size[0], tile, overlap) for columns in spans(size[1], tile, overlap)]


def spans(length: int, tile: int, overlap: int) -> list[slice]:
    """Returns evenly spread, equal slices that cover a length."""
    if length <= tile:
        return [slice(0, length)]
    # Equal steps instead of a short last tile: every object then has the same surroundings.
    count = int(np.ceil((length - overlap) / (tile - overlap)))
    starts = np.linspace(0, length - tile, count).round().astype(int)
    return [slice(int(start), int(start) + tile) for start in starts]


def trusted(window: Window, size: tuple[int, int], margin: int) -> Window:
    """Returns a tile without a margin at its inner sides, where the network lacked the surroundings of objects."""
    rows, columns = (
        slice(part.start + margin * (part.start > 0), part.stop - margin * (part.stop < length))
        for part, length in zip(window, size, strict=True)
    )
    return rows, columns


def stitch(parts: Iterable[tuple[Window, Instances]], size: tuple[int, int], margin: int) -> Instances:
    """Merges the objects of all tiles into the objects of an image of `size` (H, W), best first.

    Two pieces of one class whose IoU is above `SAME` in the overlap of their tiles become one object, their union. If
    the IoU is lower, the piece with the higher score keeps the shared pixels. An object in many tiles is merged step by
    step.

    Args:
        parts: a window, and the objects found in it in pixels of the window.
        margin: pixels at the inner sides of a tile that are not used.
    """
    pieces: list[tuple[Window, Instances]] = []
    starts, pairs = [0], [np.zeros((0, 3), np.int64)]
    for window, found in parts:
        area = trusted(window, size, margin)
        placed = cut(found, window, area, size)
        for (other, piece), first in zip(pieces, starts, strict=False):
            pairs.append(meetings(piece, placed, intersect(other, area)) + np.array([first, starts[-1], 0]))
        pieces.append((area, placed))
        starts.append(starts[-1] + len(placed))
    # Pieces are united before rivals are settled: a union of many tiles must not lose pixels to its own parts.
    met = np.concatenate(pairs)
    whole, number = unite(concatenate([piece for _, piece in pieces]), met[met[:, 2] == 1, :2])
    rivals = np.unique(np.sort(number[met[met[:, 2] == 0, :2]], axis=1), axis=0)
    whole = contest(whole, rivals[rivals[:, 0] != rivals[:, 1]])
    return whole[np.argsort(-whole.score, kind="stable")]


def cut(found: Instances, window: Window, area: Window, size: tuple[int, int]) -> Instances:
    """Moves the objects of a window to the pixels of the image, and cuts off what lies outside the trusted area."""
    moved = require_masks(found.masks).moved(window[0].start, window[1].start, size)
    masks = inside(moved, area)
    kept = masks.area > 0
    return replace(found, image_size=size, masks=masks, image=None)[kept]


def inside(masks: Masks, area: Window) -> Masks:
    """Cuts regions to a part of the image; one outside it becomes empty."""
    corners, crops = [], []
    for i, crop in enumerate(masks.crops):
        window = masks.window(i)
        inner = intersect(window, area)
        if inner is None:
            corners.append((0, 0))
            crops.append(np.zeros((0, 0), bool))
        else:
            (y, x), part = trim(crop[relative(inner, window)])
            corners.append((inner[0].start + y, inner[1].start + x))
            crops.append(part)
    places = np.array(corners, np.int64).reshape(-1, 2)
    places[[not crop.size for crop in crops]] = 0
    return Masks(masks.size, places, tuple(crops))


def meetings(a: Instances, b: Instances, strip: Window | None) -> Array:
    """Returns ``(P, 3)`` int64: rows of two pieces of one class that share pixels, and whether they are one object.

    Args:
        strip: the overlap of the two tiles; None = they do not overlap.
    """
    if strip is None or not len(a) or not len(b):
        return np.zeros((0, 3), np.int64)
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
    links = coo_matrix((np.ones(len(same)), (same[:, 0], same[:, 1])), shape=(n, n))
    count, number = connected_components(links, directed=False)
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
