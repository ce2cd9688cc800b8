"""Pairs of true and found objects of an image: which overlap, and which of these match, one to one.

All that a pair needs is in three arrays of P pairs, as of ten thousand objects each overlaps a few: arrays ``(T, F)``
would need gigabytes.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.connected import connected
from associative_embedding.structures.masks import Masks

ROWS = 256  # true objects that are compared with all found ones at once


def common_pixels(truth: Masks, found: Masks) -> tuple[Array, Array, Array]:
    """Returns the P pairs of objects that have pixels in common.

    Args:
        truth: masks of T true objects.
        found: masks of F found objects of the same image.

    Returns:
        ``(P,)`` int64 index of the true object, ``(P,)`` of the found object, and ``(P,)`` pixels in both, above 0;
        sorted by the true object, then by the found one.
    """
    triples = [np.zeros((3, 0), np.int64)]
    for start in range(0, len(truth), ROWS):
        common = truth[start : start + ROWS].intersection(found)
        row, column = np.nonzero(common)
        triples.append(np.stack([row + start, column, common[row, column]]))
    row, column, common = np.concatenate(triples, axis=1)
    return row, column, common


def overlaps(truth: Masks, found: Masks) -> tuple[Array, Array, Array]:
    """Returns the pairs of `common_pixels` with their IoU, ``(P,)`` above 0 and at most 1, in place of the pixels."""
    row, column, common = common_pixels(truth, found)
    return row, column, common / (truth.area[row] + found.area[column] - common)


def match_objects(row: Array, column: Array, iou: Array, threshold: float) -> Array:
    """Pairs true with found objects, one to one, by an IoU above the threshold; as many pairs as possible.

    For masks that do not overlap among themselves, and thresholds of 0.5 or more, the pairs are unique: an IoU above
    0.5 takes more than half of both objects, so that no third object can have the same (Kirillov et al., theorem 1).
    Masks that may overlap leave a choice. It falls on the most pairs, then on the highest sum of IoUs.

    Args:
        row: ``(P,)`` true object of each pair that overlaps; no pair is there twice.
        column: ``(P,)`` its found object.
        iou: ``(P,)`` in [0, 1].

    Returns:
        ``(M,)`` rising indices of the kept pairs.
    """
    above = np.flatnonzero(iou > threshold)
    if all(len(np.unique(side[above])) == len(above) for side in (row, column)):  # no choice
        return above
    # Each object competes with its neighbours alone, so a choice is made among these.
    parts = [above[part] for part in competing(row[above], column[above])]
    return np.sort(np.concatenate([part[best_pairs(row[part], column[part], iou[part])] for part in parts]))


def competing(row: Array, column: Array) -> list[Array]:
    """Returns the groups of pairs that share objects, each as indices of pairs."""
    (rows, i), (columns, j) = (np.unique(side, return_inverse=True) for side in (row, column))
    part = connected(len(rows) + len(columns), i, len(rows) + j)[i]
    order = np.argsort(part, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(part[order])) + 1)


def best_pairs(row: Array, column: Array, iou: Array) -> Array:
    """Returns the indices of the most pairs, one to one, with the highest sum of IoUs."""
    (rows, i), (columns, j) = (np.unique(side, return_inverse=True) for side in (row, column))
    weight, place = np.zeros((len(rows), len(columns))), np.full((len(rows), len(columns)), -1)
    # The number of rows is more than the IoUs of fewer pairs sum to, so that one more pair always wins.
    weight[i, j], place[i, j] = len(rows) + iou, np.arange(len(row))
    chosen = place[linear_sum_assignment(weight, maximize=True)]
    return np.asarray(chosen[chosen >= 0])  # the assignment is complete, and also pairs objects that do not meet
