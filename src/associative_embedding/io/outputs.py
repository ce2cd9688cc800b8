"""The rule that no command writes over a file that it did not write itself, and the marks that show who wrote a file.

A file shows its writer by its first or its last bytes, so that a check takes no time, whatever the size of the file.
Another program that saves an edited copy drops the mark: then the file is the user's, and stays.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from associative_embedding.io.console import list_briefly, remark

Own = Callable[[Path], bool]  # whether a file, which is not empty, was written by the command that asks

WRITTEN_BY = "written_by"  # first key of a json document
MARK = b"written by associative-embedding"  # in files that are no json documents
DRAWN_MARK = MARK + b", ae predict"  # in pictures, which are no photographs for the next run
ENDS = 65536  # bytes that are read from the start and from the end of a file
HEAD = 512  # bytes at the start of a JPEG or PNG, and at the end of a TIFF, that have the mark
HASHED = re.compile(r"-[0-9a-f]{8}(-labels)?\.(jpg|png|tif|mp4)$")  # names of what had `MARK` before `DRAWN_MARK`


def check_output(
    path: str | Path, own: Own, inputs: Iterable[str | Path | None] = (), *, announce: bool = True
) -> bool:
    """Checks that a command may write a file: there is none, or it is empty, or the command wrote it itself.

    A line names a file that will be replaced. Returns whether there is one.

    Args:
        path: the file to write. Links are followed.
        own: whether an existing file was written by this command.
        inputs: what the command reads; None, addresses and folders do not count.
        announce: False = no line, as the command continues the file, or has one line for many (`say_replaced`).

    Raises:
        ValueError: for an input, or a file that somebody else wrote.
    """
    target = Path(path)
    if not target.is_file():  # `check_writable` and the writers refuse folders and devices
        return False
    if same := next((name for name in inputs if name is not None and is_same(target, name)), None):
        raise ValueError(f"{path} is an input of this command ({same}); choose another output")
    if not target.stat().st_size:
        return False
    if not own(target):
        raise ValueError(f"{path} exists and was not written by ae; choose another output or remove it")
    if announce:
        say_replaced([path])
    return True


def say_replaced(paths: Sequence[str | Path]) -> None:
    """Prints which files of an earlier run a command is about to replace."""
    if len(paths) == 1:
        remark(f"{paths[0]}: the file of an earlier run is replaced")
    elif paths:
        names = list_briefly([os.path.basename(path) for path in paths])
        remark(f"{os.path.dirname(paths[0]) or '.'}: {len(paths)} files of an earlier run are replaced ({names})")


def check_apart(*paths: str | Path | None) -> None:
    """Checks that the outputs of one command are different files.

    Raises:
        ValueError: for two outputs with one path.
    """
    known: set[str] = set()
    for path in (path for path in paths if path):
        real = os.path.realpath(path)
        if real in known:
            raise ValueError(f"{path} is the path of two outputs; give each its own")
        known.add(real)


def is_same(path: Path, other: str | Path) -> bool:
    """Returns whether two paths are one file: also by links, hard links, and names that differ in case."""
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):  # an address, a pattern, or a file that is missing
        return False


def marked(document: Mapping[str, Any], command: str) -> dict[str, Any]:
    """Returns a json document with the mark of a command as its first entry; see `own_json`."""
    return {WRITTEN_BY: command, **{key: value for key, value in document.items() if key != WRITTEN_BY}}


def own_json(command: str) -> Own:
    """Returns the test of a json file that a command wrote by `marked` and `io.files.write_json`."""
    return own_form(rf'\{{"{WRITTEN_BY}": "{re.escape(command)}"', rb"\}\n")


def own_form(start: str | bytes, end: bytes = b"") -> Own:
    """Returns the test of a file whose first and last bytes match two regular expressions."""
    head = re.compile(start.encode() if isinstance(start, str) else start)
    tail = re.compile(rb"(?s:.*)" + end + rb"\Z") if end else None
    return lambda path: bool(head.match(first_bytes(path)) and (tail is None or tail.match(last_bytes(path, 256))))


def own_mark(mark: bytes = MARK) -> Own:
    """Returns the test of a file that has a mark near its start or its end."""
    return lambda path: mark in first_bytes(path) or mark in last_bytes(path)


def is_drawn(path: str | Path) -> bool:
    """Returns whether a file is a picture, label image or film that ``ae predict`` wrote, by its mark."""
    name = os.fspath(path)
    try:
        if not name.endswith((".jpg", ".png", ".tif", ".mp4")) or not os.path.isfile(path):
            return False
        if name.endswith(".mp4"):
            return own_mark(DRAWN_MARK)(Path(path))
        ends = first_bytes(Path(path), HEAD) + last_bytes(Path(path), HEAD)
        return DRAWN_MARK in ends or bool(HASHED.search(name) and MARK in ends)
    except OSError:  # the reader of the file has the message
        return False


def first_bytes(path: Path, count: int = ENDS) -> bytes:
    """Returns the beginning of a file."""
    with path.open("rb") as file:
        return file.read(count)


def last_bytes(path: Path, count: int = ENDS) -> bytes:
    """Returns the end of a file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - count))
        return file.read(count)


def mark_image(data: bytes, mark: bytes = MARK) -> bytes:
    """Returns an encoded image with a mark in it; its pixels are the same.

    JPEG and PNG get a comment, which every program skips. Other formats get the mark behind their data.
    """
    if data.startswith(b"\xff\xd8\xff\xe0"):  # JPEG: a comment (COM) behind its first segment (APP0)
        end = 4 + int.from_bytes(data[4:6], "big")
        return data[:end] + b"\xff\xfe" + (len(mark) + 2).to_bytes(2, "big") + mark + data[end:]
    if data.startswith(b"\x89PNG\r\n\x1a\n"):  # PNG: a text behind its header, which ends at byte 33
        return data[:33] + png_text(b"Software\0" + mark) + data[33:]
    return data + mark


def png_text(text: bytes) -> bytes:
    """Returns a chunk ``tEXt`` of a PNG."""
    body = b"tEXt" + text
    return len(text).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
