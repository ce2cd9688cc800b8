"""A skeleton: keypoint names, edges, sigmas, mirror pairs and the order of grouping, as data and not as code.

It is read from the ``categories`` of a COCO json, so a new animal needs no new class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.keypoint_names import derive_order, derive_sigmas
from associative_embedding.structures.keypoint_sides import derive_flip_pairs, stated_flip_pairs, unpaired_sides
from associative_embedding.structures.oks_sigmas import checked_sigmas

MAX_KEYPOINTS = 1000  # the order of grouping takes half a second for them; whole bodies with hands and face have 133
MAX_NAME = 100  # characters of a keypoint's name; each of its words may be the sign of a side


@dataclass(frozen=True)
class Skeleton:
    """The keypoint types of one category.

    Attributes:
        name: the category, for example ``person``.
        keypoints: K names, unique.
        edges: pairs of names that are drawn as limbs.
        oks_sigmas: K standard deviations of the OKS metric, relative to the square root of the area.
        group_order: the K names in the order in which grouping visits them (paper, section 3.3: head and torso first).
        flip_pairs: pairs of names that change places in a mirror image.
        sides_known: whether these are all pairs. If not, a mirror image would have left keypoints under the names of
            right ones, or the skeleton has no sides at all.

    Raises:
        ValueError: for names that repeat or are unknown, or a list of another length than K.
    """

    name: str
    keypoints: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    oks_sigmas: tuple[float, ...]
    group_order: tuple[str, ...]
    flip_pairs: tuple[tuple[str, str], ...]
    sides_known: bool = True

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
        checked_sigmas(self.oks_sigmas, len(self.keypoints), f"skeleton {self.name!r}")
        if sorted(self.group_order) != sorted(self.keypoints):
            raise ValueError(f"skeleton {self.name!r}: group_order must name every keypoint once")
        # else `flip_index` would be no permutation, and mirroring twice would lose keypoints
        if len({name for pair in self.flip_pairs for name in pair}) != 2 * len(self.flip_pairs):
            raise ValueError(f"skeleton {self.name!r}: a keypoint is in two flip pairs")

    def __len__(self) -> int:
        return len(self.keypoints)

    @cached_property
    def index(self) -> dict[str, int]:
        """Keypoint name -> keypoint type in ``[0, K)``."""
        return {name: i for i, name in enumerate(self.keypoints)}

    @cached_property
    def edge_index(self) -> Array:
        """``(E, 2)`` int64, the two keypoint types of each edge."""
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
        """``(K,)`` float64, the `oks_sigmas`."""
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
        """Returns a skeleton; what is None is derived from the names (pairs, sigmas) and the edges (order).

        Raises:
            ValueError: see `Skeleton`.
        """
        names = tuple(keypoints)
        if len(names) > MAX_KEYPOINTS:
            raise ValueError(f"skeleton {name!r:.60} has {len(names)} keypoints; at most {MAX_KEYPOINTS} are read")
        if (longest := max(map(len, names), default=0)) > MAX_NAME:
            raise ValueError(
                f"skeleton {name!r:.60} has a keypoint of {longest} characters; at most {MAX_NAME} are read"
            )
        derived = derive_flip_pairs(names)
        return cls(
            name=name,
            keypoints=names,
            edges=tuple((a, b) for a, b in edges),
            oks_sigmas=(
                checked_sigmas(oks_sigmas, len(names), f"skeleton {name!r}")  # a number of NumPy is no json
                if oks_sigmas is not None
                else derive_sigmas(names)
            ),
            group_order=tuple(group_order) if group_order is not None else derive_order(names, edges),
            flip_pairs=tuple((a, b) for a, b in flip_pairs) if flip_pairs is not None else derived,
            sides_known=flip_pairs is not None or bool(derived and not unpaired_sides(names, derived)),
        )

    @classmethod
    def from_category(cls, category: Mapping[str, Any]) -> Skeleton:
        """Reads a skeleton from an entry of a COCO json's ``categories``.

        COCO's keys are ``name``, ``keypoints`` (names) and ``skeleton`` (pairs of indices from 1). More keys may state
        what is otherwise derived: ``oks_sigmas``, ``group_order`` (names) and the keys of `stated_flip_pairs`.

        Raises:
            ValueError: when the names are missing or an edge has an index outside of them.
        """
        names = category.get("keypoints")
        label = category.get("name", "?")
        if not isinstance(names, (list, tuple)) or not names or not all(isinstance(n, str) for n in names):
            raise ValueError(f"category {label!r} has no 'keypoints' list of names")
        # some tools write null for a category without edges
        edges = named_edges(category.get("skeleton") or [], names, f"category {label!r}")
        stated = {key: category.get(key) for key in ("oks_sigmas", "group_order")}
        try:
            return cls.build(str(label), names, edges, **stated, flip_pairs=stated_flip_pairs(category, names))
        except (TypeError, ValueError, OverflowError) as error:  # json may hold any value under these keys
            raise ValueError(f"category {label!r}: {error}") from None

    def to_category(self, category_id: int = 1) -> dict[str, Any]:
        """Returns an entry of a COCO json's ``categories``, from which `from_category` reads an equal skeleton."""
        return {
            "id": category_id,
            "name": self.name,
            "supercategory": self.name,
            "keypoints": list(self.keypoints),
            "skeleton": [[int(a) + 1, int(b) + 1] for a, b in self.edge_index],
            "oks_sigmas": list(self.oks_sigmas),
            "group_order": list(self.group_order),
            **({"flip_pairs": [list(pair) for pair in self.flip_pairs]} if self.sides_known else {}),
        }


def named_edges(edges: Any, names: Sequence[str], where: str) -> list[tuple[str, str]]:
    """Returns the edges of a COCO category as pairs of names.

    Args:
        edges: pairs of indices into `names`, counted from 1; not yet checked.
        names: K keypoint names.
        where: the category, for the message.

    Raises:
        ValueError: for anything but pairs of such indices.
    """
    if not isinstance(edges, (list, tuple)):
        raise ValueError(f"{where}: 'skeleton' must be a list of edges, not {edges!r:.60}")
    count = len(names)
    named = []
    for edge in edges:
        inside = isinstance(edge, (list, tuple)) and all(isinstance(i, int) and 1 <= i <= count for i in edge)
        if not inside or len(edge) != 2:
            # A file with another data set's edges is common: CrowdPose's own example has COCO's.
            raise ValueError(
                f"{where}: 'skeleton' edge {edge} is not two of the indices 1..{count} of its {count} 'keypoints'; "
                "correct the edges (they may be another skeleton's) or leave 'skeleton' out"
            )
        named.append((names[edge[0] - 1], names[edge[1] - 1]))
    return named
