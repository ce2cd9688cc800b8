"""Reads images by Pillow: every error of a decoder becomes an `ImageError`, and its warnings are hidden."""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.image_values import Pixels
from associative_embedding.io.plain_images import EXIF_ORIENTATION
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.windows import Window

# Formats with a signature and a decoder inside of Pillow. Not EPS, which would start Ghostscript, and not TGA or PCX,
# whose decoders accept nearly any bytes.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
SIXTEEN_BITS = ("PNG", "PPM")  # formats whose 32-bit values of Pillow have 16 bits in the file
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

_lock = threading.Lock()


@contextmanager
def errors_of_decoders(name: str) -> Iterator[None]:
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


def open_pillow(file: BinaryIO, name: str) -> Image.Image:
    """Opens an image of one of `FORMATS`, without decoding it.

    Raises:
        ImageError: for another file, with what it seems to be.
    """
    Image.init()  # loads Pillow's plug-ins, the first time
    try:
        return Image.open(file, formats=[f for f in FORMATS if f in Image.OPEN])
    except UnidentifiedImageError:
        file.seek(0)
        head = file.read(HEAD)
        found = (kind for start, kind in OTHER_FILES.items() if re.match(start, head, re.DOTALL | re.IGNORECASE))
        raise ImageError(name, f"is {next(found, 'not an image of a known format')}") from None


def pillow_pixels(image: Image.Image, name: str) -> Pixels:
    """Returns the stored values of an image of a checked size, which is decoded here.

    Raises:
        ImageError: for colours that Pillow cannot convert.
    """
    kind = image.format
    image.load()
    wide = image.mode.startswith("I") or image.mode == "F"  # of int32, 16 bits, or float
    grey = image.mode in ("1", "L") and not image.has_transparency_data
    mode = image.mode if wide else "L" if grey else "RGBA" if image.has_transparency_data else "RGB"
    short = mode == "I" and kind in SIXTEEN_BITS
    try:
        image.crop((0, 0, 1, 1)).convert(mode)
    except ValueError:
        raise ImageError(name, f"has colours of the kind {image.mode}, which cannot be read; save it as RGB") from None

    def read(window: Window) -> Array:
        rows, columns = window
        part = image.crop((columns.start, rows.start, columns.stop, rows.stop))
        values = np.asarray(part if part.mode == mode else part.convert(mode))
        return values.astype(np.uint16) if short else values

    return Pixels((image.height, image.width), read)


def orientation_of(image: Image.Image) -> int:
    """Returns the EXIF orientation of an image, 1 for broken metadata: viewers show its pixels as stored."""
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:
        return 1
