"""Writes MATLAB files: structures and arrays of structures, of numbers and texts.

SciPy's writer takes a minute for the hundred thousand keypoints of a test set. Format: "MAT-File Format" (MathWorks),
level 5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from associative_embedding.io.files import atomic_write
from associative_embedding.io.matlab import MATRIX, PACKED, STRUCTURE, TEXT
from associative_embedding.io.outputs import MARK

DESCRIPTION = (b"MATLAB 5.0 MAT-file, " + MARK).ljust(116) + bytes(8) + b"\0\1IM"  # the header; shows who wrote it
INT8, UINT16, INT32, UINT32, DOUBLE, UTF16 = 1, 4, 5, 6, 9, 17  # types of elements
DOUBLES = 6  # a class of matrices, beside `STRUCTURE` and `TEXT`
NAME = 32  # bytes of the name of a field, the last one 0


def write_matlab(path: str | Path, variable: str, value: Any) -> None:
    """Writes one variable into a compressed MATLAB file of version 7; equal values are equal files.

    Args:
        path: the ``.mat`` file.
        variable: its name in the file.
        value: a number, a text, a mapping (a structure), or a sequence of mappings (a ``1 x N`` array of structures,
            whose fields are those of the first; an empty one is an empty matrix).

    Raises:
        OSError: one line, when the file cannot be written.
    """
    packed = zlib.compress(matrix(value, variable.encode()), 6)
    atomic_write(path, DESCRIPTION + struct.pack("<II", PACKED, len(packed)) + packed)


def matrix(value: Any, name: bytes = b"") -> bytes:
    """Returns a value as an element, see `write_matlab`."""
    if isinstance(value, Mapping):
        return structures([value], name)
    if isinstance(value, str):
        letters = value.encode("utf-16-le")
        # MATLAB's own type; SciPy reads it as ASCII.
        return array(TEXT, len(letters) // 2, name, element(UINT16 if value.isascii() else UTF16, letters))
    if isinstance(value, Sequence):
        return structures(value, name) if value else array(DOUBLES, 0, name, element(DOUBLE, b""))
    return array(DOUBLES, 1, name, element(DOUBLE, struct.pack("<d", value)))


def structures(rows: Sequence[Mapping[str, Any]], name: bytes) -> bytes:
    """Returns a ``1 x N`` array of structures: the length of a name, all names, and the fields of each structure."""
    fields = list(rows[0])
    names = b"".join(field.encode().ljust(NAME, b"\0") for field in fields)
    head = struct.pack("<HHi", INT32, 4, NAME) + element(INT8, names)  # the short form of an element of four bytes
    return array(STRUCTURE, len(rows), name, head + b"".join(matrix(row[field]) for row in rows for field in fields))


def array(kind: int, count: int, name: bytes, content: bytes) -> bytes:
    """Returns a matrix of a class with ``1 x count`` values, or ``0 x 0`` without any."""
    sides = struct.pack("<ii", min(count, 1), count)
    head = element(UINT32, struct.pack("<II", kind, 0)) + element(INT32, sides) + element(INT8, name)
    return element(MATRIX, head + content)


def element(kind: int, content: bytes) -> bytes:
    """Returns an element, filled up to a multiple of eight bytes."""
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)
