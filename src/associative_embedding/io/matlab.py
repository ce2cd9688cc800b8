"""Reads a variable of a MATLAB file of unknown origin, within limits that its size sets.

A file can unpack to a thousand times its bytes, a matrix can state any number of cells that are not there, and cells
can lie in each other deeper than the stack of the reader. Format: "MAT-File Format" (MathWorks), level 5.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scipy.io import loadmat

HEADER = 128  # bytes before the first element
INT32, MATRIX, PACKED = 5, 14, 15  # types of elements
FLOOR, RATIO = 32 * 2**20, 100  # bytes that any file may unpack to, and how many times its size in addition
MATRICES = 500_000  # that any file may have, and one more for each two of its bytes
MAX_DEPTH = 50  # cells and structures in each other


def read_matlab(path: str | Path, variable: str, *, plain: bool = False) -> Any:
    """Returns one variable of a MATLAB file (version 5 to 7).

    Args:
        path: the ``.mat`` file.
        variable: its name in the file.
        plain: structures become dicts, arrays of structures and cells become lists, and an array of one element
            becomes this element.

    Raises:
        ValueError: for a file of another kind, without this variable, or that would take more memory than its size
            explains.
        OSError: when the file cannot be opened.
    """
    data = Path(path).read_bytes()
    order = "<" if data[126:128] == b"IM" else ">"
    if data[124:126] != (b"\0\1" if order == "<" else b"\1\0"):
        raise ValueError(f"{path}: not a MATLAB file with {variable!r} (of version 5 to 7; save it with -v7)")
    check_elements(data, order, str(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they name variables of the file
            return loadmat(io.BytesIO(data), simplify_cells=plain, variable_names=[variable])[variable]
    except Exception as error:  # scipy raises errors of many types for a damaged file
        raise ValueError(f"{path}: not a MATLAB file with {variable!r} ({error})") from None


class Element(NamedTuple):
    """An element of a file: its type, and the first and the last place of its content."""

    kind: int
    first: int
    last: int


def check_elements(data: bytes, order: str, where: str) -> None:
    """Checks all variables of a file.

    Args:
        data: the file.
        order: of bytes, ``<`` or ``>``.
        where: the file, for messages.

    Raises:
        ValueError: for variables that would take more memory than the file explains.
    """
    left, matrices = FLOOR + RATIO * len(data), MATRICES + len(data) // 2
    for element in elements(data, HEADER, len(data), order):
        content = data[element.first : element.last]
        if element.kind == PACKED:
            content = inflated(content, left)
        elif element.kind == MATRIX:
            content = data[element.first - 8 : element.last]  # with its head, as a packed one has it
        left -= len(content)
        if left < 0:
            raise ValueError(f"{where}: unpacks to more than {RATIO} times its size; save it with -v6")
        matrices -= check_matrices(content, order, where, matrices)


def inflated(data: bytes, limit: int) -> bytes:
    """Returns unpacked data, of which more than `limit` bytes are cut off; a damaged end is left to the reader."""
    try:
        return zlib.decompressobj().decompress(data, limit + 1)
    except zlib.error:
        return b""


def elements(data: bytes, place: int, end: int, order: str) -> Iterator[Element]:
    """Yields the elements between two places of the data."""
    while place + 8 <= end:
        kind, size = struct.unpack_from(f"{order}II", data, place)
        if kind >> 16:  # up to four bytes lie in the head itself
            yield Element(kind & 0xFFFF, place + 4, min(place + 4 + (kind >> 16), end))
            place += 8
        else:
            yield Element(kind, place + 8, min(place + 8 + size, end))
            place += 8 + (size if kind == PACKED else -(-size // 8) * 8)


def check_matrices(data: bytes, order: str, where: str, most: int) -> int:
    """Checks the matrices in the content of a variable, and returns their number.

    Args:
        data: the content.
        order: of bytes, ``<`` or ``>``.
        where: the file, for messages.
        most: number of matrices.

    Raises:
        ValueError: for one that states more values than it has bytes, or too many of them.
    """
    inside = [(0, len(data), 0)]  # first and last place, depth
    found = 0
    while inside:
        first, last, depth = inside.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"{where}: has more than {MAX_DEPTH} cells or structures in each other")
        for number, element in enumerate(elements(data, first, last, order)):
            if element.kind == MATRIX:
                inside.append((element.first, element.last, depth + 1))
                if (found := found + 1) > most:
                    raise ValueError(f"{where}: has more cells and structures than its size explains; save it with -v6")
            elif element.kind == INT32 and number == 1:  # its sides; the flags come before them
                count = (element.last - element.first) // 4
                sides = struct.unpack_from(f"{order}{count}i", data, element.first)
                if math.prod(sides) > last - first:
                    raise ValueError(f"{where}: a matrix states {math.prod(sides)} values in {last - first} bytes")
    return found
