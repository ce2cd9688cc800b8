"""Detections -> groups. THE idea: equal tags mean the same group.

A network predicts a score and a tag for each detection. Detections whose tags are nearly equal form a group. This file
uses scores and tags alone, and holds for every task:

- `group_sequentially`: detections of one *step* exclude each other. Pose: a step is a keypoint type, a group is a
  person. Tracking: a step is a frame, a group is a track.
- `group_by_modes`: any number of detections share a group. Segmentation: detections are pixels, a group is an object.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy

from associative_embedding.grouping.munkres import published_assignment
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups, Norm, tag_distance

Matching = Literal["product", "nearest", "rounded", "strength"]
Assignment = Literal["optimal", "greedy", "published"]


def check_finite(detections: Detections) -> None:
    """Checks the values that grouping compares.

    Raises:
        ValueError: for a tag or score that is NaN or infinite.
    """
    if not (np.isfinite(detections.tag).all() and np.isfinite(detections.score).all()):
        raise ValueError("tags and scores must be finite, and some are NaN or infinite")


# ---- step by step (paper, section 3.3)


def group_sequentially(
    detections: Detections,
    *,
    tag_threshold: float,
    norm: Norm = "rms",
    matching: Matching = "strength",
    assignment: Assignment = "optimal",
    open_groups: int = 0,
    stop: bool = False,
) -> Groups:
    """Visits the steps in ascending order; each group takes at most one detection of a step (paper, section 3.3).

    A detection may join a group if their tag distance is below `tag_threshold`. Which detection joins which group
    maximises the sum of weights. A detection that joins none starts a new group. The tag of a group is the mean over
    its detections.

    Args:
        detections: M detections.
        tag_threshold: tag distance from which a detection does not join a group.
        norm: of the tag distance, see `tag_distance`.
        matching: how distance, score and the group's strength weigh, a key of `MATCHING`.
        assignment: how pairs are chosen, a key of `ASSIGNMENT`.
        open_groups: only so many groups, the first ones, can be joined; 0 = all (published code: 30).
        stop: as soon as there are `open_groups` groups, drop the detections of all further steps (the paper's code).

    Raises:
        ValueError: for a tag or score that is NaN or infinite.
    """
    check_finite(detections)
    count, dimension = len(detections), detections.tag.shape[1]
    # Groups are numbered by integers: published code, keyed by the value of a tag, merges people with equal tags.
    group = np.full(count, -1, dtype=np.int64)
    # Published code averages in single precision, and some distances are half a unit but for the last bit.
    tag_sum = np.zeros((count, dimension), np.float32 if assignment == "published" else np.float64)
    score_sum, size = np.zeros(count), np.zeros(count, dtype=np.int64)
    groups = 0
    for rows in _rows_by_step(detections):
        tags, scores = detections.tag[rows], detections.score[rows]
        others = min(groups, open_groups) if open_groups else groups
        if stop and groups and others == open_groups:
            continue
        mean = tag_sum[:others] / size[:others, None].astype(tag_sum.dtype)
        distance = tag_distance(tags[:, None], mean, norm)
        weight = MATCHING[matching](distance, scores, tag_threshold, score_sum[:others])
        joined = assign(distance, weight, tag_threshold, assignment)
        new = joined < 0
        joined[new] = groups + np.arange(int(new.sum()))
        groups += int(new.sum())
        group[rows] = joined
        tag_sum[joined] += tags  # a step's detections join different groups: no index repeats
        score_sum[joined] += scores
        size[joined] += 1
    mean = np.asarray(tag_sum[:groups] / size[:groups, None])
    return Groups(group=group, tag=mean, score=score_sum[:groups] / size[:groups])


def _rows_by_step(detections: Detections) -> list[Array]:
    """The row numbers of each step, steps ascending, the best score first."""
    order = np.lexsort((-detections.score, detections.step))
    _, first = np.unique(detections.step[order], return_index=True)
    return np.split(order, first[1:]) if len(order) else []


def assign(distance: Array, weight: Array, threshold: float, assignment: Assignment = "optimal") -> Array:
    """Returns the group that each of m detections joins, ``(m,)`` int64, -1 = none.

    Args:
        distance, weight: ``(m, G)``.
        threshold: distance from which a pair does not join.
        assignment: a key of `ASSIGNMENT`.
    """
    joined = np.full(len(distance), -1, dtype=np.int64)
    near = distance < threshold
    rows, columns = ASSIGNMENT[assignment](weight)
    # After the assignment: the published rule has no threshold in its weights, and pairs beyond it count there.
    kept = near[rows, columns]
    joined[rows[kept]] = columns[kept]
    return joined


def product(distance: Array, score: Array, threshold: float, strength: Array | None = None) -> Array:
    """Weighs nearness times (1 + score); 0 from the threshold on.

    The paper (section 3.3): "a maximum matching where the weighting is determined by both the tag distance and the
    detection score".
    """
    return nearest(distance, score, threshold) * (1.0 + score[:, None])


def nearest(distance: Array, score: Array, threshold: float, strength: Array | None = None) -> Array:
    """Weighs tags alone; 0 from the threshold on."""
    return np.asarray(np.maximum(0.0, 1.0 - distance / threshold))


def rounded(distance: Array, score: Array, threshold: float, strength: Array | None = None) -> Array:
    """Weighs as published code: score - 100 round(distance), so that among distances below a half the score decides.

    The weight has no threshold: a near pair is given up where this makes the sum of far pairs smaller.
    """
    return np.asarray(score[:, None] - 100.0 * np.round(distance))


def strong(distance: Array, score: Array, threshold: float, strength: Array) -> Array:
    """Weighs nearness times score times the group's strength; 0 from the threshold on.

    A doubtful second peak of a keypoint starts a second group beside the person's. By nearness alone this group takes
    other keypoints from the person wherever its single tag is slightly nearer.
    """
    near = np.maximum(0.0, 1.0 - np.square(distance / threshold))
    return np.asarray(near * score[:, None] * strength)


# The weight of a detection joining a group: (m, G) distances, (m,) scores, the tag threshold and (G,) strengths, the
# sum of the scores in each group so far -> (m, G).
MATCHING: dict[Matching, Callable[[Array, Array, float, Array], Array]] = {
    "product": product,
    "nearest": nearest,
    "rounded": rounded,
    "strength": strong,
}


def optimal_assignment(weight: Array) -> tuple[Array, Array]:
    """Chooses the min(m, G) pairs of a row and a column of the greatest sum; no row and no column twice."""
    rows, columns = assignment_solver()(weight, maximize=True)
    return rows, columns


@cache
def assignment_solver() -> Callable[..., tuple[Array, Array]]:
    """Returns SciPy's `linear_sum_assignment`; the import of the rest of its package takes longer than an image."""
    name, folder = "scipy.optimize._lsap", Path(scipy.__file__).with_name("optimize")
    spec = PathFinder.find_spec(name, [str(folder)])
    if spec is None or spec.loader is None:  # another version of SciPy may have another file
        from scipy.optimize import linear_sum_assignment

        return linear_sum_assignment  # type: ignore[no-any-return]
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.linear_sum_assignment  # type: ignore[no-any-return]


def greedy_assignment(weight: Array) -> tuple[Array, Array]:
    """Chooses min(m, G) pairs of a row and a column, the greatest weight first; no row and no column twice."""
    free, rows, columns = weight.astype(np.float64), [], []
    for _ in range(min(weight.shape)):
        row, column = np.unravel_index(free.argmax(), weight.shape)
        free[row], free[:, column] = -np.inf, -np.inf
        rows.append(row)
        columns.append(column)
    return np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)


# Which detection joins which group: (m, G) weights -> rows and columns of min(m, G) pairs.
ASSIGNMENT: dict[Assignment, Callable[[Array], tuple[Array, Array]]] = {
    "optimal": optimal_assignment,
    "greedy": greedy_assignment,
    "published": published_assignment,
}


# ---- by the modes of the tag histogram (paper, section 3.4)

CELL = 0.5  # side of a histogram cell, in bandwidths
FAR = 1e9  # bandwidths: tags are clipped to this, so that 64-bit integers can number the cells


def group_by_modes(
    detections: Detections, *, bandwidth: float, region: Array | None = None, min_weight: float = 0.0
) -> Groups:
    """Finds the modes of the tags; every detection joins the nearest one (paper, section 3.4).

    Args:
        detections: M; their steps are not used, as any two may share a group.
        bandwidth: least distance between modes, root mean square over the tag dimension.
        region: ``(M,)`` int64, detections of different regions never share a group; None = all are in one.
        min_weight: least sum of scores within half a bandwidth of a mode. A region without a mode drops its detections.

    Raises:
        ValueError: for a tag or score that is NaN or infinite, or a bandwidth that is not positive.
    """
    check_finite(detections)
    tag, score = detections.tag, detections.score
    if not 0 < bandwidth < np.inf:
        raise ValueError(f"the bandwidth must be positive, not {bandwidth}")
    if not len(detections):
        return Groups(np.zeros(0, np.int64), np.zeros((0, tag.shape[1])), np.zeros(0))
    # Euclidean distances of `place` are root mean square tag distances in bandwidths. The region is one more dimension,
    # scaled so that two regions are farther apart than any two tags: one search then serves all regions.
    place = (tag / (bandwidth * np.sqrt(tag.shape[1]))).clip(-FAR, FAR)
    beyond = float(np.linalg.norm(np.ptp(place, axis=0))) + 4
    if region is not None:
        place = np.column_stack([place, region * beyond])
    cells, weight = histogram(place, score)
    modes = centre(cells, weight, cells[find_modes(cells, weight, min_weight)])
    if not len(modes):
        return Groups(np.full(len(tag), -1), np.zeros((0, tag.shape[1])), np.zeros(0))
    distance, group = tree_of(modes).query(place)
    group = np.where(distance < beyond - 2, group, -1)
    return summarise(group, tag, score)


def tree_of(places: Array) -> Any:
    """Returns a tree that finds near places ``(n, E)``."""
    from scipy.spatial import cKDTree  # its import takes longer than an image of people, who need none

    return cKDTree(places)


def histogram(place: Array, score: Array) -> tuple[Array, Array]:
    """Returns the cells that are not empty: the mean place ``(n, E)`` and the weight ``(n,)`` of each one's content.

    Args:
        place: ``(M, E)`` in bandwidths.
        score: ``(M,)``, the weight of each place.
    """
    cell = np.floor(place / CELL).astype(np.int64)
    cell -= cell.min(axis=0)
    sides = cell.max(axis=0) + 1
    if np.log2(sides.astype(float)).sum() < 62:  # one 64-bit integer numbers all cells: many times faster
        _, index = np.unique(cell @ np.cumprod([1, *sides[:-1]]), return_inverse=True)
    else:
        _, index = np.unique(cell, axis=0, return_inverse=True)
    index = index.reshape(-1)
    count = np.bincount(index)
    mean = np.stack([np.bincount(index, column) for column in place.T], axis=1) / count[:, None]
    return mean, np.bincount(index, score)


def find_modes(cells: Array, weight: Array, min_weight: float) -> Array:
    """Returns the rows of the modes: cells with more weight within half a bandwidth than all others within a whole one.

    Of equal cells the first is the mode.
    """
    pairs = tree_of(cells).query_pairs(1.0, output_type="ndarray")
    a, b = pairs[np.linalg.norm(cells[pairs[:, 0]] - cells[pairs[:, 1]], axis=1) <= CELL].T
    density = weight + np.bincount(a, weight[b], len(cells)) + np.bincount(b, weight[a], len(cells))
    first, second = pairs.T  # first < second
    beaten = np.zeros(len(cells), bool)
    beaten[np.where(density[first] < density[second], first, second)] = True
    return np.flatnonzero(~beaten & (density >= min_weight))


def centre(cells: Array, weight: Array, modes: Array) -> Array:
    """Moves each mode ``(n, E)`` to the mean of the cells within half a bandwidth, which is finer than a cell.

    Of modes that end up within half a bandwidth of each other the first stays.
    """
    # One move: going on to the fixed point (mean shift) was tried and changed no number (docs/results.md).
    near = tree_of(cells).query_ball_point(modes, CELL)
    moved = [np.average(cells[rows], axis=0, weights=weight[rows] + 1e-12) for rows in near]
    return distinct_modes(np.reshape(moved, (-1, cells.shape[1])))


def distinct_modes(modes: Array) -> Array:
    """Drops each mode within half a bandwidth of an earlier one."""
    keep = np.ones(len(modes), bool)
    for first, second in sorted(tree_of(modes).query_pairs(CELL)) if len(modes) else ():
        keep[second] &= not keep[first]
    return modes[keep]


def summarise(group: Array, tag: Array, score: Array) -> Groups:
    """Numbers the groups that have detections 0, 1, 2 ..., and computes their mean tags and scores."""
    used, number = np.unique(group, return_inverse=True)
    number = number.reshape(-1) - int(used[0] == -1)  # -1 stays -1
    kept = number >= 0
    count = np.bincount(number[kept])
    total = np.stack([np.bincount(number[kept], column[kept]) for column in tag.T], axis=1).reshape(-1, tag.shape[1])
    return Groups(number, total / count[:, None], np.bincount(number[kept], score[kept]) / count)
