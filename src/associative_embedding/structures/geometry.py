"""The geometry of an image: the only place that scales coordinates between image, network input and map.

The convention for coordinates is explained in `associative_embedding.structures`. Published code truncates, adds
quarters and halves, and mirrors with ``W - 1 - x`` or ``W - x`` on indices; with one convention, every round trip is
exact.
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
    """The affine map from an image to the network's input, and from there to the output maps.

    Attributes:
        image_size: (H, W) of the image.
        input_size: (H, W) of the network's input.
        stride: input pixels per map pixel; 1 where only the input matters.
        matrix: ``(2, 3)`` float64, image -> input, for continuous coordinates.
    """

    image_size: tuple[int, int]
    input_size: tuple[int, int]
    stride: int
    matrix: Array

    @property
    def map_size(self) -> tuple[int, int]:
        """(h, w) of the maps, rounded down."""
        return self.input_size[0] // self.stride, self.input_size[1] // self.stride

    @property
    def scale(self) -> float:
        """Input pixels per image pixel: the square root of the ratio of areas."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix[:, :2]))))

    @property
    def mirrored(self) -> bool:
        """Whether left and right change places."""
        return float(np.linalg.det(self.matrix[:, :2])) < 0

    def to_input(self, xy: Array) -> Array:
        """Returns ``(..., 2)`` input coordinates of image coordinates."""
        return xy @ self.matrix[:, :2].T + self.matrix[:, 2]

    def from_input(self, xy: Array) -> Array:
        """Returns ``(..., 2)`` image coordinates of input coordinates."""
        return (xy - self.matrix[:, 2]) @ np.linalg.inv(self.matrix[:, :2]).T

    def to_map(self, xy: Array) -> Array:
        """Returns ``(..., 2)`` map coordinates (indices of pixels) of image coordinates."""
        return self.to_input(xy) / self.stride - 0.5

    def to_image(self, xy: Array) -> Array:
        """Returns ``(..., 2)`` image coordinates of map coordinates (indices of pixels)."""
        return self.from_input((xy + 0.5) * self.stride)


def round_up(value: float, multiple: int) -> int:
    """Returns the smallest positive multiple that is not below `value`."""
    return max(1, math.ceil(round(value, 6) / multiple)) * multiple  # 256.0000000001 is 256


def long_side(image_size: tuple[int, int], side: float, resize: Literal["long", "short"]) -> float:
    """Returns the long side, in pixels, to which an image is scaled.

    Args:
        image_size: (H, W) of the image.
        side: pixels of the long or short side after scaling.
        resize: which of the two sides `side` is for.
    """
    return side if resize == "long" else side * max(image_size) / min(image_size)


def letterbox(image_size: tuple[int, int], long_side: float, *, multiple: int, stride: int) -> ImageGeometry:
    """Returns the geometry of the whole image, padded at the right and at the bottom.

    Args:
        image_size: (H, W) of the image.
        long_side: input pixels of the image's long side.
        multiple: both sides of the input are multiples of it (the network's coarsest stride).
        stride: input pixels per map pixel.
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
    """Returns the geometry of a view whose middle is a given point of the image.

    Args:
        image_size, input_size: (H, W).
        stride: input pixels per map pixel.
        scale: input pixels per image pixel.
        centre: x, y in the image; default: its middle.
        rotation: degrees, counter-clockwise on the screen.
        mirror: exchange left and right. The caller must exchange left and right keypoints.
    """
    x, y = centre if centre is not None else (image_size[1] / 2, image_size[0] / 2)
    angle = math.radians(rotation)  # y points down, so the signs of the sines are exchanged
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    linear = scale * turn @ np.diag([-1.0 if mirror else 1.0, 1.0])
    shift = np.array([input_size[1] / 2, input_size[0] / 2]) - linear @ np.array([x, y])
    return ImageGeometry(image_size, input_size, stride, np.concatenate([linear, shift[:, None]], axis=1))


def reduction(geometry: ImageGeometry) -> int:
    """Returns the side, in image pixels, of the squares to average before an image is sampled; 1 = none.

    Bilinear sampling reads four pixels, so at a scale below a half it would skip pixels between them.
    """
    return max(1, int(1 / max(geometry.scale, 1e-9) + 1e-6))  # 7.999999999999998 is 8


def warp(image: Array, geometry: ImageGeometry, *, border: int = 0, nearest: bool = False) -> Array:
    """Returns the network's input, ``(H, W[, C])`` of `geometry.input_size`, from an image.

    Args:
        image: ``(H, W[, C])`` of `geometry.image_size`.
        geometry: image -> input.
        border: value of the pixels outside of the image.
        nearest: take the nearest pixel, for images of labels. Otherwise bilinear, after averaging (see `reduction`).
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
    """Resamples an image onto a grid, without averaging.

    Args:
        image: ``(H, W[, C])``.
        matrix: ``(2, 3)``, continuous coordinates of the image -> of the grid.
        size: (H, W) of the grid.
        border, nearest: see `warp`.

    Returns:
        ``(H, W[, C])`` of `size`.
    """
    # OpenCV's coordinates are indices of pixels: continuous - 0.5, in the image and in the grid
    indexed = matrix.copy()
    indexed[:, 2] += matrix[:, :2] @ np.array([0.5, 0.5]) - 0.5
    flags = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    value = (border, border, border)  # OpenCV would set a lone number in the first channel only
    return cv2.warpAffine(
        image, indexed, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=value
    )


def crop_boxes(xywh: Array, *, margin: float, min_size: float, beside: float = math.inf) -> Array:
    """Returns ``(N, 4)`` x, y, width, height of the boxes to crop around N people.

    Args:
        xywh: ``(N, 4)`` boxes around their keypoints.
        margin: longer side of a crop, relative to the longer side of its box.
        min_size: smallest longer side of a crop, in pixels.
        beside: room on both sides of the shorter side of a box, relative to its longer side; infinite = squares.
    """
    longer = xywh[:, 2:].max(axis=1, initial=0)
    side = np.maximum(margin * longer, min_size)
    # relative to the longer side, so that a crop of the smallest size keeps its proportions
    share = (xywh[:, 2:] / np.maximum(longer, 1e-9)[:, None] + 2 * beside) / margin
    share[xywh[:, 2:] == longer[:, None]] = 1.0
    size = side[:, None] * np.minimum(share, 1.0)
    return np.concatenate([xywh[:, :2] + xywh[:, 2:] / 2 - size / 2, size], axis=1)


def crop_input_size(crop: Array, long_side: int, multiple: int) -> tuple[int, int]:
    """Returns (H, W) of the network's input for a crop, in training as at prediction.

    The shorter side is rounded up to a multiple: beside the crop, the input shows a little more of the image.

    Args:
        crop: ``(4,)`` x, y, width, height, see `crop_boxes`.
        long_side: pixels of the longer side of the input, a multiple of `multiple`.
        multiple: both sides are multiples of it (the network's coarsest stride).
    """
    width, height = (min(long_side, round_up(side, multiple)) for side in crop[2:] * long_side / crop[2:].max())
    return height, width
