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
_TURN = np.linspace(0, 2 * math.pi, 33)[:-1]
CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)  # outline of a dot of radius 1
FONT = 0.024  # size of the font of labels, of the side of a square as large as the picture


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
    draw_lines(canvas, np.array([a, b], np.float64)[None], np.array([radius]), colour)


def draw_lines(canvas: Array, ends: Array, radius: Array, colour: Colour) -> None:
    """Draws lines with round ends, one after the other.

    Args:
        canvas: picture.
        ends: ``(n, 2, 2)`` x, y of both ends of each line, pixels.
        radius: ``(n,)`` half of each line's width, pixels.
        colour: of the lines.
    """
    dx, dy = (ends[:, 1] - ends[:, 0]).T
    turn = np.arctan2(dy, dx)[:, None] + np.linspace(math.pi / 2, 3 * math.pi / 2, 9)  # half a circle around each end
    rim = np.maximum(0.0, radius - GROWTH)[:, None, None] * np.stack([np.cos(turn), np.sin(turn)], axis=2)
    for outline in _fixed(np.concatenate([ends[:, :1] + rim, ends[:, 1:] - rim], axis=1)):
        cv2.fillConvexPoly(canvas, outline, colour, cv2.LINE_AA, SHIFT)


def draw_dot(canvas: Array, centre: Sequence[float] | Array, radius: float, colour: Colour, *, rim: float) -> None:
    """Draws a disc around a point x, y, with a dark rim outside of it. `radius` and `rim` are in pixels."""
    centre = np.asarray(centre, dtype=np.float64)
    for r, paint in ((radius + rim, RIM), (radius, colour)):
        cv2.fillConvexPoly(canvas, _fixed(centre + max(0.0, r - GROWTH) * CIRCLE), paint, cv2.LINE_AA, SHIFT)


def draw_box(canvas: Array, low: Array, high: Array, radius: float, colour: Colour) -> None:
    """Draws a box between two corners x, y; its lines have dark rims, and half their width is `radius` pixels."""
    corners = np.array([(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])], np.float64)
    sides = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    for r, paint in ((radius + BOX_RIM, RIM), (radius, colour)):  # all rims first: a rim must not cut another side
        draw_lines(canvas, sides, np.full(len(sides), r), paint)


def _fixed(xy: Array) -> Array:
    """Converts continuous coordinates to cv2's fixed-point pixel indices; points too far away are moved nearer."""
    fixed: Array = np.round((xy - 0.5).clip(-FARTHEST, FARTHEST) * 2**SHIFT).astype(np.int32)
    return fixed


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def write_text(
    canvas: Array,
    text: str,
    xy: tuple[float, float],
    size: int,
    colour: Colour,
    *,
    anchor: str,
    rim: Colour | None = None,
) -> None:
    """Writes antialiased text with Pillow's font, which is the same with every version of cv2.

    Args:
        canvas: picture.
        text: one line.
        xy: the point at which the text is anchored.
        size: of the font, pixels.
        colour: of the text.
        anchor: place of `xy` in the text, two letters of Pillow: "lm" = left, middle; "mm" = centre.
        rim: colour of a rim around the letters, for a text without a plate; None = no rim.
    """
    width = 0 if rim is None else max(1, size // 8)
    pen = ImageDraw.Draw(Image.new("L", (1, 1)))
    left, top, right, bottom = pen.textbbox(xy, text, font=_font(size), anchor=anchor, stroke_width=width)
    x0, y0 = max(0, math.floor(left)), max(0, math.floor(top))
    x1, y1 = min(canvas.shape[1], math.ceil(right) + 1), min(canvas.shape[0], math.ceil(bottom) + 1)
    if x0 >= x1 or y0 >= y1:  # outside of the picture
        return
    under = canvas[y0:y1, x0:x1]
    for stroke, paint in ((width, rim), (0, colour)):
        if paint is None:
            continue
        mask = Image.new("L", (x1 - x0, y1 - y0))
        place = (xy[0] - x0, xy[1] - y0)
        ImageDraw.Draw(mask).text(place, text, fill=255, font=_font(size), anchor=anchor, stroke_width=stroke)
        alpha = np.asarray(mask, dtype=np.float32)[:, :, None] / 255
        under[:] = (under * (1 - alpha) + np.array(paint, dtype=np.float32) * alpha + 0.5).astype(np.uint8)


def draw_title(canvas: Array, text: str) -> None:
    """Draws a text on a dark plate in the upper left corner."""
    w, h = label_size(canvas, text)
    draw_plate(canvas, text, (0, 0, w, h), font_size(canvas), RIM)


def draw_label_if_free(canvas: Array, text: str, centre: Array, colour: Colour, taken: list[Plate]) -> None:
    """Draws a text on a plate around a centre x, y, moved into the picture; not if it meets another plate."""
    w, h = label_size(canvas, text)
    x, y = (np.round(centre - np.array([w, h]) / 2).clip(0, [canvas.shape[1] - w, canvas.shape[0] - h])).astype(int)
    plate = (int(x), int(y), int(x) + w, int(y) + h)
    if min(plate) >= 0 and not meets(plate, taken):  # negative: the plate is larger than the picture
        draw_plate(canvas, text, plate, font_size(canvas), colour)
        taken.append(plate)


def font_size(canvas: Array) -> int:
    """Returns the size of the font of labels, pixels; it grows with the picture."""
    return round(max(10.0, FONT * math.sqrt(canvas.shape[0] * canvas.shape[1])))


def label_size(canvas: Array, text: str) -> tuple[int, int]:
    """Returns width and height of the plate of a label that is as large as the picture suggests, pixels."""
    return plate_size(text, font_size(canvas))


def plate_size(text: str, size: int) -> tuple[int, int]:
    """Returns width and height of a label's plate, pixels.

    Args:
        size: of the font, pixels.
    """
    return math.ceil(_font(size).getlength(text)) + 2 * _pad(size), round(size * 0.8) + 2 * _pad(size)


def _pad(size: int) -> int:
    """Returns the margin around a text of a font, pixels."""
    return max(2, size // 4)


def meets(plate: Plate, taken: Sequence[Plate]) -> bool:
    """Whether a plate shares pixels with one of others."""
    x0, y0, x1, y1 = plate
    return any(x0 < right and left < x1 and y0 < bottom and top < y1 for left, top, right, bottom in taken)


def draw_plate(canvas: Array, text: str, plate: Plate, size: int, colour: Colour) -> None:
    """Draws a text on a plate of a colour; the text is dark on bright colours and white on others.

    Args:
        size: of the font, pixels.
    """
    x0, y0, x1, y1 = plate
    canvas[y0:y1, x0:x1] = RIM
    canvas[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] = colour
    brightness = np.dot(colour, (0.299, 0.587, 0.114))  # of grey that looks as bright (ITU-R BT.601)
    write_text(canvas, text, (x0 + _pad(size), (y0 + y1) / 2), size, RIM if brightness > 110 else WHITE, anchor="lm")
