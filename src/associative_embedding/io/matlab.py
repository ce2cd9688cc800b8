"""Reads a variable of a MATLAB file of unknown origin, within limits that its size sets.

Not by SciPy, whose reader crashes, hangs or takes gigabytes for some damaged files of two hundred bytes. Format:
"MAT-File Format" (MathWorks), level 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from associative_embedding.structures.arrays import Array

HEADER = 128  # bytes before the first element
FLOOR, RATIO = 32 * 2**20, 100  # bytes that any variable may unpack to, and how many times the file's size in addition
ELEMENTS = 2**20  # that any file may have, and three more for each of its bytes; each takes a hundred in memory
HEAD_BYTES = 4096  # of a packed variable, which contain its name
MAX_DEPTH = 50  # cells and structures in each other

MATRIX, PACKED = 14, 15  # types of elements
# type of an element -> type of its values
VALUES = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
    16: "u1",
    17: "u2",
}
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}  # type of an element -> its encoding
CELL, STRUCTURE, TEXT = 1, 2, 4  # classes of matrices
NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
COMPLEX = 0x800  # a flag of a matrix


class Element(NamedTuple):
    """An element of a file: its type, and the first and one past the last place of its content."""

    kind: int
    first: int
    last: int


def read_matlab(path: str | Path, variable: str, *, plain: bool = False) -> Any:
    """Returns one variable of a MATLAB file (version 5 to 7): numbers, texts, cells and structures.

    Args:
        path: the ``.mat`` file.
        variable: its name in the file.
        plain: structures become dicts, arrays of structures and cells become lists, and an array of one element
            becomes this element. If not, cells become arrays of objects, and arrays keep their shape.

    Raises:
        ValueError: for a file of another kind, without this variable, damaged, or that unpacks to more than its size
            explains.
        OSError: when the file cannot be opened.
    """
    data = Path(path).read_bytes()
    order = "<" if data[126:128] == b"IM" else ">"
    if data[124:126] != (b"\0\1" if order == "<" else b"\1\0"):
        raise ValueError(f"{path}: not a MATLAB file with {variable!r} (of version 5 to 7; save it with -v7)")
    try:
        for element in elements(data, HEADER, len(data), order):
            head = unpacked(data, element, HEAD_BYTES)
            if name_of(head, order) == variable:
                content = unpacked(data, element, FLOOR + RATIO * len(data))
                return Reader(content, order, plain, ELEMENTS + 3 * len(data)).variable()
    except (ValueError, IndexError, struct.error, zlib.error, OverflowError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a MATLAB file with {variable!r} ({error})") from None
    raise ValueError(f"{path}: not a MATLAB file with {variable!r} (there is none)")


def unpacked(data: bytes, element: Element, limit: int) -> bytes:
    """Returns a variable with its head, as it lies in a file without compression.

    Raises:
        ValueError: if it has more bytes than the limit, unless the limit is `HEAD_BYTES`.
    """
    if element.kind != PACKED:
        return data[element.first - 8 : element.last]
    content = zlib.decompressobj().decompress(data[element.first : element.last], limit + 1)
    if len(content) > limit > HEAD_BYTES:
        raise ValueError(f"it unpacks to more than {RATIO} times its size; save it with -v6")
    return content


def name_of(data: bytes, order: str) -> str:
    """Returns the name of a variable; empty if it has none."""
    outer = next(elements(data, 0, len(data), order), None)
    inner = list(zip(range(3), elements(data, outer.first, outer.last, order), strict=False)) if outer else []
    return data[inner[2][1].first : inner[2][1].last].decode("latin-1") if len(inner) == 3 else ""


def elements(data: bytes, place: int, end: int, order: str) -> Iterator[Element]:
    """Yields the elements between two places of the data."""
    read = struct.Struct(f"{order}II").unpack_from
    while place + 8 <= end:
        kind, size = read(data, place)
        if kind >> 16:  # up to four bytes lie in the head itself
            yield Element(kind & 0xFFFF, place + 4, min(place + 4 + min(kind >> 16, 4), end))
            place += 8
        else:
            yield Element(kind, place + 8, min(place + 8 + size, end))
            place += 8 + (size if kind == PACKED else -(-size // 8) * 8)


class Reader:
    """Reads the matrices of a variable.

    Args:
        data: the variable, not packed.
        order: of bytes, ``<`` or ``>``.
        plain: see `read_matlab`.
        left: number of elements that may be read.
    """

    def __init__(self, data: bytes, order: str, plain: bool, left: int) -> None:
        self.data, self.order, self.plain, self.left = data, order, plain, left

    def variable(self) -> Any:
        """Returns the variable.

        Raises:
            ValueError: for a kind of matrix that is not read, or one that is damaged.
        """
        return self.matrix(next(elements(self.data, 0, len(self.data), self.order)), 0)

    def matrix(self, element: Element, depth: int) -> Any:
        """Returns a matrix, which lies in `depth` others."""
        if element.kind != MATRIX:
            raise ValueError(f"it has an element of the type {element.kind} in the place of a matrix")
        if depth > MAX_DEPTH:
            raise ValueError(f"it has more than {MAX_DEPTH} cells or structures in each other")
        parts = list(islice(elements(self.data, element.first, element.last, self.order), self.left + 1))
        if (left := self.left - len(parts)) < 0:
            raise ValueError("it has more cells and structures than its size explains; save it with -v6")
        self.left = left
        if not parts:  # MATLAB's short form of an empty matrix
            return np.zeros((0, 0))
        flags, sides = self.integers(parts[0])[0], self.integers(parts[1])
        kind, count, rest = flags & 0xFF, math.prod(sides), parts[3:]
        if min(sides, default=-1) < 0 or count > element.last - element.first:  # a value has a byte at least
            raise ValueError(
                f"a matrix states {'x'.join(map(str, sides))} values in {element.last - element.first} bytes"
            )
        if kind == CELL:
            return self.shaped([self.matrix(part, depth + 1) for part in rest], sides)
        if kind == STRUCTURE:
            return self.shaped(self.structures(rest, depth), sides)
        if kind == TEXT:
            return self.text(rest[0]) if rest else ""
        if kind not in NUMBERS or flags & COMPLEX:
            raise ValueError(f"it has a matrix of the class {kind}, which is not read")
        values = self.numbers(rest[0]).astype(NUMBERS[kind])
        if self.plain and len(values) == count == 1:
            return values[0]
        values = values.reshape(sides, order="F")
        return values.squeeze() if self.plain else values

    def structures(self, parts: list[Element], depth: int) -> list[dict[str, Any]]:
        """Returns the structures of an array: the length of a name, all names, and the fields of each structure."""
        (length,) = self.integers(parts[0])
        names = bytes(self.data[parts[1].first : parts[1].last])
        if length < 1:
            raise ValueError("a structure has names without letters")
        fields = [names[i : i + length].split(b"\0")[0].decode("latin-1") for i in range(0, len(names), length)]
        values = [self.matrix(part, depth + 1) for part in parts[2:]]
        if not fields or len(values) % len(fields):
            raise ValueError("a structure lacks a field")
        rows = range(0, len(values), len(fields))
        return [dict(zip(fields, values[i : i + len(fields)], strict=True)) for i in rows]

    def shaped(self, values: list[Any], sides: tuple[int, ...]) -> Any:
        """Returns cells or structures in the form that `plain` states.

        Raises:
            ValueError: if there are more or fewer than the sides state.
        """
        if len(values) != math.prod(sides):
            raise ValueError(f"an array states {'x'.join(map(str, sides))} values and has {len(values)}")
        if self.plain:
            return values[0] if len(values) == 1 else values
        array = np.empty(len(values), object)
        for i, value in enumerate(values):  # at once NumPy would look into arrays of one size
            array[i] = value
        return array.reshape(sides, order="F")

    def integers(self, element: Element) -> tuple[int, ...]:
        """Returns the integers of 32 bits of an element."""
        count = (element.last - element.first) // 4
        return struct.unpack_from(f"{self.order}{count}i", self.data, element.first)

    def numbers(self, element: Element) -> Array:
        """Returns the values of an element, ``(N,)``."""
        kind = np.dtype(self.order + VALUES[element.kind]) if element.kind in VALUES else None
        if kind is None:
            raise ValueError(f"it has numbers of the type {element.kind}, which is not known")
        return np.frombuffer(self.data[element.first : element.last], kind)

    def text(self, element: Element) -> str:
        """Returns a text; the rows of a matrix of letters lie behind each other, column by column."""
        encoding = TEXTS.get(element.kind, "latin-1")
        if encoding == "utf-16":
            encoding += "-le" if self.order == "<" else "-be"
        return self.data[element.first : element.last].decode(encoding)
