"""Detections -> Groups: equal tags mean the same group.

This file knows scores and tags. It knows nothing of keypoints, pixels, people or frames: pose calls a keypoint type a
step, tracking calls a frame a step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups

Norm = Literal["rms", "l2"]
Matching = Literal["product", "nearest", "rounded", "strength"]
Assignment = Literal["optimal", "greedy"]


def tag_distance(a: Array, b: Array, norm: Norm = "rms") -> Array:
    """Distance over the tag dimension, ``(..., D)`` and ``(..., D)`` -> ``(...)``.

    Args:
        norm: "rms", the root mean square difference, so that a threshold keeps its meaning with mirror and scales (the
            official code's); or "l2", the Euclidean distance (HigherHRNet's and mmpose's), sqrt(D) times as much.
    """
    difference = a - b
    if difference.shape[-1] == 1:
        return np.asarray(np.abs(difference[..., 0]))
    squares = np.einsum("...d,...d->...", difference, difference)  # many times faster than a mean over a short axis
    return np.asarray(np.sqrt(squares / difference.shape[-1] if norm == "rms" else squares))


def product(distance: Array, score: Array, threshold: float, strength: Array | None = None) -> Array:
    """Nearness and score both count all the way; 0 from the threshold on.

    The paper (section 3.3): "a maximum matching where the weighting is determined by both the tag distance and the
    detection score".
    """
    return nearest(distance, score, threshold) * (1.0 + score[:, None])


def nearest(distance: Array, score: Array, threshold: float, strength: Array | None = None) -> Array:
    """Tags alone; 0 from the threshold on."""
    return np.asarray(np.maximum(0.0, 1.0 - distance / threshold))


def rounded(distance: Array, score: Array, threshold: float, strength: Array | None = None) -> Array:
    """Published code's: minus round(distance) * 100 - score, so that among distances below a half the score decides.

    It knows no threshold: a near match is given up where that makes the sum of far ones smaller.
    """
    return np.asarray(score[:, None] - 100.0 * np.round(distance))


def strong(distance: Array, score: Array, threshold: float, strength: Array) -> Array:
    """Strong detections go to strong groups, unless the tag says otherwise; 0 from the threshold on.

    A doubtful second peak of a keypoint starts a group of its own beside the person's. By nearness alone that group
    then takes other keypoints from the person, whenever its one tag happens to be a little nearer.
    """
    near = np.maximum(0.0, 1.0 - np.square(distance / threshold))
    return np.asarray(near * score[:, None] * strength)


# what it is worth that a detection joins a group: (m, G) distances, (m,) scores, tag threshold and the (G,) sums of the
# scores that groups have so far -> (m, G)
MATCHING: dict[Matching, Callable[[Array, Array, float, Array], Array]] = {
    "product": product,
    "nearest": nearest,
    "rounded": rounded,
    "strength": strong,
}


def greedy_assignment(weight: Array) -> tuple[Array, Array]:
    """min(m, G) pairs of a row and a column, the greatest weight first; no row and no column twice."""
    free, rows, columns = weight.astype(np.float64), [], []
    for _ in range(min(weight.shape)):
        row, column = np.unravel_index(free.argmax(), weight.shape)
        free[row], free[:, column] = -np.inf, -np.inf
        rows.append(row)
        columns.append(column)
    return np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)


# who joins whom: (m, G) weights -> rows and columns of min(m, G) pairs
ASSIGNMENT: dict[Assignment, Callable[[Array], tuple[Array, Array]]] = {
    "optimal": partial(linear_sum_assignment, maximize=True),
    "greedy": greedy_assignment,
}


def group_sequentially(
    detections: Detections,
    *,
    tag_threshold: float,
    norm: Norm = "rms",
    matching: Matching = "strength",
    assignment: Assignment = "optimal",
) -> Groups:
    """Visit the steps in ascending order; each group takes at most one detection of a step (paper, section 3.3).

    A detection may join a group if their tag distance is below `tag_threshold`; who joins whom maximises the sum of
    weights. A detection that joins none starts a new group. The tag of a group is the mean over its detections.

    Args:
        detections: M detections.
        tag_threshold: tag distance from which a detection and a group do not belong together.
        norm: of the tag distance, see `tag_distance`.
        matching: how distance, score and the group's strength weigh, a key of `MATCHING`.
        assignment: "optimal" for the greatest sum of weights, "greedy" for the best pair first.

    Raises:
        ValueError: for a tag or score that is NaN or infinite.
    """
    count, dimension = len(detections), detections.tag.shape[1]
    if not (np.isfinite(detections.tag).all() and np.isfinite(detections.score).all()):
        raise ValueError("tags and scores must be finite")
    group = np.full(count, -1, dtype=np.int64)
    tag_sum = np.zeros((count, dimension))
    score_sum, size = np.zeros(count), np.zeros(count, dtype=np.int64)
    groups = 0
    for rows in _rows_by_step(detections):
        tags, scores = detections.tag[rows], detections.score[rows]
        distance = tag_distance(tags[:, None], tag_sum[:groups] / size[:groups, None], norm)
        weight = MATCHING[matching](distance, scores, tag_threshold, score_sum[:groups])
        joined = match(distance, weight, tag_threshold, assignment)
        new = joined < 0
        joined[new] = groups + np.arange(int(new.sum()))
        groups += int(new.sum())
        group[rows] = joined
        tag_sum[joined] += tags  # a step's detections join different groups: no index repeats
        score_sum[joined] += scores
        size[joined] += 1
    return Groups(group=group, tag=tag_sum[:groups] / size[:groups, None], score=score_sum[:groups] / size[:groups])


def _rows_by_step(detections: Detections) -> list[Array]:
    """Row numbers of each step, steps ascending, the best score first."""
    order = np.lexsort((-detections.score, detections.step))
    _, first = np.unique(detections.step[order], return_index=True)
    return np.split(order, first[1:]) if len(order) else []


def match(distance: Array, weight: Array, threshold: float, assignment: Assignment = "optimal") -> Array:
    """The group each of m detections joins, ``(m,)`` int64, -1 = none.

    Args:
        distance, weight: ``(m, G)``.
        threshold: distance from which a pair does not count.
        assignment: a key of `ASSIGNMENT`.
    """
    joined = np.full(len(distance), -1, dtype=np.int64)
    rows, columns = ASSIGNMENT[assignment](weight)
    near = distance[rows, columns] < threshold
    joined[rows[near]] = columns[near]
    return joined


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
