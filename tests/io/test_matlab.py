"""MATLAB files that state or unpack to far more than they have are refused in one line, before they take memory."""

from __future__ import annotations

import contextlib
import io
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

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
    "cells": (lambda: matrix(CELL, (1, 2**30), b""), "values in"),
    "packed cells": (lambda: packed(matrix(CELL, (1, 2**30), b"")), "values in"),
    "structures": (lambda: matrix(STRUCTURE, (2**15, 2**15), FIELDS), "a matrix states 32768x32768 values in"),
    "text": (lambda: matrix(TEXT, (1, 2**30), element(4, b"")), "values in"),
    "numbers": (lambda: matrix(NUMBERS, (2**20, 2**20), element(9, bytes(8))), "values in"),
    "inside": (lambda: matrix(CELL, (1, 1), matrix(TEXT, (1, 2**30), element(4, b""))), "values in"),
    "unpacks": (
        lambda: packed(matrix(NUMBERS, (1, 2**24), element(9, bytes(2**27)))),
        "unpacks to more than 100 times",
    ),
    "empty cells": (
        lambda: packed(matrix(CELL, (1, 2**21), element(14, b"") * 2**21)),
        "more cells and structures than its size explains",
    ),
    "depth": (lambda: nested(5000), "more than 50 cells or structures in each other"),
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


VALUES = {
    "number": 3.5,
    "row": np.arange(6, dtype=np.int16),
    "table": np.arange(12, dtype=np.float32).reshape(3, 4),
    "flags": np.array([[True, False]]),
    "text": "grün",
    "empty": np.zeros((0, 3)),
    "cells": np.array([1.0, "a", np.arange(3)], object),
    "structure": {"a": 1, "b": {"c": "d"}, "e": np.zeros((0, 0))},
    "structures": np.array([(1, "x"), (2, "y")], [("n", object), ("t", object)]),
    "bytes": np.arange(256, dtype=np.uint8).reshape(2, 2, 64),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", VALUES)
def test_the_same_as_scipy(name: str, compressed: bool, tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"first": np.zeros(5000), name: VALUES[name], "last": 1}, do_compression=compressed)
    found = read_matlab(tmp_path / "a.mat", name, plain=True)
    same(found, loadmat(tmp_path / "a.mat", simplify_cells=True)[name])
    if name in ("number", "row", "table", "bytes"):
        np.testing.assert_array_equal(read_matlab(tmp_path / "a.mat", name), loadmat(tmp_path / "a.mat")[name])


def same(found: Any, expected: Any) -> None:
    """Equal up to the form of arrays: SciPy makes arrays of cells, and of what is empty."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, list) or (isinstance(expected, np.ndarray) and expected.dtype == object):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif np.size(expected):
        np.testing.assert_array_equal(found, expected)
    else:
        assert np.size(found) == 0


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(VALUES)), st.lists(st.tuples(st.floats(0, 0.999), st.binary(max_size=4)), min_size=1))
def test_damage_is_a_value_or_one_line(name: str, changes: list[tuple[float, bytes]]) -> None:
    """SciPy crashes for some of these files."""
    buffer = io.BytesIO()
    savemat(buffer, {name: VALUES[name]})
    data = bytearray(buffer.getvalue())
    for place, new in changes:
        start = 128 + int(place * (len(data) - 128))
        data[start : start + len(new)] = new
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mat"
        path.write_bytes(data)
        for plain in (False, True):
            with contextlib.suppress(ValueError):  # which nothing else may come out as
                read_matlab(path, name, plain=plain)


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
