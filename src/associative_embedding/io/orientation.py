"""Turns stored pixels upright as the EXIF orientation of a file states."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from associative_embedding.structures.arrays import Array

# EXIF orientation -> the step that turns the stored pixels (H, W, 3) upright; orientation 1 is upright.
UPRIGHT: dict[int, Callable[[Array], Array]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image[:, ::-1].swapaxes(0, 1),
}
BACK = {6: 8, 8: 6}  # EXIF orientation -> the one that turns upright pixels back; the others turn back themselves
QUARTER_TURNS = (5, 6, 7, 8)  # orientations that exchange height and width
# Gets an EXIF orientation other than 1, and the stored size (H, W); returns whether the pixels are to be turned.
Turn = Callable[[int, tuple[int, int]], bool]


def turned(stored: Array, orientation: int, turn: Turn | None = None) -> Array:
    """Returns upright pixels ``(H, W, 3)``; `turn` decides whether they are turned, default: always."""
    if orientation not in UPRIGHT or not (turn is None or turn(orientation, stored.shape[:2])):
        return stored
    return np.ascontiguousarray(UPRIGHT[orientation](stored))


def turned_back(upright: Array, orientation: int) -> Array:
    """Returns the stored pixels of upright ones."""
    return turned(upright, BACK.get(orientation, orientation))
