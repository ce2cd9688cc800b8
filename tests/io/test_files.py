"""Files are whole or not there, and a failure keeps the old one."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from associative_embedding.io import files as output
from associative_embedding.io.files import append, append_line, atomic_write, check_writable, utf8_name, write_json


def test_json_refuses_what_json_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for document in ({"a": float("nan")}, {"a": np.zeros(2)}):
        with pytest.raises(ValueError, match=r"x\.json: not a json document"):
            write_json(path, document)
    assert list(tmp_path.iterdir()) == []


def test_atomic_write_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "x.bin"
    atomic_write(path, b"one")
    atomic_write(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["x.bin"]
    umask = os.umask(0o022)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    link = tmp_path / "link"
    link.symlink_to(path)
    atomic_write(link, b"three")
    assert link.is_symlink()
    assert path.read_bytes() == b"three"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, error: BaseException
) -> None:
    def fail(*_: Any) -> None:
        raise error

    path = tmp_path / "x.bin"
    atomic_write(path, b"old")
    monkeypatch.setattr(output.os, failing, fail)
    with pytest.raises(type(error)) as caught:
        atomic_write(path, b"new")
    if isinstance(error, OSError):
        assert str(caught.value) == f"cannot write {path}: No space left on device"
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.bin"]


def test_what_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, reason in (
        (tmp_path, "is not a regular file"),
        (Path(os.devnull), "is not a regular file"),
        (tmp_path / "file" / "x.json", "file is not a folder"),
        (tmp_path / ("x" * 300), "too long"),
    ):
        with pytest.raises(OSError, match=f"^cannot write {path}: .*({reason})") as caught:
            atomic_write(path, b"")
        assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_check_writable_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "r.json"
    check_writable(path)
    assert list(path.parent.iterdir()) == []
    path.write_text("old")
    check_writable(path)
    assert path.read_text() == "old"
    for bad in (path.parent, path / "r.json", "/dev/null"):
        with pytest.raises(OSError, match=rf"^cannot write {bad}: "):
            check_writable(bad)


def test_names_that_are_not_utf8_can_be_stored() -> None:
    name = os.fsdecode(b"fl\xfcgel \xff\xc3\xbc.png")
    assert utf8_name(name) == "fl%FCgel %FFü.png"
    assert utf8_name("plain ü 鳥 😀.png") == "plain ü 鳥 😀.png"
    assert utf8_name("\ud800.png").encode()  # which Windows allows


class FullAfter:
    """A file on a disk with room for a few bytes."""

    def __init__(self, file: io.FileIO, room: int) -> None:
        self.file, self.room = file, room
        self.seek, self.truncate = file.seek, file.truncate

    def write(self, data: bytes) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        count = self.file.write(data[: self.room])
        self.room -= count
        return count


def test_a_line_is_added_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append_line(path, "one")
    append_line(path, "two")
    with path.open("a+b", buffering=0) as file, pytest.raises(OSError, match=r"^cannot write .*log: No space left on"):
        append(FullAfter(file, 5), b"three" * 5, path)  # type: ignore[arg-type]
    assert path.read_bytes() == b"one\ntwo\n"
    path.write_bytes(b"one\ntwo\nthr")  # a kill in the middle of a write
    append_line(path, "four")
    assert path.read_bytes() == b"one\ntwo\nfour\n"
    path.write_bytes(b"on")
    append_line(path, "one")
    assert path.read_bytes() == b"one\n"
    with pytest.raises(OSError, match=r"^cannot write "):
        append_line(tmp_path, "x")
