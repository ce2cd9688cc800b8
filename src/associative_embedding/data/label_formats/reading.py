"""Reads sizes, texts and numbers of files of unknown origin, within limits; every error is one line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from associative_embedding.io.images import read_size
from associative_embedding.io.text_files import decode_text

MAX_BYTES = 512 * 2**20  # parsed, a text takes several times its size in memory
MAX_SIDE = 1_000_000  # pixels; a larger side is a fault of the file


def size_in(images: str | Path | None, name: str, where: str) -> tuple[int, int]:
    """Returns the size (H, W) of an image in a folder.

    Args:
        images: the folder; None is an error.
        name: file name relative to the folder.
        where: the source of the labels, for error messages.

    Raises:
        ValueError: if there is no folder, or the image is missing or cannot be read.
    """
    if images is None:
        raise ValueError(f"{where}: the size of {name} is not known; give the folder of the images (--images)")
    return read_size(Path(images) / name)


def read_bytes(path: str | Path, limit: int = MAX_BYTES) -> bytes:
    """Reads a file of labels.

    Raises:
        ValueError: if it cannot be read, or is larger than `limit` bytes.
    """
    try:
        if (size := Path(path).stat().st_size) > limit:
            raise ValueError(f"{path}: {size >> 20} MB is more than the {limit >> 20} MB that are read; split it")
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot read the labels ({error.strerror})") from None


def read_text(path: str | Path, limit: int = MAX_BYTES) -> str:
    """Reads a text; see `decode_text` for its encoding.

    Raises:
        ValueError: as `read_bytes`, and if the file is no text.
    """
    return decode_text(read_bytes(path, limit), path, limit)


def finite(value: Any, where: str, what: str) -> float:
    """Returns a finite number, given as a number or a text.

    Args:
        where: file and entry, for error messages.
        what: name of the value, for error messages.

    Raises:
        ValueError: for any other value.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # Python takes True for 1
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: {what} must be a number, not {value!r:.60}")
    return number


def pixel_size(height: Any, width: Any, where: str) -> tuple[int, int]:
    """Returns (H, W) as integers.

    Raises:
        ValueError: if a side is not an integer in 1 ... `MAX_SIDE`.
    """
    sides = tuple(finite(value, where, "a side of the image") for value in (height, width))
    if not all(side == int(side) and 1 <= side <= MAX_SIDE for side in sides):
        raise ValueError(f"{where}: width and height must be positive integers, not {width!r} and {height!r}")
    return int(sides[0]), int(sides[1])
