"""Skeleton properties that names and edges imply: OKS sigmas and the order of grouping.

`Skeleton.build` uses them for properties that a COCO json does not state.
"""

from __future__ import annotations

from collections.abc import Sequence

from associative_embedding.structures.keypoint_sides import split_side

# Standard deviations of human annotations, relative to the square root of the object's area, as published with the
# COCO keypoint metric. Left and right have the same value.
OKS_SIGMA_OF_PART = {
    "nose": 0.026,
    "eye": 0.025,
    "ear": 0.035,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "ankle": 0.089,
    # Not in COCO: CrowdPose uses the shoulder's value for head and neck; pelvis and thorax follow hip and shoulder.
    "head": 0.079,
    "neck": 0.079,
    "head_top": 0.079,
    "upper_neck": 0.079,
    "thorax": 0.079,
    "pelvis": 0.107,
}

DEFAULT_OKS_SIGMA = 0.05  # for other names; a category may state its own as "oks_sigmas"


def derive_sigmas(names: Sequence[str]) -> tuple[float, ...]:
    """Returns the OKS sigma of each name's body part, `DEFAULT_OKS_SIGMA` for an unknown one."""
    sides = [(name, split_side(name)) for name in names]
    parts = [side[1] if side else name.lower() for name, side in sides]
    return tuple(OKS_SIGMA_OF_PART.get(part, DEFAULT_OKS_SIGMA) for part in parts)


def derive_order(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Returns the names in the order in which grouping visits them: from the middle of the skeleton outwards.

    The paper (section 3.3) starts at head and torso and moves out to the limbs. Of an unknown animal the torso is
    where the longest path over edges to any other keypoint is shortest. Among equals, the order of `names` stays.
    """
    index = {name: i for i, name in enumerate(names)}
    neighbours = [0] * len(names)  # of each keypoint; sets of keypoints are the bits of a number, for speed
    for a, b in edges:
        neighbours[index[a]] |= 1 << index[b]
        neighbours[index[b]] |= 1 << index[a]

    def rank(name: str) -> tuple[int, int]:
        size, steps = reach(index[name], neighbours)
        return -size, steps  # the largest connected part comes first, its centre first

    return tuple(sorted(names, key=rank))


def reach(start: int, neighbours: Sequence[int]) -> tuple[int, int]:
    """Returns how many keypoints are connected to one, itself included, and the edges to the farthest of them.

    Args:
        start: index of the keypoint.
        neighbours: for each keypoint, the set of its neighbours: bit k stands for keypoint k.
    """
    seen = new = 1 << start
    steps = -1
    while new:
        seen |= new
        steps += 1
        around = 0
        while new:
            lowest = new & -new
            around |= neighbours[lowest.bit_length() - 1]
            new ^= lowest
        new = around & ~seen
    return seen.bit_count(), steps
