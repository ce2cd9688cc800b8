"""The shapes that pictures are drawn with: lines, dots, labels, and a palette.

A picture is ``(H, W, 3)`` uint8 RGB and is drawn upon in place. Coordinates are continuous (a pixel's centre is at
``i + 0.5``), radii are in pixels; shapes are filled polygons, so that neither is bound to whole pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from associative_embedding.structures.arrays import Array

Colour = tuple[int, int, int]
Plate = tuple[int, int, int, int]  # x0, y0, x1, y1

RIM: Colour = (16, 16, 20)
WHITE: Colour = (255, 255, 255)
# Well separated hues of similar lightness, neighbours far apart.
PALETTE: tuple[Colour, ...] = (
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

SHIFT = 4  # sub-pixel bits of cv2's drawing
GROWTH = 0.75  # pixels by which cv2's antialiasing widens a polygon on each side (measured; a test keeps it true)


def palette(n: int) -> Array:
    """``(n, 3)`` uint8 RGB, bright and well separated. Colour ``i`` is the same for every `n`."""
    colours = _all_colours()
    return colours[np.arange(n) % len(colours)]


@cache
def _all_colours() -> Array:
    """`PALETTE`, then always the bright colour that lies farthest (in CIELAB) from all before: ``(P, 3)`` uint8."""
    level = np.linspace(0, 255, 9).round()
    grid = np.stack(np.meshgrid(level, level, level), axis=-1).reshape(-1, 3)
    lab = _lab(grid)
    bright = (lab[:, 0] > 55) & (np.hypot(lab[:, 1], lab[:, 2]) > 40)
    grid, lab = grid[bright], lab[bright]
    chosen = [np.array(colour) for colour in PALETTE]
    distance = np.linalg.norm(lab[:, None] - _lab(np.array(PALETTE)), axis=2).min(axis=1)
    while len(chosen) < 100:
        farthest = int(distance.argmax())
        chosen.append(grid[farthest])
        distance = np.minimum(distance, np.linalg.norm(lab - lab[farthest], axis=1))
    return np.array(chosen, dtype=np.uint8)


def colour_distance(rgb: Array) -> Array:
    """``(n, 3)`` uint8 -> ``(n, n)`` CIELAB distances: about 2 can just be seen, from 50 on colours are unlike."""
    lab = _lab(rgb)
    return np.asarray(np.linalg.norm(lab[:, None] - lab, axis=2))


def _lab(rgb: Array) -> Array:
    lab: Array = cv2.cvtColor((rgb[None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    return lab


def contact_sheet(images: Sequence[Array], columns: int, *, gap: int = 6) -> Array:
    """Pictures side by side, `columns` in a row, on white; each in the middle of a cell as large as the largest.

    Raises:
        ValueError: without pictures or columns.
    """
    if not images or columns < 1:
        raise ValueError(f"a contact sheet needs pictures and columns, not {len(images)} and {columns}")
    for image in images:
        check_picture(image)
    height, width = max(i.shape[0] for i in images), max(i.shape[1] for i in images)
    rows = math.ceil(len(images) / columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for n, image in enumerate(images):
        y = n // columns * (height + gap) + (height - image.shape[0]) // 2
        x = n % columns * (width + gap) + (width - image.shape[1]) // 2
        sheet[y : y + image.shape[0], x : x + image.shape[1]] = image
    return sheet


def to_colour(rgb: Array) -> Colour:
    red, green, blue = (int(value) for value in rgb)
    return red, green, blue


def draw_line(
    canvas: Array, a: Sequence[float] | Array, b: Sequence[float] | Array, radius: float, colour: Colour
) -> None:
    """A line with round ends between two points, `radius` being half its width in pixels."""
    (ax, ay), (bx, by) = a, b
    radius = max(0.0, radius - GROWTH)
    angle = math.atan2(by - ay, bx - ax)
    turn = angle + np.linspace(math.pi / 2, 3 * math.pi / 2, 9)
    ends = [
        np.array([ax, ay]) + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1),
        np.array([bx, by]) - radius * np.stack([np.cos(turn), np.sin(turn)], axis=1),
    ]
    cv2.fillConvexPoly(canvas, _fixed(np.concatenate(ends)), colour, cv2.LINE_AA, SHIFT)


def draw_dot(canvas: Array, centre: Sequence[float] | Array, radius: float, colour: Colour, *, rim: float) -> None:
    """A disc with a dark rim around it of a width in pixels."""
    turn = np.linspace(0, 2 * math.pi, 33)[:-1]
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    centre = np.asarray(centre, dtype=np.float64)
    for r, paint in ((radius + rim, RIM), (radius, colour)):
        cv2.fillConvexPoly(canvas, _fixed(centre + max(0.0, r - GROWTH) * circle), paint, cv2.LINE_AA, SHIFT)


def draw_box(canvas: Array, low: Array, high: Array, radius: float, colour: Colour) -> None:
    """A box between two corners x, y, its lines with dark rims around them."""
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    sides = list(zip(corners, corners[1:] + corners[:1], strict=True))
    for r, paint in ((radius + 0.8, RIM), (radius, colour)):  # all rims first
        for a, b in sides:
            draw_line(canvas, a, b, r, paint)


def _fixed(xy: Array) -> Array:
    """Continuous coordinates -> cv2's fixed-point pixel indices, far points brought into the range that cv2 keeps."""
    fixed: Array = np.round((xy - 0.5).clip(-30000, 30000) * 2**SHIFT).astype(np.int32)
    return fixed


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def write_text(canvas: Array, text: str, xy: tuple[float, float], size: int, colour: Colour, *, anchor: str) -> None:
    """Antialiased text, by Pillow, whose font is the same with every version of cv2."""
    pen = ImageDraw.Draw(Image.new("L", (1, 1)))
    left, top, right, bottom = pen.textbbox(xy, text, font=_font(size), anchor=anchor)
    x0, y0 = max(0, math.floor(left)), max(0, math.floor(top))
    x1, y1 = min(canvas.shape[1], math.ceil(right) + 1), min(canvas.shape[0], math.ceil(bottom) + 1)
    if x0 >= x1 or y0 >= y1:
        return
    mask = Image.new("L", (x1 - x0, y1 - y0))
    ImageDraw.Draw(mask).text((xy[0] - x0, xy[1] - y0), text, fill=255, font=_font(size), anchor=anchor)
    alpha = np.asarray(mask, dtype=np.float32)[:, :, None] / 255
    under = canvas[y0:y1, x0:x1]
    under[:] = (under * (1 - alpha) + np.array(colour, dtype=np.float32) * alpha + 0.5).astype(np.uint8)


def check_picture(image: Array) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"image must be (H, W, 3) uint8, not {image.shape} {image.dtype}")


def draw_label(canvas: Array, text: str, corner: Array, colour: Colour, taken: list[Plate]) -> None:
    """Text on a plate of a colour, its lower left at a corner, moved up off the plates in `taken`, to which it comes.

    The plate always lies inside of the picture, if it is not larger.
    """
    height, width = canvas.shape[:2]
    w, h = label_size(canvas, text)
    x = int(np.clip(corner[0], 0, max(0, width - w)))
    y = int(np.clip(corner[1] - h, 0, max(0, height - h)))
    while y > 0 and _meets((x, y, x + w, y + h), taken):
        y = max(0, y - h // 2)
    _draw_plate(canvas, text, (x, y, x + w, y + h), colour)
    taken.append((x, y, x + w, y + h))


def draw_label_if_free(canvas: Array, text: str, centre: Array, colour: Colour, taken: list[Plate]) -> None:
    """As `draw_label`, but around a centre (moved into the picture), and not at all where it meets another plate."""
    w, h = label_size(canvas, text)
    x, y = (np.round(centre - np.array([w, h]) / 2).clip(0, [canvas.shape[1] - w, canvas.shape[0] - h])).astype(int)
    plate = (int(x), int(y), int(x) + w, int(y) + h)
    if min(plate) >= 0 and not _meets(plate, taken):
        _draw_plate(canvas, text, plate, colour)
        taken.append(plate)


def label_size(canvas: Array, text: str) -> tuple[int, int]:
    """Width and height of the plate of a label in pixels; the font follows the size of the picture, within bounds."""
    size, pad = _label_font(canvas)
    return math.ceil(_font(size).getlength(text)) + 2 * pad, round(size * 0.8) + 2 * pad


def _label_font(canvas: Array) -> tuple[int, int]:
    """The font's size, and the room around the text."""
    size = round(float(np.clip(0.026 * math.sqrt(canvas.shape[0] * canvas.shape[1]), 11, 40)))
    return size, max(2, size // 4)


def _meets(plate: Plate, taken: Sequence[Plate]) -> bool:
    x0, y0, x1, y1 = plate
    return any(x0 < right and left < x1 and y0 < bottom and top < y1 for left, top, right, bottom in taken)


def _draw_plate(canvas: Array, text: str, plate: Plate, colour: Colour) -> None:
    x0, y0, x1, y1 = plate
    size, pad = _label_font(canvas)
    canvas[y0:y1, x0:x1] = RIM
    canvas[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] = colour
    ink = RIM if np.dot(colour, (0.299, 0.587, 0.114)) > 110 else WHITE
    write_text(canvas, text, (x0 + pad, (y0 + y1) / 2), size, ink, anchor="lm")
