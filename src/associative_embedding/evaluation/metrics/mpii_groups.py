"""The groups of people of MPII Multi-Person: who is evaluated together, and which predictions belong to a group.

A group is a set of people who stand close together (Pishchulin et al., CVPR 2016). A method may use the box around a
group and its mean scale, but not the number, positions and scales of its single people.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from associative_embedding.data.preparation.mpii_file import PERSON_HEIGHT
from associative_embedding.io.matlab import read_matlab
from associative_embedding.structures.arrays import Array

Groups = list[list[Array]]  # of each image of the release, see `read_groups`


def read_groups(path: str | Path) -> Groups:
    """Reads the groups of every MPII image from ``mpii_groups_v12.mat``.

    Returns:
        for each image of the MPII release (24,987, in its order) a list of groups: ``(P,)`` int64 indices of people in
        the annotation of the image, from 0 (the file counts from 1). Groups of one person are included.

    Raises:
        ValueError: if the file does not contain the groups.
        OSError: if it cannot be read.
    """
    cells = read_matlab(path, "groups")
    if cells.dtype != object:
        raise ValueError(f"{path}: 'groups' is not a cell array")
    return [[group.ravel().astype(np.int64) - 1 for group in cell.ravel()] for cell in cells.ravel()]


def evaluated_groups(groups: Sequence[Array], single: Collection[int] | None) -> list[list[int]]:
    """Returns the groups of one image that MPII Multi-Person evaluates: those without people who stand apart.

    A group of one person who does not stand apart is one of them (function getMultiPersonGroups of MPII's code).

    Args:
        groups: of `read_groups`.
        single: indices of the people who stand apart; None = not known: groups of several people are evaluated.
    """
    listed = [group.tolist() for group in groups]
    if single is None:
        return [group for group in listed if len(group) > 1]
    return [group for group in listed if group and not set(group) & set(single)]


def group_region(objpos: Array, scale: Array) -> tuple[Array, float]:
    """Returns what a method may use of a group: the box around its people's positions, and their mean scale.

    Args:
        objpos: ``(P, 2)`` x, y in pixels, roughly the centres of the bodies.
        scale: ``(P,)`` height of each person / 200 pixels.

    Returns:
        ``(4,)`` box xyxy in pixels, and the mean scale.

    Raises:
        ValueError: if there is no person, or the shapes do not fit together.
    """
    if objpos.shape != (len(scale), 2) or not len(scale):
        raise ValueError(
            f"a group needs objpos (P, 2) and scale (P,) of at least one person, not {objpos.shape}, {scale.shape}"
        )
    return np.concatenate([objpos.min(axis=0), objpos.max(axis=0)]), float(scale.mean())


def assign_to_group(keypoints: Array, regions_xyxy: Array, scale: Array, *, margin: float = 0.25) -> Array:
    """Returns the group of each prediction: the group whose region is nearest to it, within a margin.

    The protocol fixes what a method may use of a group, but not how. The regions are boxes around the centres of
    bodies, and a predicted centre may lie outside; hence the margin. Its default is our choice.

    Args:
        keypoints: ``(N, K, 3)`` x, y in pixels and score; 0 = not predicted.
        regions_xyxy: ``(G, 4)`` boxes of the groups of one image in pixels, from `group_region`.
        scale: ``(G,)`` mean scales.
        margin: largest distance from the region to the centre of a prediction's box, in mean heights of the group.

    Returns:
        ``(N,)`` int64 group, the first in a tie; -1 = none (bystanders, who are not evaluated).

    Raises:
        ValueError: if a number is not finite.
    """
    if not np.isfinite(keypoints).all():
        raise ValueError("keypoints has a number that is not finite: write a missing keypoint as 0, 0, 0")
    if not len(regions_xyxy):
        return np.full(len(keypoints), -1, dtype=np.int64)
    found = keypoints[:, :, 2:] != 0
    low = np.where(found, keypoints[:, :, :2], np.inf).min(axis=1)
    high = np.where(found, keypoints[:, :, :2], -np.inf).max(axis=1)
    # without keypoints low is inf and high -inf, whose sum is NaN; the maximum makes the centre inf: in no region
    centre = (low + np.maximum(low, high))[:, None] / 2  # (N, 1, 2)
    outside = np.maximum(regions_xyxy[:, :2] - centre, centre - regions_xyxy[:, 2:]).max(axis=2)  # (N, G) pixels
    distance = np.maximum(outside, 0) / (PERSON_HEIGHT * scale)
    return np.where(distance.min(axis=1) <= margin, distance.argmin(axis=1), -1)
