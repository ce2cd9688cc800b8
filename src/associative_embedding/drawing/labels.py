"""Places texts on a picture: labels beside the heads of people, the names of keypoints, and a legend.

A label is as large as the picture allows, and lies where it covers no other label, no head and few keypoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from associative_embedding.drawing.canvas import (
    Plate,
    draw_dot,
    draw_plate,
    font_size,
    meets,
    plate_size,
    write_text,
)
from associative_embedding.drawing.palette import RIM, WHITE, Colour
from associative_embedding.structures.arrays import Array

TURNS = (0, 45, -45, 90, -90, 135, -135, 180)  # degrees between the best direction of a label and those that are tried
FAR = 2  # rings of places around a head, each a plate's height farther out
SMALLEST = 9  # pixels, of a font
# What a place costs: plates are read and must not be covered; covered keypoints hide what was found.
PLATE, HEAD, POINT, TURN, RING = 20.0, 3.0, 1.0, 0.2, 0.6
SHADE = 0.65  # opacity of the legend's background


@dataclass(frozen=True)
class Label:
    """A text beside a head.

    Attributes:
        text: one line.
        head: ``(2,)`` x, y of the middle of the head, pixels.
        radius: of the head, pixels.
        away: ``(2,)`` direction from the body to the head.
        size: of the font, pixels.
        colour: of the plate.
    """

    text: str
    head: Array
    radius: float
    away: Array
    size: int
    colour: Colour


def draw_labels(canvas: Array, labels: Sequence[Label], points: Array, taken: list[Plate]) -> None:
    """Draws labels, those of the first people at the best places.

    Args:
        canvas: picture.
        labels: N.
        points: ``(M, 2)`` x, y of all drawn keypoints, pixels.
        taken: the plates drawn so far; the new ones are added.
    """
    heads = np.array([label.head for label in labels]).reshape(-1, 2)
    for label in labels:
        plates, costs = places(label, (canvas.shape[0], canvas.shape[1]))
        plate = best_of(plates, costs + _covers(plates, taken, heads, points))
        draw_plate(canvas, label.text, plate, label.size, label.colour)
        taken.append(plate)


def places(label: Label, picture: tuple[int, int]) -> tuple[Array, Array]:
    """Returns the P plates around a head that are tried, inside of the picture, and what each costs by itself.

    Args:
        picture: its (H, W).

    Returns:
        ``(P, 4)`` int64 left, top, right, bottom, pixels; and ``(P,)`` costs.
    """
    size = np.array(plate_size(label.text, label.size))  # w, h
    start = math.atan2(label.away[1], label.away[0]) if label.away.any() else -math.pi / 2
    turn, ring = np.tile(TURNS, FAR), np.repeat(np.arange(FAR), len(TURNS))
    angle = start + np.radians(turn)
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    out = label.radius + np.abs(direction) @ size / 2 + ring * size[1]
    corner = label.head + direction * out[:, None] - size / 2
    corner = np.rint(corner.clip(0, np.maximum(picture[::-1] - size, 0))).astype(np.int64)
    return np.concatenate([corner, corner + size], axis=1), TURN * np.abs(turn) / 45 + RING * ring


def best_of(plates: Array, costs: Array) -> Plate:
    """Returns the first of the cheapest plates ``(P, 4)``."""
    left, top, right, bottom = plates[int(np.argmin(costs))].tolist()
    return left, top, right, bottom


def _covers(plates: Array, taken: Sequence[Plate], heads: Array, points: Array) -> Array:
    """Returns what it costs that each of P plates ``(P, 4)`` covers other plates, heads and keypoints, ``(P,)``."""
    low, high = plates[:, None, :2], plates[:, None, 2:]
    others = np.array(taken, np.int64).reshape(-1, 4)
    shared = (np.minimum(others[:, 2:], high) - np.maximum(others[:, :2], low)).clip(0).prod(axis=2).sum(axis=1)
    area = np.maximum(1, (high - low).prod(axis=2)[:, 0])

    def inside(xy: Array) -> Array:
        return np.asarray(((xy >= low) & (xy < high)).all(axis=2).sum(axis=1))

    return np.asarray(PLATE * shared / area + HEAD * inside(heads) + POINT * inside(points))


def draw_names(canvas: Array, names: Sequence[str], xy: Array, radius: float, taken: list[Plate]) -> None:
    """Writes names beside the keypoints of one instance, where there is room.

    Args:
        canvas: picture.
        names: n.
        xy: ``(n, 2)`` x, y of the keypoints, pixels.
        radius: of their dots, pixels.
        taken: the plates drawn so far; the new ones are added.
    """
    size = max(SMALLEST, round(0.7 * font_size(canvas)))
    for name, (x, y) in zip(names, xy.tolist(), strict=True):
        w, h = plate_size(name, size)
        gap = radius + 1
        for left, top in (
            (x + gap, y - h / 2),
            (x - gap - w, y - h / 2),
            (x - w / 2, y - gap - h),
            (x - w / 2, y + gap),
        ):
            plate = (round(left), round(top), round(left) + w, round(top) + h)
            inside = min(plate) >= 0 and plate[2] <= canvas.shape[1] and plate[3] <= canvas.shape[0]
            if inside and not meets(plate, taken):
                middle = (plate[0] + max(2, size // 4), (plate[1] + plate[3]) / 2)
                write_text(canvas, name, middle, size, WHITE, anchor="lm", rim=RIM)
                taken.append(plate)
                break


def draw_legend(canvas: Array, entries: Sequence[tuple[str, Colour]], points: Array, taken: list[Plate]) -> None:
    """Draws a legend into the corner that has the fewest keypoints; not into a picture that is too small for it.

    Args:
        canvas: picture.
        entries: at least one text, each with the colour that it explains.
        points: ``(M, 2)`` x, y of all drawn keypoints, pixels.
        taken: the plates drawn so far; the legend's is added.
    """
    height, width = canvas.shape[:2]
    for size in range(max(SMALLEST, round(0.85 * font_size(canvas))), SMALLEST - 1, -1):
        row, swatch = round(size * 1.5), size
        text = max(plate_size(name, size)[0] for name, _ in entries)
        rows = min(len(entries), max(1, (height - row) // row))
        columns = math.ceil(len(entries) / rows)
        w, h = columns * (text + 2 * swatch) + swatch // 2, rows * row + row // 2
        if w <= 0.6 * width and h <= height:
            break
    else:
        return
    plates = np.array([(x, y, x + w, y + h) for y in (0, height - h) for x in (0, width - w)])
    x, y, right, bottom = best_of(plates, _covers(plates, taken, points[:0], points))
    under = canvas[y:bottom, x:right]
    under[:] = (under * (1 - SHADE) + np.array(RIM, np.float32) * SHADE).astype(np.uint8)
    for i, (name, colour) in enumerate(entries):
        left, middle = x + i // rows * (text + 2 * swatch) + swatch, y + row // 4 + (i % rows + 0.5) * row
        draw_dot(canvas, (left, middle), 0.35 * size, colour, rim=1.0)
        write_text(canvas, name, (left + 0.8 * swatch, middle), size, WHITE, anchor="lm")
    taken.append((x, y, right, bottom))
