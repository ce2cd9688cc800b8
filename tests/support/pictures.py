"""Plain pictures to draw on."""

from __future__ import annotations

import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.skeleton import Skeleton

PAIR = Skeleton.build("thing", ["left_end", "right_end", "middle"], [("left_end", "right_end")])
SIZE = (120, 160)


def canvas(value: int = 128, size: tuple[int, int] = SIZE) -> Array:
    return np.full((*size, 3), value, np.uint8)


def changed(image: Array, value: int = 128) -> Array:
    return (image != value).any(axis=2)
