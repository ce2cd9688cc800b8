"""Writes TIFF files of any layout, for trials of readers: Pillow and OpenCV write few of them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Tags = Mapping[int, tuple[int, ...]]

DEFLATE, JPEG_2000, JPEG_XL = 8, 34712, 50002  # values of COMPRESSION
COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, STRIP_BYTES = 259, 262, 273, 279
SAMPLE_FORMATS = {"b": 1, "u": 1, "i": 2, "f": 3, "c": 6}


def tiff(*pages: Array, planar: bool = False, order: str = "<", tags: Tags | None = None) -> bytes:
    """Returns the bytes of a TIFF.

    Args:
        pages: ``(H, W)``, or ``(H, W, C)``, or if planar ``(C, H, W)``. Three channels or more are RGB by default.
        planar: each channel in a strip of its own.
        order: of bytes, ``<`` or ``>``.
        tags: number -> values of further tags, and of tags to change.
    """
    body = b"II*\0" if order == "<" else b"MM\0*"
    body += b"\0" * 4  # the place of the first directory
    directories = []
    for page in pages:
        entries = entries_of(page, planar) | dict(tags or {})
        packed = [pack(part, order, entries[COMPRESSION][0]) for part in (page if planar else [page])]
        places = [len(body) + sum(map(len, packed[:i])) for i in range(len(packed))]
        body += b"".join(packed)
        directories.append({STRIP_OFFSETS: tuple(places), STRIP_BYTES: tuple(map(len, packed))} | entries)
    body += b"\0" * (len(body) % 2)
    pointer = 4
    for entries in directories:
        body = body[:pointer] + struct.pack(f"{order}I", len(body)) + body[pointer + 4 :]
        pointer = len(body) + 2 + 12 * len(entries)
        body += directory(entries, len(body), order)
    return body


def entries_of(page: Array, planar: bool) -> dict[int, tuple[int, ...]]:
    """Returns the tags of a page, without the places of its strips."""
    channels = 1 if page.ndim == 2 else page.shape[0] if planar else page.shape[2]
    height, width = page.shape[1:] if planar else page.shape[:2]
    return {
        256: (width,),
        257: (height,),
        258: (8 * page.itemsize,) * channels,
        COMPRESSION: (1,),
        PHOTOMETRIC: (2 if channels > 2 else 1,),
        277: (channels,),
        278: (height,),  # rows of a strip
        284: (2 if planar else 1,),
        339: (SAMPLE_FORMATS[page.dtype.kind],) * channels,
    }


def pack(part: Array, order: str, compression: int) -> bytes:
    """Returns the bytes of a strip."""
    data = part.astype(part.dtype.newbyteorder(order)).tobytes()
    return zlib.compress(data) if compression == DEFLATE else data


def directory(entries: Tags, start: int, order: str) -> bytes:
    """Returns the directory of a page that begins at an offset; no page follows."""
    rows = more = b""
    behind = start + 2 + 12 * len(entries) + 4
    for tag, values in sorted(entries.items()):
        data = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            data, more = struct.pack(f"{order}I", behind + len(more)), more + data
        rows += struct.pack(f"{order}HHI", tag, 4, len(values)) + data  # type 4: 32 bits without sign
    return struct.pack(f"{order}H", len(entries)) + rows + b"\0" * 4 + more
