"""Gives each keypoint of the image to one person.

Grouping does so for the peaks that it reads. Filling in, and the refiner's look at each person alone, can put the
keypoints of two people in one place.
"""

from __future__ import annotations

import numpy as np

from associative_embedding.structures.arrays import Array

SAME = 0.04  # of the smaller person's size: nearer keypoints of one type are in one place


def settle(keypoints: Array, other: Array, claim: Array, size: Array) -> Array:
    """Returns the keypoints, with each place of the image in one person.

    Of the people who have a keypoint of one type in one place, the one with the highest claim keeps it. Everybody else
    gets the other keypoint instead, or none if that one is taken, too.

    Args:
        keypoints: ``(N, K, 3)`` x, y, and score, 0 = missing.
        other: ``(N, K, 3)``, what a person gets in place of a keypoint that belongs to somebody else.
        claim: ``(N, K)``, how sure each keypoint is.
        size: ``(N,)`` longer side of the box around each person, in the pixels of x and y.
    """
    settled, reach = keypoints.copy(), SAME * np.minimum(size[:, None], size)
    for k in np.flatnonzero(is_shared(keypoints, reach).any(axis=(0, 1))):
        people = np.argsort(-claim[:, k], kind="stable")
        settled[:, k] = settle_type(keypoints[:, k], other[:, k], people[keypoints[people, k, 2] > 0], reach)
    return settled


def settle_type(keypoints: Array, other: Array, people: Array, reach: Array) -> Array:
    """Settles one keypoint type.

    Args:
        keypoints, other: ``(N, 3)``.
        people: rows, those with the highest claim first; all others stay as they are.
        reach: ``(N, N)``, the distance below which two places are one.
    """
    settled = keypoints.copy()
    owners: list[int] = []
    for i in people.tolist():
        free = [
            point
            for point in (keypoints[i], other[i])
            if point[2] > 0 and not any(meet(point, settled[j], reach[i, j]) for j in owners)
        ]
        settled[i] = free[0] if free else 0
        owners += [i] if free else []
    return settled


def is_shared(keypoints: Array, reach: Array) -> Array:
    """Returns ``(N, N, K)`` bool: whether two people have a keypoint in one place.

    Args:
        keypoints: ``(N, K, 3)``.
        reach: ``(N, N)``, the distance below which two places are one.
    """
    xy, found = keypoints[:, :, :2], keypoints[:, :, 2] > 0
    near = np.square(xy[:, None] - xy).sum(axis=3) < np.square(reach)[:, :, None]
    return np.asarray(near & found[:, None] & found & ~np.eye(len(xy), dtype=bool)[:, :, None])


def meet(a: Array, b: Array, reach: float) -> bool:
    """Whether two keypoints are nearer than `reach`."""
    return bool(np.hypot(a[0] - b[0], a[1] - b[1]) < reach)
