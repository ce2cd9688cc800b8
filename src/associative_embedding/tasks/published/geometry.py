"""From the image to the network's input and back, as published code does it.

Published code counts pixels in two ways: it samples the image by a matrix of pixel indices (a pixel's centre is a whole
number), and reads keypoints through the same matrix as continuous coordinates, half a pixel added (but for UDP). The
keypoints here are the numbers that the authors' code gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.tasks.published.conventions import Conventions, Fit

MULTIPLE = 64  # of both sides of the input at the smallest scale
# Of the input at scale 1: a strip of 100 x 100,000 pixels, or a file with an absurd size, would take all memory.
LONGEST = 8  # long side, in short sides
MOST_PIXELS = 4096**2


@dataclass(frozen=True, eq=False)
class CornerGeometry(ImageGeometry):
    """A geometry whose maps reach from corner pixel to corner pixel of the input (UDP); all coordinates are indices.

    Attributes:
        pixels: (h, w) of the maps.
    """

    pixels: tuple[int, int] = (1, 1)

    @property
    def map_size(self) -> tuple[int, int]:
        return self.pixels

    @property
    def _step(self) -> Array:
        """Input pixels per map pixel, x and y."""
        height, width = self.input_size
        return np.array([(width - 1) / max(1, self.pixels[1] - 1), (height - 1) / max(1, self.pixels[0] - 1)])

    def to_map(self, xy: Array) -> Array:
        return np.asarray(self.to_input(xy) / self._step)

    def to_image(self, xy: Array) -> Array:
        return self.from_input(xy * self._step)


def check_scales(scales: Sequence[float], multiple: int, conventions: Conventions) -> None:
    """Checks that a network can run at all scales.

    Args:
        scales: factors of the input size.
        multiple: sides of the network's input must be multiples of it.

    Raises:
        ValueError: for a scale whose sides are not.
    """
    smallest = min(scales)
    for scale in scales:
        if conventions.fit != "square" and (MULTIPLE * scale / smallest) % multiple:
            raise ValueError(
                f"at scale {scale:g} sides would be no multiples of {multiple} pixels, as the smallest scale is "
                f"{smallest:g}: use multiples of {multiple / MULTIPLE * smallest:g}"
            )


def input_geometry(
    image_size: tuple[int, int], side: int, conventions: Conventions, *, scale: float = 1.0, smallest: float = 1.0
) -> ImageGeometry:
    """Returns the geometry of the network's input; its stride is 1.

    Args:
        image_size: (H, W) of the image.
        side: the input size of the model, pixels.
        conventions: its `fit` and `rounding` count.
        scale: factor of `side`.
        smallest: the smallest of all scales: its sides become multiples of `MULTIPLE`, the others follow from them.
    """
    return FITS[conventions.fit](image_size, side, scale, smallest, conventions.rounding == "up")


def centre(image_size: tuple[int, int], side: int, scale: float, smallest: float, up: bool) -> ImageGeometry:
    """The short side fills the input's, and the image's centre pixel goes to the middle of the input."""
    height, width = image_size
    size = input_sides(image_size, side, scale, smallest, up)
    factors = size[1] / width, size[0] / height
    # Rounded down, the long side may lack a part of a pixel; only of a strip it decides.
    factor = min(factors) if is_strip(image_size, side) else factors[0 if width < height else 1]
    # Python rounds halves to even, as mmpose does.
    x, y = (round(width / 2), round(height / 2)) if up else (int(width / 2 + 0.5), int(height / 2 + 0.5))
    matrix = np.array([[factor, 0, size[1] / 2 - factor * x], [0, factor, size[0] / 2 - factor * y]])
    return ImageGeometry(image_size, size, 1, matrix)


def corner(image_size: tuple[int, int], side: int, scale: float, smallest: float, up: bool) -> ImageGeometry:
    """The first and the last pixel of the short side go to those of the input's."""
    size = input_sides(image_size, side, scale, smallest, up)
    factors = [(size[i] - 1) / max(1, image_size[i] - 1) for i in (0, 1)]
    factor = min(factors) if is_strip(image_size, side) else factors[1 if image_size[1] < image_size[0] else 0]
    return CornerGeometry(image_size, size, 1, np.array([[factor, 0, 0], [0, factor, 0]]), size)


def square(image_size: tuple[int, int], side: int, scale: float, smallest: float, up: bool) -> ImageGeometry:
    """The long side fills a square, and the image lies in its middle."""
    length = max(1, int(side * scale + MULTIPLE - 1) // MULTIPLE) * MULTIPLE
    factor = length / max(image_size)
    shift = (length - factor * np.array(image_size[::-1])) / 2
    return ImageGeometry(image_size, (length, length), 1, np.array([[factor, 0, shift[0]], [0, factor, shift[1]]]))


# (H, W) of the image, input size, scale, smallest scale, and whether sides are rounded up -> the geometry
FITS: dict[Fit, Callable[[tuple[int, int], int, float, float, bool], ImageGeometry]] = {
    "centre": centre,
    "corner": corner,
    "square": square,
}


def input_sides(image_size: tuple[int, int], side: int, scale: float, smallest: float, up: bool) -> tuple[int, int]:
    """Returns (H, W) of the input whose short side is the input size, both multiples of `MULTIPLE` at scale 1."""
    ratio, longest = max(image_size) / min(image_size), longest_ratio(side)
    short = whole(smallest * side * min(1, longest / ratio), up)
    # The long side follows from the rounded short one, and is rounded once more.
    long = whole(short / min(image_size) * max(image_size), up)
    if ratio > longest:
        long = min(long, whole(smallest * side * longest, up))
    sides = int(short * scale / smallest), int(long * scale / smallest)
    return (sides[1], sides[0]) if image_size[1] < image_size[0] else sides


def longest_ratio(side: int) -> float:
    """Returns the ratio of the sides of an image from which on the whole image becomes smaller than the input size."""
    return max(1.0, min(LONGEST, MOST_PIXELS / side**2))


def is_strip(image_size: tuple[int, int], side: int) -> bool:
    """Returns whether an image is longer than `longest_ratio`."""
    return max(image_size) > longest_ratio(side) * min(image_size)


def whole(length: float, up: bool) -> int:
    """Returns a length as a multiple of `MULTIPLE`: the next one, or the next one but for less than a pixel."""
    blocks = math.ceil(length / MULTIPLE) if up else int(length + MULTIPLE - 1) // MULTIPLE
    return max(1, blocks) * MULTIPLE


def sample(image: Array, geometry: ImageGeometry) -> Array:
    """Returns the network's input, ``(H, W[, C])`` uint8: bilinear, black outside, and no averaging before."""
    height, width = geometry.input_size
    return cv2.warpAffine(image, geometry.matrix, (width, height), flags=cv2.INTER_LINEAR)
