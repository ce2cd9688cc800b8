"""Colours that are easy to distinguish, and how far two colours are apart."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array

Colour = tuple[int, int, int]  # red, green, blue in 0..255

RIM: Colour = (16, 16, 20)
WHITE: Colour = (255, 255, 255)
# The first colours, chosen by hand: hues far apart, of similar lightness.
FIRST: tuple[Colour, ...] = (
    (255, 64, 64),
    (64, 160, 255),
    (80, 220, 90),
    (255, 196, 0),
    (200, 96, 255),
    (0, 214, 200),
    (255, 120, 190),
    (170, 110, 50),
    (186, 230, 60),
    (120, 110, 255),
    (255, 150, 100),
)
COLOURS = 100  # in the palette
MIN_LIGHTNESS, MIN_CHROMA = 55, 40  # CIELAB; darker and greyer colours are hard to see on a photo


def palette(n: int) -> Array:
    """Returns ``(n, 3)`` uint8 RGB. Colour ``i`` is the same for every `n`; after `COLOURS` they repeat."""
    colours = _all_colours()
    return colours[np.arange(n) % len(colours)]


@cache
def _all_colours() -> Array:
    """Returns ``(COLOURS, 3)`` uint8: `FIRST`, then always the colour that is farthest from all before it."""
    level = np.linspace(0, 255, 9).round()
    grid = np.stack(np.meshgrid(level, level, level), axis=-1).reshape(-1, 3)
    lab = _lab(grid)
    bright = (lab[:, 0] > MIN_LIGHTNESS) & (np.hypot(lab[:, 1], lab[:, 2]) > MIN_CHROMA)
    grid, lab = grid[bright], lab[bright]
    chosen = [np.array(colour) for colour in FIRST]
    distance = np.linalg.norm(lab[:, None] - _lab(np.array(FIRST)), axis=2).min(axis=1)
    while len(chosen) < COLOURS:
        farthest = int(distance.argmax())
        chosen.append(grid[farthest])
        distance = np.minimum(distance, np.linalg.norm(lab - lab[farthest], axis=1))
    return np.array(chosen, dtype=np.uint8)


def colour_distance(rgb: Array) -> Array:
    """Returns the CIELAB distances between all pairs of colours.

    People can just distinguish colours at a distance of about 2; from 50 on two colours are clearly different.

    Args:
        rgb: ``(n, 3)`` uint8.

    Returns:
        ``(n, n)``.
    """
    lab = _lab(rgb)
    return np.asarray(np.linalg.norm(lab[:, None] - lab, axis=2))


def _lab(rgb: Array) -> Array:
    lab: Array = cv2.cvtColor((rgb[None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    return lab


def to_colour(rgb: Array) -> Colour:
    """Converts ``(3,)`` to a tuple of plain integers, as cv2 needs it."""
    red, green, blue = (int(value) for value in rgb)
    return red, green, blue
