"""Draws the pictures of docs/masks.md: from a file to outlines, labels and a table, and other kinds of images.

    python examples/masks_pictures.py ../shared/data/segmentation/dsb2018/images --output docs/images

The images are of the 2018 Data Science Bowl (CC0), and none was trained on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from associative_embedding import load
from associative_embedding.drawing.masks import mask_colours
from associative_embedding.instances import Instances
from associative_embedding.instances.table import columns_of
from associative_embedding.structures.arrays import Array

STEPS = "449a9c32e53a37c8.jpg"
KINDS = {
    "tissue, fluorescence": "1f6b7cead1534459.jpg",
    "stained, purple on white": "5ef4442e5b8b0b4c.jpg",
    "stained, purple on purple": "0bf33d3db4282d91.jpg",
    "bright field": "54793624413c7d0e.jpg",
}
COLUMNS = ("label", "centroid_x", "centroid_y", "area", "eccentricity", "mean_intensity")
SIDE, GAP, HEAD = 320, 10, 30  # pixels: a panel, the space between panels, the line above it
INK, FAINT = (40, 44, 52), (120, 124, 132)
ROWS = 11


def panel(picture: Array) -> Array:
    """Returns the middle of a picture as a square of `SIDE` pixels."""
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    square = picture[top : top + side, left : left + side]
    return cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA if side > SIDE else cv2.INTER_CUBIC)


def label_picture(found: Instances) -> Array:
    """Returns the label image, each number with a colour of its own."""
    assert found.masks is not None
    colours = np.concatenate([np.zeros((1, 3), np.uint8), mask_colours(found.masks)])
    return np.asarray(colours[found.masks.labels()])


def table_picture(found: Instances) -> Array:
    """Returns the first rows of the table."""
    columns = columns_of(found)
    image = Image.new("RGB", (SIDE + 120, SIDE), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    step = image.width // len(COLUMNS)
    for k, name in enumerate(COLUMNS):
        for part, line in enumerate(name.split("_") if len(name) > 6 else [name]):
            draw.text((step * k + step - 8, 4 + 14 * part), line, FAINT, font, anchor="ra")
        for row, value in enumerate(columns[name][:ROWS].tolist()):
            text = f"{value:.2f}" if isinstance(value, float) and name != "label" else str(value)
            draw.text((step * k + step - 8, 44 + 25 * row), text, INK, font, anchor="ra")
    return np.asarray(image)


def row_of(panels: Sequence[tuple[str, Array]]) -> Array:
    """Returns panels side by side, each below its caption."""
    width = sum(picture.shape[1] for _, picture in panels) + GAP * (len(panels) - 1)
    image = Image.new("RGB", (width, SIDE + HEAD), "white")
    draw, left = ImageDraw.Draw(image), 0
    for text, picture in panels:
        draw.text((left + 2, 6), text, INK, ImageFont.load_default(15))
        image.paste(Image.fromarray(picture), (left, HEAD))
        left += picture.shape[1] + GAP
    return np.asarray(image)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    model = load("nuclei")
    found = model(options.images / STEPS)
    assert found.image is not None
    steps = [
        ("the file", panel(found.image)),
        ("overlay", panel(found.draw())),
        ("label image", panel(label_picture(found))),
        ("table", table_picture(found)),
    ]
    kinds = [(kind, panel(model(options.images / name).draw())) for kind, name in KINDS.items()]
    for name, panels in (("masks-steps", steps), ("masks-kinds", kinds)):
        Image.fromarray(row_of(panels)).save(options.output / f"{name}.jpg", quality=88)


if __name__ == "__main__":
    main()
