"""Skeleton properties that keypoint names imply: sides, mirror pairs, OKS sigmas, and the order of grouping.

`Skeleton.build` uses them for properties that a COCO json does not state.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence

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

# Group 1 is the side. The first pattern that matches decides, so a full word wins over a single letter.
SIDE_PATTERNS = (
    # the words, anywhere: left_wrist, wristRight
    re.compile(r"(left|right)", re.IGNORECASE),
    # a letter between separators, also at the start, or at the end before a number: l_wrist, Nose_R, leg_l_2, leg_R2
    re.compile(r"(?:^(?=[lr][-_. ])|(?<=[-_. ]))([lr])(?=[-_. ]|\d*$)", re.IGNORECASE),
    # a capital after a small letter, at the end or before a number: wristL, forelegL4; not L4 (a leg), not tail
    re.compile(r"(?<=[^A-Z])([LR])(?=\d*$)"),
    # a capital before a capitalised word: LWrist
    re.compile(r"^([LR])(?=[A-Z][a-z])"),
)


def split_side(name: str) -> tuple[str, str] | None:
    """Splits a keypoint's name into its side and its body part.

    Returns:
        ("l" or "r", part in small letters), or None for a name without a side. ``left_wrist``, ``wrist-left``,
        ``LWrist`` and ``wrist_l`` are ("l", "wrist"); ``forelegL4`` is ("l", "foreleg4").
    """
    for pattern in SIDE_PATTERNS:
        match = pattern.search(name)
        if match:
            part = name[: match.start()] + name[match.end() :]
            return match[1][0].lower(), part.lower().strip("_- .")
    return None


def derive_flip_pairs(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Returns the (left, right) pairs of names of one body part; a name without a counterpart is in no pair."""
    sides = [(name, split_side(name)) for name in names]
    right_of_part = {side[1]: name for name, side in sides if side and side[0] == "r"}
    pairs = [(name, right_of_part.get(side[1])) for name, side in sides if side and side[0] == "l"]
    return tuple((left, right) for left, right in pairs if right is not None)


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
    neighbours: dict[str, set[str]] = {name: set() for name in names}
    for a, b in edges:
        neighbours[a].add(b)
        neighbours[b].add(a)

    def rank(name: str) -> tuple[int, int]:
        distance = edges_to(name, neighbours)
        return -len(distance), max(distance.values())  # the largest connected part comes first, its centre first

    return tuple(sorted(names, key=rank))


def edges_to(start: str, neighbours: Mapping[str, set[str]]) -> dict[str, int]:
    """Returns the number of edges from a keypoint to itself (0) and to each keypoint connected to it."""
    distance = {start: 0}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        for there in neighbours[here] - distance.keys():
            distance[there] = distance[here] + 1
            queue.append(there)
    return distance
