"""Reading what others wrote: sizes, texts and numbers, within limits and with one line for what is wrong."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

from PIL import Image

MAX_BYTES = 512 * 2**20
MAX_SIDE = 1_000_000


def size_in(images: str | Path | None, name: str, where: str) -> tuple[int, int]:
    """(H, W) of an image in a folder.

    Raises:
        ValueError: when there is no folder, or no such image in it.
    """
    if images is None:
        raise ValueError(f"{where}: the size of {name} is not known; give the folder of the images (--images)")
    return image_size(Path(images) / name)


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) of an image file as it is shown, its EXIF orientation applied; only headers are read.

    Raises:
        ValueError: when it cannot be read.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except OSError as error:
        raise ValueError(f"{path}: cannot read the image ({error.strerror or 'not an image'})") from None
    except Exception:  # a broken file raises nearly anything
        raise ValueError(f"{path}: cannot read the image (not an image)") from None
    return (width, height) if turned else (height, width)


def read_bytes(path: str | Path, limit: int = MAX_BYTES) -> bytes:
    """
    Raises:
        ValueError: when it cannot be read, or is larger than `limit` bytes.
    """
    try:
        if (size := Path(path).stat().st_size) > limit:
            raise ValueError(f"{path}: {size >> 20} MB is more than the {limit >> 20} MB that are read; split it")
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot read the labels ({error.strerror})") from None


def read_text(path: str | Path, limit: int = MAX_BYTES) -> str:
    """
    Raises:
        ValueError: see `read_bytes`; or when it is no text in UTF-8.
    """
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file (UTF-8)") from None


def finite(value: Any, where: str, what: str) -> float:
    """
    Raises:
        ValueError: for what is no finite number.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: {what} must be a number, not {value!r:.60}")
    return number


def pixel_size(height: Any, width: Any, where: str) -> tuple[int, int]:
    """(H, W) as integers.

    Raises:
        ValueError: when they are not in 1..`MAX_SIDE`.
    """
    sides = tuple(finite(value, where, "a side of the image") for value in (height, width))
    if not all(side == int(side) and 1 <= side <= MAX_SIDE for side in sides):
        raise ValueError(f"{where}: width and height must be positive integers, not {width!r} and {height!r}")
    return int(sides[0]), int(sides[1])
