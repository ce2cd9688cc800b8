"""Right grouping: what the tags are worth, apart from detection.

Read the tags at the *annotated* keypoints, group those with the library's own grouping, and compare the groups with the
people. Nothing can be missed or invented, so an error is an error of the tags (or of the grouping).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from associative_embedding.structures.arrays import Array


@dataclass(frozen=True)
class RightGrouping:
    """Counts of one image, or with ``+`` of many: ``sum(counts, RightGrouping())``.

    Attributes:
        right_keypoints: labelled keypoints in the group that stands for their person.
        keypoints: labelled keypoints.
        right_people: people whose group is exactly their labelled keypoints, none missing and none of anybody else.
        people: people with labelled keypoints.
        right_pairs: pairs of keypoints of one person that are in one group.
        grouped_pairs: pairs of keypoints in one group.
        pairs: pairs of labelled keypoints of one person.
    """

    right_keypoints: int = 0
    keypoints: int = 0
    right_people: int = 0
    people: int = 0
    right_pairs: int = 0
    grouped_pairs: int = 0
    pairs: int = 0

    def __add__(self, other: RightGrouping) -> RightGrouping:
        return RightGrouping(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def keypoint_rate(self) -> float | None:
        """Rightly grouped / labelled keypoints in [0, 1]; None without any. The headline number."""
        return self.right_keypoints / self.keypoints if self.keypoints else None

    @property
    def person_rate(self) -> float | None:
        """People without an error / people in [0, 1]; None without any."""
        return self.right_people / self.people if self.people else None

    @property
    def pair_f1(self) -> float | None:
        """Harmonic mean of the precision and recall of pairs "these two belong together"; None without any pair."""
        total = self.grouped_pairs + self.pairs
        return 2 * self.right_pairs / total if total else None


def right_grouping(assigned: Array, labelled: Array) -> RightGrouping:
    """Compare the groups of one image with its people.

    A group stands for at most one person and a person has at most one group: the one-to-one matching with the most
    keypoints in common.

    Args:
        assigned: ``(N, K)`` int, the group of each keypoint of N people; -1 = dropped. Read where `labelled`.
        labelled: ``(N, K)`` bool, the keypoints that were grouped.

    Raises:
        ValueError: when the arrays are not of these shapes and types, or a group is below -1.
    """
    if assigned.ndim != 2 or assigned.shape != labelled.shape:
        raise ValueError(f"assigned and labelled must both be (N, K), not {assigned.shape} and {labelled.shape}")
    if not np.issubdtype(assigned.dtype, np.integer) or labelled.dtype != np.bool_:
        raise ValueError(f"assigned must be int and labelled bool, not {assigned.dtype} and {labelled.dtype}")
    if assigned[labelled].min(initial=-1) < -1:
        raise ValueError(f"a group is >= 0, or -1 for dropped, not {assigned[labelled].min()}")
    table = overlap(assigned, labelled)
    of_person, of_group = labelled.sum(axis=1), table.sum(axis=0)
    exact = (table == of_person[:, None]) & (table == of_group) & (table > 0)
    return RightGrouping(
        right_keypoints=int(table[linear_sum_assignment(table, maximize=True)].sum()),
        keypoints=int(of_person.sum()),
        right_people=int(exact.sum()),
        people=int((of_person > 0).sum()),
        right_pairs=count_pairs(table),
        grouped_pairs=count_pairs(of_group),
        pairs=count_pairs(of_person),
    )


def overlap(assigned: Array, labelled: Array) -> Array:
    """``(N, G)`` int64: how many keypoints of person n are in group g; dropped keypoints are in none."""
    person, keypoint = np.nonzero(labelled & (assigned >= 0))
    groups, column = np.unique(assigned[person, keypoint], return_inverse=True)
    table = np.zeros((len(assigned), len(groups)), dtype=np.int64)
    np.add.at(table, (person, column), 1)
    return table


def count_pairs(sizes: Array) -> int:
    """Unordered pairs within sets of these sizes."""
    return int((sizes * (sizes - 1) // 2).sum())
