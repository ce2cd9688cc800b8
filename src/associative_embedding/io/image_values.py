"""Converts the values of decoded images to 8 bits of RGB, some rows at a time: copies of a large image are large."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from associative_embedding.io.image_limits import ImageError
from associative_embedding.structures.arrays import Array

BAND = 2**18  # pixels that are converted at a time
ReadRows = Callable[[slice], Array]  # some rows of an image -> their values (h, W, C)


def to_rgb(size: tuple[int, int], read: ReadRows, name: str) -> Array:
    """Returns an image as ``(H, W, 3)`` uint8 RGB.

    Args:
        size: (H, W).
        read: returns the rows of a slice, ``(h, W)`` grey or ``(h, W, C)`` grey, RGB or RGBA; uint8, uint16, int32 in
            [0, 65535], or float in [0, 1].
        name: of the source, for messages.

    Raises:
        ImageError: for another type or range.
    """
    check_range(size, read, name)
    image = np.empty((*size, 3), np.uint8)
    for rows in bands(*size):
        part = to_uint8(read(rows))
        part = part[:, :, None] if part.ndim == 2 else part
        image[rows] = over_white(part) if part.shape[2] == 4 else part  # grey is repeated
    return image


def bands(height: int, width: int) -> Iterator[slice]:
    """Yields slices of rows that together are all rows of an image, each of about `BAND` pixels."""
    step = max(1, BAND // width)
    yield from (slice(first, min(first + step, height)) for first in range(0, height, step))


def check_range(size: tuple[int, int], read: ReadRows, name: str) -> None:
    """Checks the type and the range of an image's values; arguments and errors: see `to_rgb`."""
    kind = read(slice(0, 1)).dtype
    if kind.kind == "u" and kind.itemsize <= 2:
        return
    if kind != np.int32 and kind.kind != "f":
        raise ImageError(name, f"dtype must be uint8, uint16 or float in [0, 1], not {kind}")
    ranges = [(part.min(), part.max()) for part in map(read, bands(*size))]
    low, high = float(np.min(ranges)), float(np.max(ranges))  # NaN if one of them is
    # Pillow keeps some 16-bit files as 32-bit integers, so the values decide, not the type.
    if kind == np.int32 and not (low >= 0 and high <= 65535):
        raise ImageError(name, "has 32-bit integers, whose white is not known; convert it to 8 or 16 bits")
    # Resampled images go a little beyond [0, 1]. `not (...)` also refuses NaN.
    if kind.kind == "f" and not (low >= -1e-3 and high <= 1 + 1e-3):
        raise ImageError(name, f"float values must lie in [0, 1], these lie in [{low:g}, {high:g}]")


def to_uint8(values: Array) -> Array:
    """Returns values of a checked range as uint8."""
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f":
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    rounded: Array = (values.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return rounded


def over_white(rgba: Array) -> Array:
    """Returns ``(h, W, 3)`` uint8, an ``(h, W, 4)`` uint8 image over a white ground."""
    alpha = rgba[:, :, 3:].astype(np.uint16)
    mixed: Array = ((rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return mixed
