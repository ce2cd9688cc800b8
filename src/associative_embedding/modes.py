"""Detections -> Groups, when any number of detections may share a group: the modes of their tags are the groups.

The paper decodes masks this way (section 3.4, figure 5): a histogram of the tags, non-maximum suppression on it, and
every pixel goes to the nearest of the values that are left. Here the histogram may have any number of dimensions; only
the cells that hold something exist. Like `grouping`, this file knows scores and tags and nothing else.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from associative_embedding.types import Array, Detections, Groups

CELL = 0.5  # side of a histogram cell, in bandwidths
FAR = 1e9  # bandwidths; tags beyond are as good as equal, and integers can number what lies within


def group_by_modes(
    detections: Detections, *, bandwidth: float, region: Array | None = None, min_weight: float = 0.0
) -> Groups:
    """Every detection joins the nearest mode of the tags.

    Args:
        detections: M; their steps do not matter, as any two may share a group.
        bandwidth: root mean square tag distance: modes are at least so far apart.
        region: ``(M,)`` int64, detections of different regions never share a group; None = all are of one.
        min_weight: a mode whose surroundings hold less (the sum of the scores within half a bandwidth) is none. Where a
            region has no mode, its detections are dropped.

    Raises:
        ValueError: for a tag or score that is NaN or infinite, or a bandwidth that is not positive.
    """
    tag, score = detections.tag, detections.score
    if not (np.isfinite(tag).all() and np.isfinite(score).all()):
        raise ValueError("tags and scores must be finite")
    if not 0 < bandwidth < np.inf:
        raise ValueError(f"the bandwidth must be positive, not {bandwidth}")
    if not len(detections):
        return Groups(np.zeros(0, np.int64), np.zeros((0, tag.shape[1])), np.zeros(0))
    # Euclidean distance in `place` is root mean square distance of tags in bandwidths; regions lie out of reach
    place = (tag / (bandwidth * np.sqrt(tag.shape[1]))).clip(-FAR, FAR)
    beyond = float(np.linalg.norm(np.ptp(place, axis=0))) + 4
    if region is not None:
        place = np.column_stack([place, region * beyond])
    cells, weight = histogram(place, score)
    modes = centre(cells, weight, cells[find_modes(cells, weight, min_weight)])
    if not len(modes):
        return Groups(np.full(len(tag), -1), np.zeros((0, tag.shape[1])), np.zeros(0))
    distance, group = cKDTree(modes).query(place)
    group = np.where(distance < beyond - 2, group, -1)
    return summarise(group, tag, score)


def histogram(place: Array, score: Array) -> tuple[Array, Array]:
    """The cells that hold something: the mean place ``(n, E)`` of what each holds, and its weight ``(n,)``.

    Args:
        place: ``(M, E)`` in bandwidths.
        score: ``(M,)``, how much each place weighs.
    """
    cell = np.floor(place / CELL).astype(np.int64)
    cell -= cell.min(axis=0)
    sides = cell.max(axis=0) + 1
    if np.log2(sides.astype(float)).sum() < 62:  # one integer numbers all cells: many times faster
        _, index = np.unique(cell @ np.cumprod([1, *sides[:-1]]), return_inverse=True)
    else:
        _, index = np.unique(cell, axis=0, return_inverse=True)
    index = index.reshape(-1)
    count = np.bincount(index)
    mean = np.stack([np.bincount(index, column) for column in place.T], axis=1) / count[:, None]
    return mean, np.bincount(index, score)


def find_modes(cells: Array, weight: Array, min_weight: float) -> Array:
    """Rows of the cells that hold more, within half a bandwidth, than all others within a whole one (NMS).

    Of equal ones the first is the mode.
    """
    pairs = cKDTree(cells).query_pairs(1.0, output_type="ndarray")
    a, b = pairs[np.linalg.norm(cells[pairs[:, 0]] - cells[pairs[:, 1]], axis=1) <= CELL].T
    density = weight + np.bincount(a, weight[b], len(cells)) + np.bincount(b, weight[a], len(cells))
    first, second = pairs.T  # first < second
    beaten = np.zeros(len(cells), bool)
    beaten[np.where(density[first] < density[second], first, second)] = True
    return np.flatnonzero(~beaten & (density >= min_weight))


def centre(cells: Array, weight: Array, modes: Array) -> Array:
    """``(n, E)`` modes, each moved to the mean of what lies within half a bandwidth: finer than a cell.

    Of modes that come to lie within half a bandwidth of each other the first stays. Going on to the fixed point (mean
    shift) was tried and changes no number (docs/results.md).
    """
    near = cKDTree(cells).query_ball_point(modes, CELL)
    moved = [np.average(cells[rows], axis=0, weights=weight[rows] + 1e-12) for rows in near]
    return distinct(np.reshape(moved, (-1, cells.shape[1])))


def distinct(modes: Array) -> Array:
    """The modes without those that lie within half a bandwidth of an earlier one."""
    keep = np.ones(len(modes), bool)
    for first, second in sorted(cKDTree(modes).query_pairs(CELL)) if len(modes) else ():
        keep[second] &= not keep[first]
    return modes[keep]


def summarise(group: Array, tag: Array, score: Array) -> Groups:
    """Groups numbered through, without those that nobody joined."""
    used, number = np.unique(group, return_inverse=True)
    number = number.reshape(-1) - int(used[0] == -1)  # -1 stays -1
    kept = number >= 0
    count = np.bincount(number[kept])
    total = np.stack([np.bincount(number[kept], column[kept]) for column in tag.T], axis=1).reshape(-1, tag.shape[1])
    return Groups(number, total / count[:, None], np.bincount(number[kept], score[kept]) / count)
