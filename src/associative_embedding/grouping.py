"""Detections -> Groups: equal tags mean the same group.

This file knows scores and tags. It knows nothing of keypoints, pixels, people or frames: pose calls a keypoint type a
step, tracking calls a frame a step.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from associative_embedding.types import Array, Detections, Groups


def tag_distance(a: Array, b: Array) -> Array:
    """Root mean square difference over the tag dimension, ``(..., D)`` and ``(..., D)`` -> ``(...)``.

    The mean, not the sum, so that a threshold keeps its meaning with mirror and scales.
    """
    difference = a - b
    squares = np.einsum("...d,...d->...", difference, difference)  # many times faster than a mean over a short axis
    return np.asarray(np.sqrt(squares / difference.shape[-1]))


def match_weight(distance: Array, score: Array, threshold: float) -> Array:
    """How much a match is worth, ``(m, G)``: positive below the threshold, 0 = no match.

    The paper (section 3.3): "a maximum matching where the weighting is determined by both the tag distance and the
    detection score". Published code minimises round(distance) * 100 - score, in which all distances below a half are
    equal; here nearness and score both count all the way.
    """
    return np.asarray(np.maximum(0.0, 1.0 - distance / threshold) * (1.0 + score[:, None]))


def group_sequentially(detections: Detections, *, tag_threshold: float) -> Groups:
    """Visit the steps in ascending order; each group takes at most one detection of a step (paper, section 3.3).

    A detection may join a group if their tag distance is below `tag_threshold`; who joins whom maximises the sum of
    `match_weight`. A detection that joins none starts a new group. The tag of a group is the mean over its detections.

    Args:
        detections: M detections.
        tag_threshold: root mean square tag distance.

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
        joined = _match(tags, scores, tag_sum[:groups] / size[:groups, None], tag_threshold)
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


def _match(tags: Array, scores: Array, group_tags: Array, threshold: float) -> Array:
    """The group each detection joins, ``(m,)`` int64, -1 = none."""
    joined = np.full(len(tags), -1, dtype=np.int64)
    if len(group_tags):
        distance = tag_distance(tags[:, None], group_tags[None])
        weight = match_weight(distance, scores, threshold)
        rows, columns = linear_sum_assignment(weight, maximize=True)
        good = weight[rows, columns] > 0
        joined[rows[good]] = columns[good]
    return joined
