"""Colours that are easy to distinguish, and how far two colours are apart."""

from __future__ import annotations

from functools import cache

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
# linear sRGB -> CIE XYZ (IEC 61966-2-1)
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
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
    """Returns CIELAB of ``(n, 3)`` sRGB in 0..255, white point D65. (OpenCV first fills tables for 70 ms.)"""
    share = rgb / 255
    linear = np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)
    xyz = linear @ TO_XYZ.T / TO_XYZ.sum(axis=1)  # white is (1, 1, 1)
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def to_colour(rgb: Array) -> Colour:
    """Converts ``(3,)`` to a tuple of plain integers, as cv2 needs it."""
    red, green, blue = (int(value) for value in rgb)
    return red, green, blue
