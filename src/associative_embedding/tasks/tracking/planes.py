"""Planes of a depth -> objects in three dimensions: masks of neighbouring planes that lie over each other are one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from associative_embedding.grouping import optimal_assignment
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import require_masks

SAME = 0.25  # least IoU of two masks of one object in neighbouring planes


class PlaneLinker:
    """Gives the instances of all planes the numbers of their objects; call it with the planes in order.

    Each instance continues at most one of the plane before, of its class and with an IoU of at least `SAME`, so that
    the sum of IoUs is largest; any other one begins an object. Memory is that of one plane.
    """

    def __init__(self) -> None:
        self.before: Instances | None = None
        self.count = 0  # objects so far

    def __call__(self, found: Instances) -> Instances:
        """Returns the instances of the next plane with `Instances.track_id`, from 1 on.

        Raises:
            ValueError: for instances without masks.
        """
        numbers = np.zeros(len(found), np.int64)
        if self.before is not None:
            row, other = matches(self.before, found)
            assert self.before.track_id is not None
            numbers[other] = self.before.track_id[row]
        new = np.flatnonzero(numbers == 0)
        numbers[new] = self.count + 1 + np.arange(len(new))
        self.count += len(new)
        self.before = replace(found, track_id=numbers, image=None)
        return replace(found, track_id=numbers)


def matches(first: Instances, second: Instances) -> tuple[Array, Array]:
    """Returns the rows of instances of two planes that are one object, ``(P,)`` each."""
    iou = require_masks(first.masks).iou(require_masks(second.masks))
    iou = np.where(first.class_id[:, None] == second.class_id, iou, 0)
    row, other = optimal_assignment(np.where(iou >= SAME, iou, 0))
    kept = iou[row, other] >= SAME
    return row[kept], other[kept]
