"""Reads any image, safely: a file, bytes, a URL, an array or a Pillow image -> ``(H, W, 3)`` uint8 RGB.

`open_image` also gives each picture of a file of several planes, and slides of any size by windows.
"""

from __future__ import annotations

import io
import os
import stat
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from associative_embedding.io.console import remark_file
from associative_embedding.io.decode_images import (
    decode,
    from_array,
    from_pillow,
    open_stack,
    pictures_of_array,
    size_of,
)
from associative_embedding.io.download import download
from associative_embedding.io.image_limits import MAX_PIXELS, ImageError
from associative_embedding.io.orientation import turned
from associative_embedding.io.pillow_images import errors_of_decoders
from associative_embedding.io.reading import PLAIN, Reading
from associative_embedding.io.stacks import Pictures, Slide
from associative_embedding.io.tiff_files import SIGNATURES
from associative_embedding.io.tiff_stacks import has_planes
from associative_embedding.io.zarr_images import is_zarr, open_zarr
from associative_embedding.structures.arrays import Array

MAX_BYTES = 500 * 2**20  # of a file
MAX_URL_BYTES = 50 * 2**20  # of a download
LARGE_TIFF = 2**26  # bytes from which a TIFF stays on the disk, and its planes are read one by one
MAX_SLIDE = 2**32 - 1  # pixels of a slide, which is read by windows


Source = str | Path | bytes | Array | Image.Image


def read_image(
    source: Source, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES, reading: Reading = PLAIN
) -> Array:
    """Reads any image as ``(H, W, 3)`` uint8 RGB, upright; docs/formats.md lists the kinds.

    The EXIF orientation is applied. An animation gives its first frame, a depth its maximum, other planes the first; a
    line says so. Transparent pixels are mixed with white. Values of more than 8 bits are normalised as
    `Reading.normalize` states. CMYK is converted without a colour profile.

    Args:
        source: a path, an http(s) URL, the bytes of an image file, a Pillow image, or an RGB array ``(H, W)``,
            ``(H, W, 1)``, ``(H, W, 3)`` or ``(H, W, 4)`` of any kind of number. A contiguous uint8 ``(H, W, 3)`` array
            is returned as it is, not copied.
        max_pixels: a larger image is refused before it is decoded.
        max_bytes: a larger file is refused before it is read. A URL also has the limit `MAX_URL_BYTES`.
        reading: which planes and channels are read, and which values become black and white.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        ImageError: one line with the source and the reason.
    """
    if isinstance(source, np.ndarray):
        return from_array(source, max_pixels=max_pixels, reading=reading)
    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "") or "Pillow image")
        return from_pillow(source, name, max_pixels=max_pixels, reading=reading)
    if isinstance(source, bytes):
        return decode(source, max_pixels=max_pixels, reading=reading)
    if not isinstance(source, (str, Path)):
        hint = " (of a tensor: tensor.permute(1, 2, 0).cpu().numpy())" if type(source).__name__ == "Tensor" else ""
        raise ImageError(
            f"image of type {type(source).__name__}", f"give a path, URL, bytes, array{hint} or Pillow image"
        )
    name = str(source)
    if isinstance(source, str) and "://" in source:
        data = fetch(source, max_bytes=min(max_bytes, MAX_URL_BYTES))
        return decode(data, name, max_pixels=max_pixels, reading=reading)
    if is_zarr(name):
        return OpenImage(Pictures(open_zarr(name, reading), reading, max_pixels)).first
    return decode(read_file(name, max_bytes), name, max_pixels=max_pixels, reading=reading)


@dataclass(frozen=True, eq=False)
class OpenImage:
    """An image whose pictures are decoded one by one: ``for picture in open_image("stack.tif")``. Most have one.

    Attributes:
        pictures: which of its planes are read, and how.
        windows: a picture that is too large for the memory is a `Slide`; without it, it is refused.
    """

    pictures: Pictures
    windows: bool = False

    @property
    def name(self) -> str:
        """The name of the source."""
        return self.pictures.stack.name

    @property
    def pixel_size(self) -> float | None:
        """Side of a pixel in micrometres; None where the image does not state it."""
        return self.pictures.stack.pixel_size

    @property
    def axes(self) -> str:
        """The axes along which its pictures follow each other, such as "t" or "tz"; "p" if that is not known."""
        return "".join(self.pictures.frame_axes)

    @property
    def is_slide(self) -> bool:
        """Whether its pictures are read by windows."""
        height, width = self.pictures.stack.size
        return self.windows and MAX_PIXELS < height * width <= MAX_SLIDE

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[Array | Slide]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Array | Slide:
        """Returns a picture, counted from 0: `array`, or a slide if the image is one."""
        if not 0 <= number < len(self):
            raise IndexError(f"picture {number} of {len(self)}")
        if not self.is_slide:
            return self.array(number)
        if self.pictures.stack.orientation not in (0, 1):
            raise ImageError(self.name, "is a slide with an orientation; save it upright")
        with errors_of_decoders(self.name):
            return self.pictures.slide(number, self)

    def array(self, number: int) -> Array:
        """Returns a picture, counted from 0, as ``(H, W, 3)`` uint8 RGB.

        Raises:
            ImageError: when it is damaged or too large.
        """
        with errors_of_decoders(self.name):
            return turned(self.pictures.picture(number), self.pictures.stack.orientation)

    def say(self, *, first: bool = False) -> None:
        """Prints what is read of an image of several planes, channels or resolutions.

        Args:
            first: only the first picture is read.
        """
        if text := self.pictures.says(first=first):
            remark_file(self.name, text)

    @property
    def first(self) -> Array:
        """The first picture, see `array`; prints what is read."""
        self.say(first=True)
        return self.array(0)


def open_image(
    source: Source,
    reading: Reading = PLAIN,
    *,
    windows: bool = False,
    apart: bool = False,
    name: str = "",
    max_pixels: int = MAX_PIXELS,
) -> OpenImage:
    """Opens any image, as `read_image` reads it; a large TIFF and an OME-Zarr image stay on the disk.

    Args:
        source, reading, max_pixels: see `read_image`.
        windows: see `OpenImage`.
        apart: see `Pictures`.
        name: for messages; default: the path or URL.

    Raises:
        ImageError: see `read_image`.
    """
    name = name or (str(source) if isinstance(source, (str, Path)) else "bytes")
    if isinstance(source, (str, Path)) and "://" not in name and is_zarr(name):
        return OpenImage(Pictures(open_zarr(name, reading), reading, max_pixels, apart), windows)
    if isinstance(source, (str, Path, bytes)):
        file = open_source(source)
        with errors_of_decoders(name):
            stack = open_stack(file, name, max_pixels, reading)
            found = OpenImage(Pictures(stack, reading, max_pixels, apart), windows)
        weakref.finalize(found, file.close)
        return found
    array = source if isinstance(source, np.ndarray) else read_image(source, max_pixels=max_pixels)
    return OpenImage(replace(pictures_of_array(array, "array", max_pixels=max_pixels, reading=reading), apart=apart))


def open_source(source: str | Path | bytes) -> BinaryIO:
    """Returns the bytes of an image file, or the file itself if it is a large TIFF.

    Raises:
        ImageError: see `read_file`.
    """
    if isinstance(source, bytes):
        return io.BytesIO(source)
    name = str(source)
    if isinstance(source, str) and "://" in source:
        return io.BytesIO(fetch(source))
    if is_large_tiff(name):
        return open(name, "rb")
    return io.BytesIO(read_file(name))


def is_stack(source: str) -> bool:
    """Returns whether a path is an OME-Zarr image, or a TIFF of several planes."""
    if "://" in source:
        return False
    try:
        with open(source, "rb") as file, errors_of_decoders(source):
            return file.read(4) in SIGNATURES and has_planes(file)
    except (OSError, ValueError):
        return is_zarr(source)


def is_large_tiff(name: str) -> bool:
    """Returns whether a path is a TIFF of at least `LARGE_TIFF` bytes."""
    try:
        if not os.path.isfile(name) or os.path.getsize(name) < LARGE_TIFF:
            return False
        with open(name, "rb") as file:
            return file.read(4) in SIGNATURES
    except (OSError, ValueError):  # `read_file` gives the reason
        return False


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
    """Downloads and decodes an image, ``(H, W, 3)`` uint8 RGB; see `fetch`.

    Args:
        max_pixels: a larger image is refused before it is decoded.

    Raises:
        ImageError: see `read_image`.
    """
    return decode(fetch(url, timeout, max_bytes), url, max_pixels=max_pixels)


def fetch(url: str, timeout: float = 10, max_bytes: int = MAX_URL_BYTES) -> bytes:
    """Downloads the bytes of an image.

    Args:
        url: http or https. Redirects are followed to http and https only.
        timeout: seconds for everything: name look-up, connection, redirects and the last byte.
        max_bytes: a larger file is an error.

    Raises:
        ImageError: see `read_image`.
    """
    try:
        return download(url, timeout=timeout, max_bytes=max_bytes)
    except OSError as error:
        raise ImageError(url, error) from None


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
