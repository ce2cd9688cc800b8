"""Draws the shapes of all pictures: lines, dots, boxes, texts and labels.

A picture is ``(H, W, 3)`` uint8 RGB and is changed in place. Coordinates are continuous: the centre of a pixel is at
``i + 0.5``. Lines and dots are filled polygons, because cv2's own have whole pixels as widths and radii.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from associative_embedding.drawing.palette import RIM, WHITE, Colour
from associative_embedding.structures.arrays import Array

Plate = tuple[int, int, int, int]  # x0, y0, x1, y1, the rectangle behind a text

SHIFT = 4  # sub-pixel bits of the coordinates that cv2 draws at
FARTHEST = 30000  # pixels; farther points overflow cv2's fixed-point coordinates
GROWTH = 0.75  # pixels by which cv2's antialiasing widens a polygon on each side (measured; a test checks it)
BOX_RIM = 0.8  # pixels


def check_picture(image: Array) -> None:
    """Checks that an array is a picture.

    Raises:
        ValueError: for an array that is not ``(H, W, 3)`` uint8, or has no pixel.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"image must be (H, W, 3) uint8, not {image.shape} {image.dtype}")


def contact_sheet(images: Sequence[Array], columns: int, *, gap: int = 6) -> Array:
    """Puts pictures side by side on white; each in the middle of a cell as large as the largest picture.

    Args:
        images: pictures of any size.
        columns: pictures in a row.
        gap: pixels between two cells.

    Returns:
        one picture.

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


def draw_line(
    canvas: Array, a: Sequence[float] | Array, b: Sequence[float] | Array, radius: float, colour: Colour
) -> None:
    """Draws a line with round ends between two points x, y; `radius` is half its width in pixels."""
    (ax, ay), (bx, by) = a, b
    radius = max(0.0, radius - GROWTH)
    angle = math.atan2(by - ay, bx - ax)
    turn = angle + np.linspace(math.pi / 2, 3 * math.pi / 2, 9)  # half a circle around each end
    ends = [
        np.array([ax, ay]) + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1),
        np.array([bx, by]) - radius * np.stack([np.cos(turn), np.sin(turn)], axis=1),
    ]
    cv2.fillConvexPoly(canvas, _fixed(np.concatenate(ends)), colour, cv2.LINE_AA, SHIFT)


def draw_dot(canvas: Array, centre: Sequence[float] | Array, radius: float, colour: Colour, *, rim: float) -> None:
    """Draws a disc around a point x, y, with a dark rim outside of it. `radius` and `rim` are in pixels."""
    turn = np.linspace(0, 2 * math.pi, 33)[:-1]
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    centre = np.asarray(centre, dtype=np.float64)
    for r, paint in ((radius + rim, RIM), (radius, colour)):
        cv2.fillConvexPoly(canvas, _fixed(centre + max(0.0, r - GROWTH) * circle), paint, cv2.LINE_AA, SHIFT)


def draw_box(canvas: Array, low: Array, high: Array, radius: float, colour: Colour) -> None:
    """Draws a box between two corners x, y; its lines have dark rims, and half their width is `radius` pixels."""
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    sides = list(zip(corners, corners[1:] + corners[:1], strict=True))
    for r, paint in ((radius + BOX_RIM, RIM), (radius, colour)):  # all rims first: a rim must not cut another side
        for a, b in sides:
            draw_line(canvas, a, b, r, paint)


def _fixed(xy: Array) -> Array:
    """Converts continuous coordinates to cv2's fixed-point pixel indices; points too far away are moved nearer."""
    fixed: Array = np.round((xy - 0.5).clip(-FARTHEST, FARTHEST) * 2**SHIFT).astype(np.int32)
    return fixed


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def write_text(canvas: Array, text: str, xy: tuple[float, float], size: int, colour: Colour, *, anchor: str) -> None:
    """Writes antialiased text with Pillow's font, which is the same with every version of cv2.

    Args:
        canvas: picture.
        text: one line.
        xy: the point at which the text is anchored.
        size: of the font, pixels.
        colour: of the text.
        anchor: place of `xy` in the text, two letters of Pillow: "lm" = left, middle; "mm" = centre.
    """
    pen = ImageDraw.Draw(Image.new("L", (1, 1)))
    left, top, right, bottom = pen.textbbox(xy, text, font=_font(size), anchor=anchor)
    x0, y0 = max(0, math.floor(left)), max(0, math.floor(top))
    x1, y1 = min(canvas.shape[1], math.ceil(right) + 1), min(canvas.shape[0], math.ceil(bottom) + 1)
    if x0 >= x1 or y0 >= y1:  # outside of the picture
        return
    mask = Image.new("L", (x1 - x0, y1 - y0))
    ImageDraw.Draw(mask).text((xy[0] - x0, xy[1] - y0), text, fill=255, font=_font(size), anchor=anchor)
    alpha = np.asarray(mask, dtype=np.float32)[:, :, None] / 255
    under = canvas[y0:y1, x0:x1]
    under[:] = (under * (1 - alpha) + np.array(colour, dtype=np.float32) * alpha + 0.5).astype(np.uint8)


def draw_label(canvas: Array, text: str, corner: Array, colour: Colour, taken: list[Plate]) -> None:
    """Draws a text on a plate, and moves it up until it meets no other plate.

    Args:
        canvas: picture. The plate lies inside of it, unless it is larger than the picture.
        text: one line.
        corner: x, y of the lower left corner of the plate.
        colour: of the plate.
        taken: the plates drawn so far; the new one is added.
    """
    height, width = canvas.shape[:2]
    w, h = label_size(canvas, text)
    x = int(np.clip(corner[0], 0, max(0, width - w)))
    y = int(np.clip(corner[1] - h, 0, max(0, height - h)))
    while y > 0 and _meets((x, y, x + w, y + h), taken):  # at the upper border plates may lie on each other
        y = max(0, y - h // 2)
    _draw_plate(canvas, text, (x, y, x + w, y + h), colour)
    taken.append((x, y, x + w, y + h))


def draw_label_if_free(canvas: Array, text: str, centre: Array, colour: Colour, taken: list[Plate]) -> None:
    """Draws a text on a plate around a centre x, y, moved into the picture; not if it meets another plate."""
    w, h = label_size(canvas, text)
    x, y = (np.round(centre - np.array([w, h]) / 2).clip(0, [canvas.shape[1] - w, canvas.shape[0] - h])).astype(int)
    plate = (int(x), int(y), int(x) + w, int(y) + h)
    if min(plate) >= 0 and not _meets(plate, taken):  # negative: the plate is larger than the picture
        _draw_plate(canvas, text, plate, colour)
        taken.append(plate)


def label_size(canvas: Array, text: str) -> tuple[int, int]:
    """Returns width and height of a label's plate, pixels; larger pictures have larger labels, within bounds."""
    size, pad = _label_font(canvas)
    return math.ceil(_font(size).getlength(text)) + 2 * pad, round(size * 0.8) + 2 * pad


def _label_font(canvas: Array) -> tuple[int, int]:
    """Returns the size of the font and the margin around the text, pixels."""
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
    brightness = np.dot(colour, (0.299, 0.587, 0.114))  # of grey that looks as bright (ITU-R BT.601)
    write_text(canvas, text, (x0 + pad, (y0 + y1) / 2), size, RIM if brightness > 110 else WHITE, anchor="lm")
