"""Detections and the groups that they form: what grouping takes and what it returns.

The letters M, D and G are explained in `associative_embedding.structures`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from associative_embedding.structures.arrays import Array

Norm = Literal["rms", "l2"]


@dataclass(frozen=True)
class Detections:
    """Detections of one image or frame, each with a score and a tag. Equal tags mean the same group.

    Attributes:
        score: ``(M,)`` float.
        tag: ``(M, D)`` float.
        xy: ``(M, 2)`` float, map coordinates.
        step: ``(M,)`` int64; detections of one step exclude each other (pose: the keypoint type; tracking: the frame).
    """

    score: Array
    tag: Array
    xy: Array
    step: Array

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class Groups:
    """The result of grouping M detections.

    Attributes:
        group: ``(M,)`` int64, the group of each detection, -1 = dropped.
        tag: ``(G, D)`` mean tag of each group.
        score: ``(G,)`` mean score of the detections of each group.
    """

    group: Array
    tag: Array
    score: Array

    def __len__(self) -> int:
        return len(self.score)


def tag_distance(a: Array, b: Array, norm: Norm = "rms") -> Array:
    """Returns the distance over the tag dimension, ``(..., D)`` and ``(..., D)`` -> ``(...)``.

    Args:
        norm: "rms", the root mean square difference: a threshold keeps its meaning when a mirror image or more scales
            add dimensions (the official code's). "l2", the Euclidean distance (HigherHRNet's and mmpose's), is sqrt(D)
            times as large.
    """
    difference = a - b
    if difference.shape[-1] == 1:
        return np.asarray(np.abs(difference[..., 0]))
    squares = np.einsum("...d,...d->...", difference, difference)  # many times faster than a mean over a short axis
    return np.asarray(np.sqrt(squares / difference.shape[-1] if norm == "rms" else squares))
