"""Puts three portraits side by side: the photo of people that the page of `ae serve` offers to try.

    python examples/page_photo.py src/associative_embedding/apps/server/page/people.jpg

Eileen Collins (NASA) and a cameraman (Lav Varshney, CC0) are photographs of scikit-image, Grace Hopper (U.S. Navy) is
one of matplotlib; see docs/licences.md.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
import skimage.data
from matplotlib import cbook
from PIL import Image

from associative_embedding.structures.arrays import Array

HEIGHT, QUALITY = 280, 80  # pixels, and of the JPEG: the page should load quickly


def portrait(image: Array, left: int, right: int) -> Array:
    """Returns the columns from `left` to `right` at the height of the picture."""
    part = image[:, left:right]
    scale = HEIGHT / image.shape[0]
    return cv2.resize(part, (round((right - left) * scale), HEIGHT), interpolation=cv2.INTER_AREA)


def three_people() -> Array:
    cameraman = np.repeat(skimage.data.camera()[:, :, None], 3, axis=2)
    hopper = np.asarray(Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB"))
    parts = [(skimage.data.astronaut(), 20, 400), (cameraman, 60, 440), (hopper, 40, 512)]
    return np.concatenate([portrait(*part) for part in parts], axis=1)


if __name__ == "__main__":
    Image.fromarray(three_people()).save(sys.argv[1], quality=QUALITY, optimize=True)
