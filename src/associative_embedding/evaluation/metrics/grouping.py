"""The share of annotated keypoints that the tags group correctly: a metric of the tags alone, without detection.

Read the tags at the annotated keypoints, group these with the library's own grouping, and compare the groups with the
people. No keypoint can be missed or invented, so every error is an error of the tags or of the grouping. This metric is
our own; the paper reports the AP of the same groups instead (end of section 4.1).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from associative_embedding.structures.arrays import Array

CROWD = 5  # people with labelled keypoints, from which an image is crowded


@dataclass(frozen=True)
class RightGrouping:
    """Counts of one image, or with ``+`` of many: ``sum(counts, RightGrouping())``.

    Attributes:
        right_keypoints: labelled keypoints in the group that is matched to their person.
        keypoints: labelled keypoints.
        right_people: people with a group that consists of all their labelled keypoints and no other ones.
        people: people with labelled keypoints.
        right_in_crowds, in_crowds: the same two for crowded images alone, see `CROWD`.
    """

    right_keypoints: int = 0
    keypoints: int = 0
    right_people: int = 0
    people: int = 0
    right_in_crowds: int = 0
    in_crowds: int = 0

    def __add__(self, other: RightGrouping) -> RightGrouping:
        return RightGrouping(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def keypoint_rate(self) -> float | None:
        """Correctly grouped keypoints / labelled keypoints, in [0, 1]; None without any. The number to report."""
        return self.right_keypoints / self.keypoints if self.keypoints else None

    @property
    def person_rate(self) -> float | None:
        """People without an error / people, in [0, 1]; None without any."""
        return self.right_people / self.people if self.people else None

    @property
    def crowd_rate(self) -> float | None:
        """As `person_rate`, of the people in crowded images."""
        return self.right_in_crowds / self.in_crowds if self.in_crowds else None


def right_grouping(assigned: Array, labelled: Array) -> RightGrouping:
    """Compares the groups of one image with its people.

    Each person is matched to at most one group, and each group to at most one person. Of all these one-to-one matchings
    the one with the most keypoints in common counts.

    Args:
        assigned: ``(N, K)`` int, the group of each keypoint of N people; -1 = dropped. Read only where `labelled`.
        labelled: ``(N, K)`` bool, the keypoints that were grouped.

    Raises:
        ValueError: if the arrays differ in shape or have other types, or a group is below -1.
    """
    if assigned.ndim != 2 or assigned.shape != labelled.shape:
        raise ValueError(f"assigned and labelled must both be (N, K), not {assigned.shape} and {labelled.shape}")
    if not np.issubdtype(assigned.dtype, np.integer) or labelled.dtype != np.bool_:
        raise ValueError(f"assigned must be int and labelled bool, not {assigned.dtype} and {labelled.dtype}")
    if assigned[labelled].min(initial=-1) < -1:
        raise ValueError(f"a group is >= 0, or -1 for dropped, not {assigned[labelled].min()}")
    table = overlap(assigned, labelled)
    of_person, of_group = labelled.sum(axis=1), table.sum(axis=0)
    # one cell holds all keypoints of its row and all of its column: this group is this person, nothing else
    exact = (table == of_person[:, None]) & (table == of_group) & (table > 0)
    right, people = int(exact.sum()), int((of_person > 0).sum())
    return RightGrouping(
        # taking the best group of each person instead would let one group that joins two people count twice
        right_keypoints=int(table[linear_sum_assignment(table, maximize=True)].sum()),
        keypoints=int(of_person.sum()),
        right_people=right,
        people=people,
        right_in_crowds=right if people >= CROWD else 0,
        in_crowds=people if people >= CROWD else 0,
    )


def overlap(assigned: Array, labelled: Array) -> Array:
    """``(N, G)`` int64: the number of keypoints of person n in group g; a dropped keypoint is in no group."""
    person, keypoint = np.nonzero(labelled & (assigned >= 0))
    # group ids may be any integers: the columns are the ids that occur, in ascending order
    groups, column = np.unique(assigned[person, keypoint], return_inverse=True)
    table = np.zeros((len(assigned), len(groups)), dtype=np.int64)
    np.add.at(table, (person, column), 1)  # unlike table[...] += 1, it counts a repeated cell every time
    return table
