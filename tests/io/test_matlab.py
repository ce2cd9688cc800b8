"""MATLAB files that state or unpack to far more than they have are refused in one line, before they take memory."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from associative_embedding.io.matlab import read_matlab
from support.memory import measured_command

MOST = 500  # megabytes of a process that refuses a file; NumPy and SciPy alone take 100
HEAD = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind: int, sides: tuple[int, ...], data: bytes, name: bytes = b"RELEASE") -> bytes:
    head = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack(f"<{len(sides)}i", *sides))
    return element(14, head + element(1, name) + data)


def packed(data: bytes) -> bytes:
    content = zlib.compress(data, 9)
    return struct.pack("<II", 15, len(content)) + content


def nested(depth: int) -> bytes:
    """Cells in each other."""
    data = matrix(6, (1, 1), element(9, bytes(8)))
    for _ in range(depth):
        data = matrix(1, (1, 1), data)
    return data


CELL, STRUCTURE, TEXT, NUMBERS, SPARSE = 1, 2, 4, 6, 5
FIELDS = element(5, struct.pack("<i", 8)) + element(1, b"name\0\0\0\0")
MATRIX_BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "cells": (lambda: matrix(CELL, (1, 2**30), b""), "a matrix states 1073741824 values"),
    "packed cells": (lambda: packed(matrix(CELL, (1, 2**30), b"")), "a matrix states 1073741824 values"),
    "structures": (lambda: matrix(STRUCTURE, (2**15, 2**15), FIELDS), "a matrix states 1073741824 values"),
    "text": (lambda: matrix(TEXT, (1, 2**30), element(4, b"")), "a matrix states 1073741824 values"),
    "numbers": (lambda: matrix(NUMBERS, (2**20, 2**20), element(9, bytes(8))), "a matrix states"),
    "inside": (lambda: matrix(CELL, (1, 1), matrix(TEXT, (1, 2**30), element(4, b""))), "a matrix states"),
    "unpacks": (
        lambda: packed(matrix(NUMBERS, (1, 2**24), element(9, bytes(2**27)))),
        "unpacks to more than 100 times",
    ),
    "empty cells": (lambda: packed(matrix(CELL, (1, 2**21), element(14, b"") * 2**21)), "more cells and structures"),
    "depth": (lambda: nested(5000), "has more than 50 cells or structures in each other"),
    "cut": (lambda: matrix(NUMBERS, (1, 9), element(9, bytes(72)))[:-40], "not a MATLAB file with 'RELEASE'"),
    "damaged": (lambda: struct.pack("<II", 15, 9) + b"no stream", "not a MATLAB file with 'RELEASE'"),
    "version 4": (lambda: b"", "not a MATLAB file with 'RELEASE'"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("make", "says"), MATRIX_BOMBS.values(), ids=MATRIX_BOMBS)
def test_bombs(make: Callable[[], bytes], says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    version_4 = struct.pack("<5i", 0, 2**15, 2**15, 0, 2) + b"a\0" + bytes(200)
    path.write_bytes(HEAD + data if (data := make()) else version_4)
    result = measured_command("data", "mpii", path, "--images", tmp_path, "--output", tmp_path / "a.json")
    (line,) = result.errors
    assert says in line
    assert result.status == 1
    assert result.megabytes < MOST


@pytest.mark.parametrize("compressed", [False, True])
def test_ordinary_files(compressed: bool, tmp_path: Path) -> None:
    cells = np.empty(3000, object)
    cells[:] = [{"x": [1.0, 2.0], "name": "a"}] * len(cells)
    savemat(tmp_path / "a.mat", {"cells": cells, "other": np.zeros(10**5)}, do_compression=compressed)
    found = read_matlab(tmp_path / "a.mat", "cells", plain=True)
    assert len(found) == 3000
    assert found[0]["name"] == "a"


def test_the_other_order_of_bytes(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    savemat(buffer, {"a": np.arange(3.0)})
    assert buffer.getvalue()[124:128] == b"\0\1IM"
    big = element(14, b"")
    head = struct.pack(">II", 6, 8) + struct.pack(">II", 6, 0) + struct.pack(">II2i", 5, 8, 1, 2)
    body = head + struct.pack(">II8s", 1, 1, b"a") + struct.pack(">II2d", 9, 16, 1, 2)
    big = b"MATLAB 5.0 MAT-file".ljust(124) + b"\1\0MI" + struct.pack(">II", 14, len(body)) + body
    (tmp_path / "a.mat").write_bytes(big)
    assert read_matlab(tmp_path / "a.mat", "a").tolist() == [[1, 2]]
