"""Reads any image, safely: a file, bytes, a URL, an array or a Pillow image -> ``(H, W, 3)`` uint8 RGB."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
from PIL import Image

from associative_embedding.io.decode_images import decode, from_array, from_pillow, size_of
from associative_embedding.io.download import download
from associative_embedding.io.image_limits import MAX_PIXELS, ImageError
from associative_embedding.structures.arrays import Array

MAX_BYTES = 500 * 2**20  # of a file
MAX_URL_BYTES = 50 * 2**20  # of a download


def read_image(
    source: str | Path | bytes | Array | Image.Image, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Array:
    """Reads any image as ``(H, W, 3)`` uint8 RGB, upright; docs/formats.md lists the kinds.

    The EXIF orientation is applied. An animation gives its first frame. Transparent pixels are mixed with white.
    16-bit values are divided by 257, float values in [0, 1] are multiplied by 255. CMYK is converted without a colour
    profile.

    Args:
        source: a path, an http(s) URL, the bytes of an image file, a Pillow image, or an RGB array ``(H, W)``,
            ``(H, W, 1)``, ``(H, W, 3)`` or ``(H, W, 4)`` of uint8, uint16 or float in [0, 1]. A contiguous uint8
            ``(H, W, 3)`` array is returned as it is, not copied.
        max_pixels: a larger image is refused before it is decoded.
        max_bytes: a larger file is refused before it is read. A URL also has the limit `MAX_URL_BYTES`.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        ImageError: one line with the source and the reason.
    """
    if isinstance(source, np.ndarray):
        return from_array(source, max_pixels=max_pixels)
    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "") or "Pillow image")
        return from_pillow(source, name, max_pixels=max_pixels)
    if isinstance(source, bytes):
        return decode(source, max_pixels=max_pixels)
    if not isinstance(source, (str, Path)):
        hint = " (of a tensor: tensor.permute(1, 2, 0).cpu().numpy())" if type(source).__name__ == "Tensor" else ""
        raise ImageError(
            f"image of type {type(source).__name__}", f"give a path, URL, bytes, array{hint} or Pillow image"
        )
    name = str(source)
    if isinstance(source, str) and "://" in source:
        return read_url(source, max_bytes=min(max_bytes, MAX_URL_BYTES), max_pixels=max_pixels)
    return decode(read_file(name, max_bytes), name, max_pixels=max_pixels)


def read_size(path: str | Path) -> tuple[int, int]:
    """Returns the size (H, W) of an image file after its EXIF orientation is applied; reads the header only.

    Raises:
        ImageError: see `read_image`.
    """
    try:
        with open(path, "rb") as file:
            return size_of(file, str(path))
    except OSError as error:
        raise ImageError(str(path), error.strerror or error) from None


def read_url(url: str, timeout: float = 10, max_bytes: int = MAX_URL_BYTES, *, max_pixels: int = MAX_PIXELS) -> Array:
    """Downloads and decodes an image, ``(H, W, 3)`` uint8 RGB.

    Args:
        url: http or https. Redirects are followed to http and https only.
        timeout: seconds for everything: name look-up, connection, redirects and the last byte.
        max_bytes: a larger file is an error.
        max_pixels: a larger image is refused before it is decoded.

    Raises:
        ImageError: see `read_image`.
    """
    try:
        data = download(url, timeout=timeout, max_bytes=max_bytes)
    except OSError as error:
        raise ImageError(url, error) from None
    return decode(data, url, max_pixels=max_pixels)


def read_file(name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Returns the bytes of a file.

    Raises:
        ImageError: when it is no regular file, cannot be read, or is larger than the limit.
    """
    try:
        status = os.stat(name)
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(name, "is a folder, not an image")
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device may never end
            raise ImageError(name, "is not a regular file")
        if status.st_size > max_bytes:
            raise ImageError(name, f"has {status.st_size} bytes, more than the limit of {max_bytes}")
        with open(name, "rb") as file:
            return file.read(max_bytes)
    except OSError as error:
        raise ImageError(name, error.strerror or error) from None
    except ImageError:
        raise
    except ValueError as error:  # a zero byte in the name
        raise ImageError(repr(name), error) from None
