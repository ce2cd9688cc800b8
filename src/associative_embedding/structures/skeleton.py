"""Skeletons are data: keypoint names, edges, sigmas, and the order in which keypoints are grouped."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from associative_embedding.types import Array

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


@dataclass(frozen=True)
class Skeleton:
    """The keypoint types of one category.

    Attributes:
        name: of the category, e.g. ``person``.
        keypoints: K names, unique.
        edges: pairs of names that are drawn as limbs.
        oks_sigmas: K standard deviations of the OKS metric, relative to the square root of the area.
        group_order: the K names in the order in which grouping visits them (paper, section 3.3: head and torso first).
        flip_pairs: pairs of names that change places in a mirror.
    """

    name: str
    keypoints: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    oks_sigmas: tuple[float, ...]
    group_order: tuple[str, ...]
    flip_pairs: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if not self.keypoints:
            raise ValueError(f"skeleton {self.name!r} has no keypoints")
        known = set(self.keypoints)
        if len(known) != len(self.keypoints):
            raise ValueError(f"skeleton {self.name!r} names a keypoint twice: {', '.join(self.keypoints)}")
        for what, pairs in (("edge", self.edges), ("flip pair", self.flip_pairs)):
            for a, b in pairs:
                if a not in known or b not in known:
                    raise ValueError(f"skeleton {self.name!r}: {what} {a} - {b} names an unknown keypoint")
        if len(self.oks_sigmas) != len(self.keypoints) or min(self.oks_sigmas) <= 0:
            raise ValueError(f"skeleton {self.name!r} needs {len(self.keypoints)} positive oks_sigmas")
        if sorted(self.group_order) != sorted(self.keypoints):
            raise ValueError(f"skeleton {self.name!r}: group_order must name every keypoint once")
        if len({name for pair in self.flip_pairs for name in pair}) != 2 * len(self.flip_pairs):
            raise ValueError(f"skeleton {self.name!r}: a keypoint is in two flip pairs")

    def __len__(self) -> int:
        return len(self.keypoints)

    @cached_property
    def index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.keypoints)}

    @cached_property
    def edge_index(self) -> Array:
        """``(E, 2)`` int64."""
        return np.array([[self.index[a], self.index[b]] for a, b in self.edges], dtype=np.int64).reshape(-1, 2)

    @cached_property
    def flip_index(self) -> Array:
        """``(K,)`` int64: ``mirrored[k] = original[flip_index[k]]``."""
        flip = np.arange(len(self.keypoints))
        for a, b in self.flip_pairs:
            flip[self.index[a]], flip[self.index[b]] = self.index[b], self.index[a]
        return flip

    @cached_property
    def group_index(self) -> Array:
        """``(K,)`` int64: the keypoint types in grouping order."""
        return np.array([self.index[name] for name in self.group_order], dtype=np.int64)

    @cached_property
    def sigmas(self) -> Array:
        """``(K,)`` float64."""
        return np.array(self.oks_sigmas, dtype=np.float64)

    @classmethod
    def build(
        cls,
        name: str,
        keypoints: Sequence[str],
        edges: Sequence[tuple[str, str]] = (),
        *,
        oks_sigmas: Sequence[float] | None = None,
        group_order: Sequence[str] | None = None,
        flip_pairs: Sequence[tuple[str, str]] | None = None,
    ) -> Skeleton:
        """A skeleton whose unstated parts are derived from the names (sides, sigmas) and the edges (order)."""
        names = tuple(keypoints)
        return cls(
            name=name,
            keypoints=names,
            edges=tuple((a, b) for a, b in edges),
            oks_sigmas=tuple(float(s) for s in oks_sigmas) if oks_sigmas is not None else derive_sigmas(names),
            group_order=tuple(group_order) if group_order is not None else derive_order(names, edges),
            flip_pairs=tuple((a, b) for a, b in flip_pairs) if flip_pairs is not None else derive_flip_pairs(names),
        )

    @classmethod
    def from_category(cls, category: Mapping[str, Any]) -> Skeleton:
        """From an entry of a COCO json's ``categories``.

        Reads ``name``, ``keypoints`` (names), ``skeleton`` (pairs of 1-based indices) and, where stated, the
        extensions ``oks_sigmas``, ``group_order`` (names) and ``flip_pairs`` (pairs of names).

        Raises:
            ValueError: when the names are missing or an edge points outside of them.
        """
        names = category.get("keypoints")
        label = category.get("name", "?")
        if not isinstance(names, (list, tuple)) or not names or not all(isinstance(n, str) for n in names):
            raise ValueError(f"category {label!r} has no 'keypoints' list of names")
        count = len(names)
        listed = category.get("skeleton") or []
        if not isinstance(listed, (list, tuple)):
            raise ValueError(f"category {label!r}: 'skeleton' must be a list of edges, not {listed!r:.60}")
        edges = []
        for edge in listed:
            inside = isinstance(edge, (list, tuple)) and all(isinstance(i, int) and 1 <= i <= count for i in edge)
            if not inside or len(edge) != 2:
                raise ValueError(
                    f"category {label!r}: 'skeleton' edge {edge} is not two of the indices 1..{count} of its {count} "
                    "'keypoints'; correct the edges (they may be another skeleton's) or leave 'skeleton' out"
                )
            edges.append((names[edge[0] - 1], names[edge[1] - 1]))
        stated = {key: category.get(key) for key in ("oks_sigmas", "group_order", "flip_pairs")}
        try:
            return cls.build(str(label), names, edges, **stated)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"category {label!r}: {error}") from None

    def to_category(self, category_id: int = 1) -> dict[str, Any]:
        """The ``categories`` entry that `from_category` reads back to an equal skeleton."""
        return {
            "id": category_id,
            "name": self.name,
            "supercategory": self.name,
            "keypoints": list(self.keypoints),
            "skeleton": [[int(a) + 1, int(b) + 1] for a, b in self.edge_index],
            "oks_sigmas": list(self.oks_sigmas),
            "group_order": list(self.group_order),
            "flip_pairs": [list(pair) for pair in self.flip_pairs],
        }


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


COCO_17 = Skeleton.build(
    "person",
    (
        "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
        "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
    ).split(),
    [
        ("left_ankle", "left_knee"),
        ("left_knee", "left_hip"),
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("left_hip", "right_hip"),
        ("left_shoulder", "left_hip"),
        ("right_shoulder", "right_hip"),
        ("left_shoulder", "right_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("right_shoulder", "right_elbow"),
        ("left_elbow", "left_wrist"),
        ("right_elbow", "right_wrist"),
        ("left_eye", "right_eye"),
        ("nose", "left_eye"),
        ("nose", "right_eye"),
        ("left_eye", "left_ear"),
        ("right_eye", "right_ear"),
        ("left_ear", "left_shoulder"),
        ("right_ear", "right_shoulder"),
    ],
    group_order=(
        "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_hip right_hip "
        "left_elbow right_elbow left_wrist right_wrist left_knee right_knee left_ankle right_ankle"
    ).split(),
)

CROWDPOSE_14 = Skeleton.build(
    "person",
    (
        "left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip right_hip "
        "left_knee right_knee left_ankle right_ankle head neck"
    ).split(),
    [
        ("head", "neck"),
        ("neck", "left_shoulder"),
        ("neck", "right_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
        ("right_shoulder", "right_elbow"),
        ("right_elbow", "right_wrist"),
        ("left_shoulder", "left_hip"),
        ("right_shoulder", "right_hip"),
        ("left_hip", "right_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        ("right_hip", "right_knee"),
        ("right_knee", "right_ankle"),
    ],
    oks_sigmas=(0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079),
    group_order=(
        "head neck left_shoulder right_shoulder left_hip right_hip left_elbow right_elbow "
        "left_wrist right_wrist left_knee right_knee left_ankle right_ankle"
    ).split(),
)

MPII_16 = Skeleton.build(
    "person",
    (
        "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top "
        "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist"
    ).split(),
    [
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("right_hip", "pelvis"),
        ("pelvis", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        ("pelvis", "thorax"),
        ("thorax", "upper_neck"),
        ("upper_neck", "head_top"),
        ("right_wrist", "right_elbow"),
        ("right_elbow", "right_shoulder"),
        ("right_shoulder", "thorax"),
        ("thorax", "left_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
    ],
    group_order=(
        "head_top upper_neck thorax right_shoulder left_shoulder pelvis right_hip left_hip "
        "right_elbow left_elbow right_wrist left_wrist right_knee left_knee right_ankle left_ankle"
    ).split(),
)

LSP_14 = Skeleton.build(
    "person",
    (
        "right_ankle right_knee right_hip left_hip left_knee left_ankle right_wrist right_elbow right_shoulder "
        "left_shoulder left_elbow left_wrist neck head_top"
    ).split(),
    [
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("right_hip", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        ("right_wrist", "right_elbow"),
        ("right_elbow", "right_shoulder"),
        ("right_shoulder", "neck"),
        ("neck", "left_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
        ("neck", "head_top"),
        ("right_shoulder", "right_hip"),
        ("left_shoulder", "left_hip"),
    ],
    group_order=(
        "head_top neck right_shoulder left_shoulder right_hip left_hip right_elbow left_elbow "
        "right_wrist left_wrist right_knee left_knee right_ankle left_ankle"
    ).split(),
)

SKELETONS: dict[str, Skeleton] = {
    "coco-17": COCO_17,
    "crowdpose-14": CROWDPOSE_14,
    "mpii-16": MPII_16,
    "lsp-14": LSP_14,
}


def load_skeleton(name: str) -> Skeleton:
    """A skeleton by its name in `SKELETONS`, or the first category with keypoints of a COCO json.

    Raises:
        ValueError: for a name that is neither.
    """
    if name in SKELETONS:
        return SKELETONS[name]
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"skeleton {name!r} is neither one of {', '.join(SKELETONS)} nor a COCO json")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{name}: not a json file ({error})") from None
    categories = document.get("categories") if isinstance(document, dict) else None
    for category in categories if isinstance(categories, list) else []:
        if isinstance(category, dict) and category.get("keypoints"):
            return Skeleton.from_category(category)
    raise ValueError(f"{name}: no category with 'keypoints'")
