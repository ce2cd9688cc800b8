"""Writes files that are whole or not there at all, and json documents."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

from associative_embedding.io.temporary_files import PUBLIC, partial_file

LONGEST_LINE = 2**16  # bytes of a line that is looked for at the end of a file
PAUSE_PER_WRITE = 20  # a pause lasts at least 20 times as long as the write before it: writing takes 5 % of the time


def atomic_write(path: str | Path, data: bytes, *, permissions: int = PUBLIC) -> None:
    """Writes a file so that other programs find the old file or the whole new one, never a part.

    The data go to a temporary file in the same folder and to the disk; then the temporary file is renamed. After a
    failure the old file is still there and the temporary one is removed. Missing parent folders are made. A symbolic
    link is followed.

    Args:
        path: the file.
        data: its content.
        permissions: of the file, before the umask.

    Raises:
        OSError: one line with the path and the reason.
    """
    target = Path(os.path.realpath(path))
    try:
        _prepare(target)
        with partial_file(target, permissions) as partial, partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # before renaming: a crash could otherwise leave an empty file under the name
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None


def make_folder(path: Path) -> None:
    """Makes a folder, and the folders above it, where they are missing.

    Raises:
        OSError: when it cannot be made; the message names a file that is in its place.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        file = next((place for place in (path, *path.parents) if place.exists() and not place.is_dir()), path)
        raise OSError(f"{file} is not a folder") from None


def _prepare(target: Path) -> None:
    make_folder(target.parent)
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):  # never replace /dev/null or a folder
        raise OSError("is not a regular file")


def check_writable(path: str | Path) -> None:
    """Checks that `atomic_write` can write a file, without changing it: an error before long work, not after it.

    Raises:
        OSError: one line with the path and the reason.
    """
    target = Path(os.path.realpath(path))
    try:
        _prepare(target)
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None


def append(file: FileIO, data: bytes, path: str | Path) -> None:
    """Writes data at the end of an unbuffered file: all of it, or nothing where the disk is full.

    Args:
        file: open for writing; its place is its end.
        data: what to add.
        path: of the file, for the message.

    Raises:
        OSError: one line with the path and the reason.
    """
    start, rest = file.seek(0, os.SEEK_END), memoryview(data)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        with contextlib.suppress(OSError):
            file.truncate(start)
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None


def append_line(path: Path, line: str) -> None:
    """Adds a line to a text file, whole or not at all. A part of a line that a killed process left is removed first.

    Raises:
        OSError: one line with the path and the reason.
    """
    try:
        with open(path, "a+b", buffering=0) as file:
            start = max(0, file.seek(0, os.SEEK_END) - LONGEST_LINE)
            file.seek(start)
            end = file.read()
            if not end.endswith(b"\n"):
                file.truncate(start + end.rfind(b"\n") + 1)
            append(file, f"{line}\n".encode(), path)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None


def write_json(path: str | Path, document: Any) -> None:
    """Writes a json file atomically.

    Raises:
        ValueError: when the document has a value that json cannot hold (NaN, an array).
        OSError: see `atomic_write`.
    """
    atomic_write(path, json_text(path, document))


def json_text(path: str | Path, document: Any) -> bytes:
    """Returns the bytes of a json file. The path is only for the error message.

    Raises:
        ValueError: see `write_json`.
    """
    try:
        return json.dumps(document, allow_nan=False).encode("ascii") + b"\n"
    except (TypeError, ValueError) as error:
        raise ValueError(f"cannot write {path}: not a json document ({error})") from None


def utf8_name(path: str) -> str:
    """Returns a file name that every program can store: bytes that are not UTF-8 become ``%FC``, as in URLs."""
    # Python keeps such a byte as U+DC00 + byte, which is no text: jq, pyarrow and many others refuse it. In the locale
    # C it keeps all bytes above 127 like that, so they are decoded once more.
    with contextlib.suppress(UnicodeError):
        path = os.fsencode(path).decode("utf-8", "surrogateescape")
    return re.sub("[\ud800-\udfff]", lambda byte: f"%{ord(byte[0]) & 0xFF:02X}", path)


class Periodic:
    """Saves a growing result at the first call, and then from time to time.

    Args:
        write: writes the whole result so far.
        interval: least number of seconds between two writes; the pause is longer if a write takes long.
    """

    def __init__(self, write: Callable[[], None], interval: float = 30) -> None:
        self._write = write
        self._interval = interval
        self._next = 0.0

    def __call__(self) -> None:
        """Writes if the pause is over."""
        if time.monotonic() >= self._next:
            self.now()

    def now(self) -> None:
        """Writes, and starts a new pause."""
        start = time.monotonic()
        self._write()
        end = time.monotonic()
        self._next = end + max(self._interval, PAUSE_PER_WRITE * (end - start))
