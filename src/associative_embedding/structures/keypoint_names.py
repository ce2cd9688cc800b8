"""What the names of keypoints tell: sides, mirror pairs, sigmas, the order of grouping."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

# Per-keypoint standard deviations of human annotations, as published with the COCO keypoint metric, by body part.
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
    # not COCO's: CrowdPose gives head and neck the shoulder's value; pelvis and thorax follow hip and shoulder
    "head": 0.079,
    "neck": 0.079,
    "head_top": 0.079,
    "upper_neck": 0.079,
    "thorax": 0.079,
    "pelvis": 0.107,
}


DEFAULT_OKS_SIGMA = 0.05  # of a keypoint whose name is not known; a category may state its own ("oks_sigmas")


SIDE_PATTERNS = (
    re.compile(r"(left|right)", re.IGNORECASE),  # left_wrist, wristRight
    re.compile(
        r"(?:^(?=[lr][-_. ])|(?<=[-_. ]))([lr])(?=[-_. ]|\d*$)", re.IGNORECASE
    ),  # l_wrist, Nose_R, leg_l_2, leg_R2
    re.compile(r"(?<=[^A-Z])([LR])(?=\d*$)"),  # wristL, forelegL4; not L4, not tail
    re.compile(r"^([LR])(?=[A-Z][a-z])"),  # LWrist
)


def split_side(name: str) -> tuple[str, str] | None:
    """``left_wrist``, ``wrist-left``, ``LWrist``, ``legL4``, ``wrist_l`` -> (side "l" or "r", the rest), or None."""
    for pattern in SIDE_PATTERNS:
        match = pattern.search(name)
        if match:
            rest = name[: match.start()] + name[match.end() :]
            return match[1][0].lower(), rest.lower().strip("_- .")
    return None


def derive_flip_pairs(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Left/right pairs by name; a side without its counterpart stays where it is."""
    sides = {name: split_side(name) for name in names}
    right = {part[1]: name for name, part in sides.items() if part and part[0] == "r"}
    return tuple((name, right[part[1]]) for name, part in sides.items() if part and part[0] == "l" and part[1] in right)


def derive_sigmas(names: Sequence[str]) -> tuple[float, ...]:
    """COCO's published sigma of the body part the name says, else `DEFAULT_OKS_SIGMA`."""

    def sigma(name: str) -> float:
        side = split_side(name)
        return OKS_SIGMA_OF_PART.get(side[1] if side else name.lower(), DEFAULT_OKS_SIGMA)

    return tuple(sigma(name) for name in names)


def derive_order(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """From the middle of the skeleton outwards: by eccentricity in the graph of edges, then as listed.

    The paper (section 3.3) starts at head and torso and moves out to the limbs; a keypoint near the centre of the
    graph is the animal's torso. Keypoints without an edge come last.
    """
    neighbours: dict[str, set[str]] = {name: set() for name in names}
    for a, b in edges:
        neighbours[a].add(b)
        neighbours[b].add(a)

    def reach(start: str) -> tuple[int, int]:
        distance = {start: 0}
        queue = deque([start])
        while queue:
            here = queue.popleft()
            for there in neighbours[here] - distance.keys():
                distance[there] = distance[here] + 1
                queue.append(there)
        return -len(distance), max(distance.values())  # the largest connected part first, its centre first

    return tuple(sorted(names, key=reach))
