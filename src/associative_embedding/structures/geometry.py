"""The only place that scales a coordinate: image <-> network input <-> map.

Coordinates are continuous (pixel ``i`` covers ``[i, i + 1)``, its centre is ``i + 0.5``), so a mirror is ``W - x`` and
a map index is ``x / stride - 0.5``. Published code truncates, adds quarters and halves, and mirrors with ``W - 1 - x``
or ``W - x`` on indices; here there is one convention and every round trip is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array


@dataclass(frozen=True, eq=False)
class ImageGeometry:
    """How an image lies in the network's input and in its output maps.

    Attributes:
        image_size: (H, W) of the image.
        input_size: (H, W) of the network's input.
        stride: input pixels per map pixel.
        matrix: ``(2, 3)`` float64, image -> input, of continuous coordinates.
    """

    image_size: tuple[int, int]
    input_size: tuple[int, int]
    stride: int
    matrix: Array

    @property
    def map_size(self) -> tuple[int, int]:
        """(h, w) of the maps."""
        return self.input_size[0] // self.stride, self.input_size[1] // self.stride

    @property
    def scale(self) -> float:
        """Input pixels per image pixel (the square root of the area ratio)."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix[:, :2]))))

    @property
    def mirrored(self) -> bool:
        """Whether left and right change places."""
        return float(np.linalg.det(self.matrix[:, :2])) < 0

    def to_input(self, xy: Array) -> Array:
        """``(..., 2)`` image coordinates -> input coordinates."""
        return xy @ self.matrix[:, :2].T + self.matrix[:, 2]

    def from_input(self, xy: Array) -> Array:
        """``(..., 2)`` input coordinates -> image coordinates."""
        return (xy - self.matrix[:, 2]) @ np.linalg.inv(self.matrix[:, :2]).T

    def to_map(self, xy: Array) -> Array:
        """``(..., 2)`` image coordinates -> map index coordinates (a map pixel's centre is its integer index)."""
        return self.to_input(xy) / self.stride - 0.5

    def to_image(self, xy: Array) -> Array:
        """``(..., 2)`` map index coordinates -> image coordinates."""
        return self.from_input((xy + 0.5) * self.stride)


def round_up(value: float, multiple: int) -> int:
    return max(1, math.ceil(round(value, 6) / multiple)) * multiple


def long_side(image_size: tuple[int, int], side: float, resize: Literal["long", "short"]) -> float:
    """The long side of an image (H, W) whose long or short side becomes `side` pixels."""
    return side if resize == "long" else side * max(image_size) / min(image_size)


def letterbox(image_size: tuple[int, int], long_side: float, *, multiple: int, stride: int) -> ImageGeometry:
    """The whole image, its long side scaled to `long_side`, padded right and below to a multiple.

    Args:
        image_size: (H, W).
        long_side: input pixels.
        multiple: both input sides become a multiple of it (the network's coarsest stride).
        stride: of the output maps.
    """
    height, width = image_size
    scale = long_side / max(height, width)
    matrix = np.array([[scale, 0.0, 0.0], [0.0, scale, 0.0]])
    return ImageGeometry(
        image_size, (round_up(height * scale, multiple), round_up(width * scale, multiple)), stride, matrix
    )


def centred(
    image_size: tuple[int, int],
    input_size: tuple[int, int],
    *,
    stride: int,
    scale: float,
    centre: tuple[float, float] | None = None,
    rotation: float = 0.0,
    mirror: bool = False,
) -> ImageGeometry:
    """An augmented view: the image point `centre` (x, y; default the middle) comes to the middle of the input.

    Args:
        scale: input pixels per image pixel.
        rotation: degrees, counter-clockwise as one sees it.
        mirror: left becomes right. The caller exchanges left and right keypoints.
    """
    x, y = centre if centre is not None else (image_size[1] / 2, image_size[0] / 2)
    angle = math.radians(rotation)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    linear = scale * turn @ np.diag([-1.0 if mirror else 1.0, 1.0])
    shift = np.array([input_size[1] / 2, input_size[0] / 2]) - linear @ np.array([x, y])
    return ImageGeometry(image_size, input_size, stride, np.concatenate([linear, shift[:, None]], axis=1))


def reduction(geometry: ImageGeometry) -> int:
    """Image pixels, along each side, that are averaged before an image is sampled: sampling alone would skip some."""
    return max(1, int(1 / max(geometry.scale, 1e-9) + 1e-6))  # 7.999999999999998 is 8


def warp(image: Array, geometry: ImageGeometry, *, border: int = 0, nearest: bool = False) -> Array:
    """The image as the network sees it, ``(H, W[, C])`` of `geometry.input_size`; outside of the image, `border`.

    A strong reduction first averages areas, see `reduction`.
    """
    matrix = geometry.matrix
    shrink = reduction(geometry)
    if shrink >= 2 and not nearest:
        height, width = image.shape[:2]
        small = (max(1, width // shrink), max(1, height // shrink))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.diag([width / small[0], height / small[1], 1.0])
    return resample(image, matrix, geometry.input_size, border=border, nearest=nearest)


def resample(image: Array, matrix: Array, size: tuple[int, int], *, border: int = 0, nearest: bool = False) -> Array:
    """``(H, W[, C])`` of `size`, where `matrix` ``(2, 3)`` maps continuous coordinates of the image to."""
    # cv2 counts from pixel centres: index = continuous - 0.5 on both sides
    indexed = matrix.copy()
    indexed[:, 2] += matrix[:, :2] @ np.array([0.5, 0.5]) - 0.5
    flags = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    value = (border, border, border)
    return cv2.warpAffine(
        image, indexed, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=value
    )


def crop_squares(xywh: Array, *, margin: float, min_size: float) -> Array:
    """``(N, 4)`` x, y, width, height of the squares around people.

    Args:
        xywh: ``(N, 4)`` boxes around their keypoints.
        margin: side of a square, relative to the longer side of its box.
        min_size: but at least so many pixels.
    """
    centre = xywh[:, :2] + xywh[:, 2:] / 2
    side = np.maximum(margin * xywh[:, 2:].max(axis=1, initial=0), min_size)[:, None]
    return np.concatenate([centre - side / 2, side, side], axis=1)
