"""Decodes pixels safely: the bytes of an image file, a Pillow image or an array -> ``(H, W, 3)`` uint8 RGB.

Anything else is an `ImageError`, also a damaged or a dangerously large file.
"""

from __future__ import annotations

import io
import os
from typing import BinaryIO

from PIL import Image

from associative_embedding.io.axes import axes_of_array, stack_of_array
from associative_embedding.io.console import remark_file
from associative_embedding.io.image_limits import (
    MAX_PIXELS,
    USUAL_BYTES,
    ImageError,
    check_jpeg,
    check_size,
    pixel_bytes,
)
from associative_embedding.io.image_values import Pixels
from associative_embedding.io.orientation import QUARTER_TURNS, Turn, turned
from associative_embedding.io.pillow_images import errors_of_decoders, open_pillow, orientation_of, pillow_pixels
from associative_embedding.io.plain_images import JPEG, decode_plain, jpeg_ends, read_plain_header
from associative_embedding.io.reading import PLAIN, Reading
from associative_embedding.io.stacks import Pictures, Stack
from associative_embedding.io.tiff_files import SIGNATURES, TiffPage
from associative_embedding.io.tiff_stacks import open_tiff
from associative_embedding.structures.arrays import Array

LARGE_JPEG = 10 * 2**20  # bytes from which the parts of a JPEG are counted before its header is read


def decode(
    data: bytes,
    name: str = "bytes",
    *,
    max_pixels: int = MAX_PIXELS,
    turn: Turn | None = None,
    reading: Reading = PLAIN,
) -> Array:
    """Decodes the bytes of an image file to ``(H, W, 3)`` uint8 RGB. All commands decode images here.

    Args:
        data: the whole file.
        name: of the source, for messages.
        max_pixels: a larger image is refused before it is decoded.
        turn: whether the pixels are turned as the EXIF orientation states; default: always.
        reading: which planes and channels are read, and which values become black and white. Of several pictures the
            first is read; a line says so.

    Raises:
        ImageError: when the bytes are no image of a known format, damaged, or too large, or lack what is to be read.
    """
    with errors_of_decoders(name):
        pictures = Pictures(open_stack(io.BytesIO(data), name, max_pixels, reading), reading, max_pixels)
        if text := pictures.says(first=True):
            remark_file(name, text)
        stored = pictures.picture(0)
    return turned(stored, pictures.stack.orientation, turn)


def open_stack(file: BinaryIO, name: str, max_pixels: int = MAX_PIXELS, reading: Reading = PLAIN) -> Stack:
    """Opens an image file; planes are decoded when they are read. Call it, and read, inside `errors_of_decoders`.

    Args:
        file: of any format; a TIFF stays in use, of others all bytes are read.
        name, max_pixels, reading: see `decode`.

    Raises:
        ImageError: see `decode`.
        Exception: of a decoder, for a file that is damaged.
    """
    signature = file.read(4)
    file.seek(0)
    if not signature:
        raise ImageError(name, "is empty")
    if signature in SIGNATURES:
        return open_tiff(file, name, reading)
    if reading.level:
        raise ImageError(name, f"has 1 resolution, so no level {reading.level}")
    data = file.read()
    if data.startswith(JPEG):
        check_jpeg(name, data)
    if (header := read_plain_header(data)) is not None:
        check_size(name, header.width, header.height, max_pixels)
        if (stored := decode_plain(data, header)) is not None:
            return stack_of_pixels(name, Pixels.of_array(stored), header.orientation)
    return open_by_pillow(data, name, max_pixels)


def open_by_pillow(data: bytes, name: str, max_pixels: int) -> Stack:
    """Returns the picture of a file of a format that only Pillow reads; it is decoded here."""
    with open_pillow(io.BytesIO(data), name) as image:
        # MPO: phones store a depth map behind a photo.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            remark_file(name, "is an animation; its first frame is read")
        if image.format in ("JPEG", "MPO") and not jpeg_ends(data):
            raise ImageError(name, "is damaged or truncated: its end is missing")
        each = pixel_bytes(image.format, data, image.width * image.height)
        check_size(name, *image.size, max_pixels, each)
        return stack_of_pixels(name, pillow_pixels(image, name), orientation_of(image))


def stack_of_pixels(name: str, pixels: Pixels, orientation: int = 1) -> Stack:
    """Returns the stack of one picture."""
    return Stack(
        name,
        {},
        pixels.size,
        (),
        lambda place, channel: pixels if channel is None else pixels.channel(channel),
        orientation=orientation,
    )


def check_whole(data: bytes, name: str, reading: Reading = PLAIN) -> None:
    """Checks that a file can be decoded; decodes it, unless its header and its end are enough.

    Raises:
        ImageError: see `decode`.
    """
    if read_plain_header(data) is None:
        decode(data, name, reading=reading)


def size_of(file: BinaryIO, name: str) -> tuple[int, int]:
    """Returns the size (H, W) of an image file after its EXIF orientation is applied; reads the header only.

    Raises:
        ImageError: see `decode`.
    """
    with errors_of_decoders(name):
        signature = file.read(4)
        if signature.startswith(JPEG) and file.seek(0, os.SEEK_END) > LARGE_JPEG:
            file.seek(0)
            check_jpeg(name, file.read())
        file.seek(0)
        if signature in SIGNATURES:
            page = TiffPage(file)
            height, width, orientation = page.height, page.width, page.orientation
        else:
            with open_pillow(file, name) as image:
                width, height, orientation = *image.size, orientation_of(image)
    return (width, height) if orientation in QUARTER_TURNS else (height, width)


def from_pillow(image: Image.Image, name: str, *, max_pixels: int = MAX_PIXELS, reading: Reading = PLAIN) -> Array:
    """Converts a Pillow image to ``(H, W, 3)`` uint8 RGB, upright; see `decode`."""
    with errors_of_decoders(name):
        check_size(name, *image.size, max_pixels, USUAL_BYTES)
        stack = stack_of_pixels(name, pillow_pixels(image, name), orientation_of(image))
        return turned(Pictures(stack, reading, max_pixels).picture(0), stack.orientation)


def from_array(array: Array, name: str = "array", *, max_pixels: int = MAX_PIXELS, reading: Reading = PLAIN) -> Array:
    """Converts an array to contiguous ``(H, W, 3)`` uint8 RGB; copies it only if it differs.

    Args:
        array: ``(H, W)`` grey, or ``(H, W, 1)`` grey, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA, of any kind of number
            and order of bytes; or of the dimensions that ``reading.axes`` states.
        name: of the source, for the error message.
        max_pixels: a larger image is refused.
        reading: see `decode`.

    Raises:
        ImageError: for another shape or type.
    """
    pictures = pictures_of_array(array, name, max_pixels=max_pixels, reading=reading)
    if text := pictures.says(first=True):
        remark_file(name, text)
    return pictures.picture(0)


def pictures_of_array(array: Array, name: str, *, max_pixels: int, reading: Reading) -> Pictures:
    """Returns the pictures of an array; see `from_array`."""
    axes = axes_of_array(array.shape, name, reading.axes)
    check_size(name, axes.size[1], axes.size[0], max_pixels)
    return Pictures(stack_of_array(array, axes, name), reading, max_pixels)
