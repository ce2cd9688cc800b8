"""Decodes pixels safely: the bytes of an image file, a Pillow image or an array -> ``(H, W, 3)`` uint8 RGB.

Anything else is an `ImageError`, also a damaged or a dangerously large file.
"""

from __future__ import annotations

import io
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from associative_embedding.io.console import remark_file
from associative_embedding.io.image_limits import (
    MAX_PIXELS,
    USUAL_BYTES,
    ImageError,
    check_jpeg,
    check_size,
    check_tiles,
    pixel_bytes,
)
from associative_embedding.io.image_values import to_rgb
from associative_embedding.io.plain_images import (
    EXIF_ORIENTATION,
    JPEG,
    decode_plain,
    jpeg_ends,
    read_plain_header,
)
from associative_embedding.io.tiff_files import ADVICE, RGB, SIGNATURES, TiffPage, value_rows
from associative_embedding.structures.arrays import Array

# Formats with a signature and a decoder inside of Pillow. Not EPS, which would start Ghostscript, and not TGA or PCX,
# whose decoders accept nearly any bytes.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
LARGE_JPEG = 10 * 2**20  # bytes from which the parts of a JPEG are counted before its header is read
HEAD = 512  # bytes that are enough to recognise a format

# The beginning of files that people take for images -> what they are.
OTHER_FILES = {
    rb"\xff\xd8\xff|\x89PNG|GIF8|BM|RIFF.{4}WEBP|P[1-7FA]\s|.{4}ftypavi": "damaged, or of a kind that cannot be read",
    rb".{4}ftyp(hei|hev|mif1|msf1)": "a HEIC image, which cannot be read; convert it to JPEG",
    rb"\xff\n|\0\0\0\x0cJXL ": "a JPEG XL image, which cannot be read; convert it to JPEG or PNG",
    rb"8BPS": "a Photoshop file; export it as PNG",
    rb"%PDF|%!PS": "not an image but a document; export its picture as PNG",
    rb"FUJIFILM|II(RO|U\0|RS)|.{4}ftypcrx": "a raw file of a camera; export it as JPEG or PNG",
    rb"#\?RADIANCE|v/1\x01": "an image of high dynamic range; save it as PNG",
    rb"version https://git-lfs": "a pointer of Git LFS; fetch the file itself (git lfs pull)",
    rb"\s*<.{0,300}svg": "an SVG drawing; export it as PNG",
    rb"\s*<(!doctype |)html": "not an image but a web page",
}

# EXIF orientation -> the step that turns the stored pixels (H, W, 3) upright; orientation 1 is upright.
UPRIGHT: dict[int, Callable[[Array], Array]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image[:, ::-1].swapaxes(0, 1),
}
BACK = {6: 8, 8: 6}  # EXIF orientation -> the one that turns upright pixels back; the others turn back themselves
# Gets an EXIF orientation other than 1, and the stored size (H, W); returns whether the pixels are to be turned.
Turn = Callable[[int, tuple[int, int]], bool]


def decode(data: bytes, name: str = "bytes", *, max_pixels: int = MAX_PIXELS, turn: Turn | None = None) -> Array:
    """Decodes the bytes of an image file to ``(H, W, 3)`` uint8 RGB. All commands decode images here.

    Args:
        data: the whole file.
        name: of the source, for messages.
        max_pixels: a larger image is refused before it is decoded.
        turn: whether the pixels are turned as the EXIF orientation states; default: always.

    Raises:
        ImageError: when the bytes are no image of a known format, damaged, or too large.
    """
    if not data:
        raise ImageError(name, "is empty")
    if data.startswith(JPEG):
        check_jpeg(name, data)
    if (header := read_plain_header(data)) is not None:
        check_size(name, header.width, header.height, max_pixels)
        if (stored := decode_plain(data, header)) is not None:
            return _turned(stored, header.orientation, turn)
    decode_rest = _decode_tiff if data[:4] in SIGNATURES else _decode_with_pillow
    with _errors_of_decoders(name):
        stored, orientation = decode_rest(data, name, max_pixels)
    return _turned(stored, orientation, turn)


def check_whole(data: bytes, name: str) -> None:
    """Checks that a file can be decoded; decodes it, unless its header and its end are enough.

    Raises:
        ImageError: see `decode`.
    """
    if read_plain_header(data) is None:
        decode(data, name)


def size_of(file: BinaryIO, name: str) -> tuple[int, int]:
    """Returns the size (H, W) of an image file after its EXIF orientation is applied; reads the header only.

    Raises:
        ImageError: see `decode`.
    """
    with _errors_of_decoders(name):
        signature = file.read(4)
        if signature.startswith(JPEG) and file.seek(0, os.SEEK_END) > LARGE_JPEG:
            file.seek(0)
            check_jpeg(name, file.read())
        file.seek(0)
        if signature in SIGNATURES:
            page = TiffPage(file)
            height, width, orientation = page.height, page.width, page.orientation
        else:
            with _open(file, name) as image:
                width, height, orientation = *image.size, _orientation(image)
    return (width, height) if orientation in (5, 6, 7, 8) else (height, width)


def from_pillow(image: Image.Image, name: str, *, max_pixels: int = MAX_PIXELS) -> Array:
    """Converts a Pillow image to ``(H, W, 3)`` uint8 RGB, upright; see `decode`."""
    with _errors_of_decoders(name):
        check_size(name, *image.size, max_pixels, USUAL_BYTES)
        return _turned(_from_pillow(image, name), _orientation(image), None)


def from_array(array: Array, name: str = "array", *, max_pixels: int = MAX_PIXELS) -> Array:
    """Converts an array to contiguous ``(H, W, 3)`` uint8 RGB; copies it only if it differs.

    Args:
        array: ``(H, W)`` grey, or ``(H, W, 1)`` grey, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA; uint8, uint16 in
            [0, 65535], or float in [0, 1].
        name: of the source, for the error message.
        max_pixels: a larger image is refused.

    Raises:
        ImageError: for another shape, type or range.
    """
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        # as PyTorch has images: silently read as an image of three rows, they would find nothing
        hint = (
            "; channels come last: array.transpose(1, 2, 0)" if array.ndim == 3 and array.shape[0] in (1, 3, 4) else ""
        )
        raise ImageError(name, f"shape must be (H, W) or (H, W, 1, 3 or 4), not {array.shape}{hint}")
    check_size(name, array.shape[1], array.shape[0], max_pixels)
    if array.dtype == np.uint8 and array.shape[2] == 3:
        return np.ascontiguousarray(array)
    if array.dtype == np.int32:
        raise ImageError(name, "dtype must be uint8, uint16 or float in [0, 1], not int32")
    return to_rgb(array.shape[:2], lambda rows: array[rows], name)


_lock = threading.Lock()


@contextmanager
def _errors_of_decoders(name: str) -> Iterator[None]:
    """Turns every exception of a decoder into an `ImageError`, and hides its warnings.

    Warning filters and Pillow's pixel limit belong to the process, so one thread decodes at a time.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # `max_pixels` is the limit here
        try:
            yield
        except ImageError:
            raise
        except MemoryError:
            raise ImageError(name, "does not fit in memory") from None
        except Exception as error:  # decoders raise struct.error, SyntaxError, EOFError ... for broken files
            raise ImageError(name, f"is damaged or truncated ({error})") from None
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


# A data loader's worker may be forked while another thread decodes; the child's copy of the lock would stay locked.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _open(file: BinaryIO, name: str) -> Image.Image:
    """Opens an image of one of `FORMATS`, without decoding it."""
    Image.init()  # loads Pillow's plug-ins, the first time
    try:
        return Image.open(file, formats=[f for f in FORMATS if f in Image.OPEN])
    except UnidentifiedImageError:
        file.seek(0)
        head = file.read(HEAD)
        found = (kind for start, kind in OTHER_FILES.items() if re.match(start, head, re.DOTALL | re.IGNORECASE))
        raise ImageError(name, f"is {next(found, 'not an image of a known format')}") from None


def _decode_with_pillow(data: bytes, name: str, max_pixels: int) -> tuple[Array, int]:
    """Returns the stored pixels ``(H, W, 3)`` uint8 RGB, and the EXIF orientation."""
    with _open(io.BytesIO(data), name) as image:
        # MPO: phones store a depth map behind a photo.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            remark_file(name, "is an animation; its first frame is read")
        if image.format in ("JPEG", "MPO") and not jpeg_ends(data):
            raise ImageError(name, "is damaged or truncated: its end is missing")
        each = pixel_bytes(image.format, data, image.width * image.height)
        check_size(name, *image.size, max_pixels, each)
        return _from_pillow(image, name), _orientation(image)


def _decode_tiff(data: bytes, name: str, max_pixels: int) -> tuple[Array, int]:
    """Returns the stored pixels ``(H, W, 3)`` uint8 RGB of the first page, and its EXIF orientation."""
    page = TiffPage(io.BytesIO(data))
    deep = page.holds_plain_values and (page.misread_by_pillow or page.bits > 8)
    # values that are unpacked here are there twice: as strips or tiles, and as a whole
    check_size(name, page.width, page.height, max_pixels, 3 + 2 * page.pixel_bytes if deep else USUAL_BYTES)
    check_tiles(name, page.tile, (page.height, page.width))
    if fault := page.fault():
        raise ImageError(name, fault)
    if page.is_cut(len(data)):
        raise ImageError(name, "is damaged or truncated: a part of its pixels lies behind its end")
    if not page.is_last:
        remark_file(name, "has several pages; the first one is read")
    if page.photometric == RGB and page.other_channels:
        remark_file(name, "has channels beside red, green and blue, which are left out")
    if not page.misread_by_pillow and not (page.bits > 8 and page.holds_plain_values):
        try:
            with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
                upright = _from_pillow(image, name)  # Pillow turns TIFFs, and no others
            return _turned(upright, BACK.get(page.orientation, page.orientation), None), page.orientation
        except UnidentifiedImageError:
            pass  # a layout that Pillow does not know
    if not page.holds_plain_values:
        raise ImageError(name, f"is a TIFF of an unusual layout, which cannot be read; {ADVICE}")
    return to_rgb((page.height, page.width), value_rows(data, page), name), page.orientation


def _from_pillow(image: Image.Image, name: str) -> Array:
    """Returns the stored pixels ``(H, W, 3)`` uint8 RGB of an image of a checked size."""
    image.load()
    wide = image.mode.startswith("I") or image.mode == "F"  # of int32, 16 bits, or float
    mode = image.mode if wide else "RGBA" if image.has_transparency_data else "RGB"

    def read(rows: slice) -> Array:
        part = image.crop((0, rows.start, image.width, rows.stop))
        return np.asarray(part if part.mode == mode else part.convert(mode))

    try:
        return to_rgb((image.height, image.width), read, name)
    except ImageError:
        raise
    except ValueError:
        raise ImageError(name, f"has colours of the kind {image.mode}, which cannot be read; save it as RGB") from None


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:  # broken metadata; the pixels are fine, and viewers show them as stored
        return 1


def _turned(stored: Array, orientation: int, turn: Turn | None) -> Array:
    if orientation not in UPRIGHT or not (turn is None or turn(orientation, stored.shape[:2])):
        return stored
    return np.ascontiguousarray(UPRIGHT[orientation](stored))
