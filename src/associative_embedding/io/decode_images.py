"""Decodes pixels safely: the bytes of an image file, a Pillow image or an array -> ``(H, W, 3)`` uint8 RGB.

Anything else is an `ImageError`, also a damaged or a dangerously large file.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from associative_embedding.io.console import one_line
from associative_embedding.structures.arrays import Array

MAX_PIXELS = 178_956_970  # half a gigabyte of RGB; Pillow refuses larger images, too
MAX_NAME = 300  # characters of a source in an error message; it may be any text

# Formats with a signature and a decoder inside of Pillow. Not EPS, which would start Ghostscript, and not TGA or PCX,
# whose decoders accept nearly any bytes.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")

TIFF_SIGNATURES = (b"II*\0", b"MM\0*")
TIFF_WIDTH, TIFF_HEIGHT = 256, 257  # tags

EXIF_ORIENTATION = 0x0112
# EXIF orientation -> the step that makes the stored pixels upright; orientation 1 is upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """An image that cannot be read. The message is one line with the source and the reason."""

    def __init__(self, source: str, reason: BaseException | str) -> None:
        name = source if len(source) <= MAX_NAME else source[:MAX_NAME] + "..."
        super().__init__(f"{name}: {one_line(reason)}")


def decode(data: bytes, name: str = "bytes", *, max_pixels: int = MAX_PIXELS) -> Array:
    """Decodes the bytes of an image file to ``(H, W, 3)`` uint8 RGB, upright.

    Args:
        data: the whole file.
        name: of the source, for the error message.
        max_pixels: a larger image is refused before it is decoded.

    Raises:
        ImageError: when the bytes are no image of a known format, damaged, or too large.
    """
    if not data:
        raise ImageError(name, "is empty")
    with _errors_of_decoders(name):
        Image.init()  # loads Pillow's plug-ins, the first time
        try:
            image = Image.open(io.BytesIO(data), formats=[f for f in FORMATS if f in Image.OPEN])
        except UnidentifiedImageError:
            if data[:4] in TIFF_SIGNATURES:
                return _decode_tiff(data, name, max_pixels)
            raise ImageError(name, "is not an image of a known format") from None
        with image:
            return _from_pillow(image, name, max_pixels)


def from_pillow(image: Image.Image, name: str, *, max_pixels: int = MAX_PIXELS) -> Array:
    """Converts a Pillow image to ``(H, W, 3)`` uint8 RGB, upright; see `decode`."""
    with _errors_of_decoders(name):
        return _from_pillow(image, name, max_pixels)


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
        raise ImageError(name, f"shape must be (H, W) or (H, W, 1, 3 or 4), not {array.shape}")
    _check_size(name, array.shape[1], array.shape[0], max_pixels)
    array = _to_uint8(array, name)
    if array.shape[2] == 4:
        array = _over_white(array)
    return np.ascontiguousarray(array if array.shape[2] == 3 else array.repeat(3, axis=2))


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


def _from_pillow(image: Image.Image, name: str, max_pixels: int) -> Array:
    _check_size(name, image.width, image.height, max_pixels)
    image.load()
    step = UPRIGHT.get(_orientation(image))
    if step is not None:
        image = image.transpose(step)
    if image.mode.startswith("I") or image.mode == "F":
        return from_array(_wide(np.asarray(image), name), name, max_pixels=max_pixels)
    if image.has_transparency_data:
        return _over_white(np.asarray(image.convert("RGBA")))
    return np.array(image.convert("RGB"))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:  # broken metadata; the pixels are fine, and viewers show them as stored
        return 1


def _wide(array: Array, name: str) -> Array:
    """Converts the pixels of Pillow's one-channel modes I (int32), I;16 and F to uint16 or float."""
    if array.dtype.kind == "f":
        return array
    # Pillow keeps some 16-bit files in mode I, so the values decide, not the mode.
    if array.min() < 0 or array.max() > 65535:
        raise ImageError(name, "has 32-bit integers, whose white is not known; convert it to 8 or 16 bits")
    return array.astype(np.uint16)


def _decode_tiff(data: bytes, name: str, max_pixels: int) -> Array:
    """Decodes TIFF files with several channels of float, which Pillow cannot."""
    header = io.BytesIO(data)
    directory = TiffImagePlugin.ImageFileDirectory_v2(header.read(8))
    header.seek(directory.next)
    directory.load(header)
    # Before cv2, which would allocate the memory for any size that the file states.
    _check_size(name, int(directory[TIFF_WIDTH]), int(directory[TIFF_HEIGHT]), max_pixels)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ImageError(name, "is a TIFF of an unknown kind or damaged")
    if image.ndim == 3 and image.shape[2] >= 3:
        image = image[:, :, [2, 1, 0, *range(3, image.shape[2])]]  # BGR(A) -> RGB(A)
    return from_array(image, name, max_pixels=max_pixels)


def _check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    if width * height == 0:
        raise ImageError(name, f"is {width}x{height}: no pixels")
    if width * height > max_pixels:
        raise ImageError(name, f"is {width}x{height}, more than the limit of {max_pixels} pixels")


def _to_uint8(array: Array, name: str) -> Array:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype.kind != "f":
        raise ImageError(name, f"dtype must be uint8, uint16 or float in [0, 1], not {array.dtype}")
    low, high = float(array.min()), float(array.max())
    # Resampled images go a little beyond [0, 1]. `not (...)` also refuses NaN.
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise ImageError(name, f"float values must lie in [0, 1], these lie in [{low:g}, {high:g}]")
    rounded: Array = (array.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return rounded


def _over_white(rgba: Array) -> Array:
    alpha = rgba[:, :, 3:].astype(np.uint16)
    mixed: Array = ((rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return mixed
