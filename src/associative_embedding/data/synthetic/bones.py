"""Poses of drawn figures, for any skeleton: where keypoints are at rest, and how bones turn."""

from __future__ import annotations

import math
import zlib
from collections import deque
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.keypoint_names import derive_order
from associative_embedding.structures.keypoint_sides import split_side
from associative_embedding.structures.skeleton import Skeleton

# A standing person from the front, about 2 high: x of the left side (on the right of the picture), y down.
REST = {
    "nose": (0.0, -0.72),
    "eye": (0.05, -0.78),
    "ear": (0.11, -0.75),
    "head": (0.0, -0.85),
    "head_top": (0.0, -0.9),
    "neck": (0.0, -0.55),
    "upper_neck": (0.0, -0.58),
    "thorax": (0.0, -0.48),
    "shoulder": (0.2, -0.46),
    "elbow": (0.27, -0.18),
    "wrist": (0.3, 0.08),
    "pelvis": (0.0, 0.05),
    "hip": (0.13, 0.07),
    "knee": (0.15, 0.48),
    "ankle": (0.16, 0.88),
}


class Bone(NamedTuple):
    """An edge of the skeleton, from the keypoint nearer to the middle to the other; its angle varies by `spread`."""

    parent: int
    child: int
    spread: float  # radians, standard deviation


def rest_layout(skeleton: Skeleton) -> Array:
    """Returns ``(K, 2)`` x, y of a figure at rest, about 2 high and centred, y down.

    It is a person if `REST` has all body parts of the skeleton, else `graph_layout`.
    """
    sides = [split_side(name) for name in skeleton.keypoints]
    parts = [side[1] if side else name for name, side in zip(skeleton.keypoints, sides, strict=True)]
    if not all(part in REST for part in parts):
        return graph_layout(skeleton)
    mirrored = np.array([-1 if side and side[0] == "r" else 1 for side in sides])
    layout: Array = np.array([REST[part] for part in parts]) * np.stack([mirrored, np.ones_like(mirrored)], axis=1)
    return layout


@lru_cache(maxsize=16)
def graph_layout(skeleton: Skeleton, steps: int = 300) -> Array:
    """Returns ``(K, 2)`` x, y in [-1, 1] in which edges are short; left and right are mirror images.

    A force-directed layout: keypoints repel each other and edges pull. It is the same for every call.
    """
    k = len(skeleton.keypoints)
    rng = np.random.default_rng(zlib.crc32(" ".join(skeleton.keypoints).encode()))  # Python's hash varies by process
    flip, has_pairs = np.asarray(skeleton.flip_index), len(skeleton.flip_pairs) > 0
    at = rng.normal(size=(k, 2))
    for a, b in skeleton.flip_pairs:
        left, right = skeleton.index[a], skeleton.index[b]
        at[left, 0], at[right, 0] = abs(at[left, 0]), -abs(at[left, 0])
    for step in range(steps):
        apart = at[:, None] - at[None]
        distance2 = (apart**2).sum(axis=2, keepdims=True) + 1e-3
        force = (apart / distance2).sum(axis=1)
        for a, b in skeleton.edge_index:
            pull = (at[b] - at[a]) * 2
            force[a] += pull
            force[b] -= pull
        # steps shrink to 0, so the layout comes to rest; the pull to the origin keeps unconnected parts together
        at = at + np.clip(force - 0.1 * at, -1, 1) * 0.1 * (1 - step / steps)
        if has_pairs:
            at = (at + at[flip] * (-1, 1)) / 2
    at = at - (at.min(axis=0) + at.max(axis=0)) / 2
    return np.asarray(at / max(float(np.abs(at).max()), 1e-6))


def bone_tree(skeleton: Skeleton) -> list[Bone]:
    """Returns the bones of a tree over the edges, from the middle of the skeleton outwards.

    Bones turn more the further out they are. In the torso they hardly turn: its edges form circles, which would tear.
    """
    names, neighbours, torso = list(skeleton.keypoints), neighbours_of(skeleton), torso_of(skeleton)
    tree: list[Bone] = []
    visited: set[int] = set()
    for root in (names.index(name) for name in derive_order(names, skeleton.edges)):
        queue = deque([] if root in visited else [(root, 1)])
        visited.add(root)
        while queue:
            here, depth = queue.popleft()
            for there in sorted(neighbours[here] - visited):
                visited.add(there)
                tree.append(Bone(here, there, 0.03 if {here, there} <= torso else min(0.03 + 0.12 * depth, 0.45)))
                queue.append((there, depth + 1))
    return tree


def neighbours_of(skeleton: Skeleton) -> list[set[int]]:
    """Returns the keypoint types that share an edge with each of the K types."""
    neighbours: list[set[int]] = [set() for _ in skeleton.keypoints]
    for a, b in skeleton.edge_index:
        neighbours[a].add(int(b))
        neighbours[b].add(int(a))
    return neighbours


def torso_of(skeleton: Skeleton) -> set[int]:
    """Returns the keypoint types on or between circles of edges: the rest after loose ends are cut off repeatedly."""
    neighbours = neighbours_of(skeleton)
    torso = set(range(len(neighbours)))
    while ends := {k for k in torso if len(neighbours[k] & torso) < 2}:
        torso -= ends
    return torso


def random_pose(rng: np.random.Generator, rest: Array, tree: list[Bone]) -> Array:
    """Returns ``(K, 2)`` x, y of a figure at rest with its bones turned; a turn carries all bones beyond it."""
    at, turn = rest.copy(), np.zeros(len(rest))
    for parent, child, spread in tree:
        turn[child] = turn[parent] + rng.normal(0, spread)
        at[child] = at[parent] + rotation(turn[child]) @ (rest[child] - rest[parent]) * rng.uniform(0.95, 1.05)
    return np.asarray(at @ rotation(rng.normal(0, 0.12)))


def rotation(angle: float) -> Array:
    """Returns the ``(2, 2)`` rotation matrix of an angle in radians."""
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
