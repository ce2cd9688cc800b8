"""A lock file: one owner at a time, and none after its process ended."""

from __future__ import annotations

import errno
import importlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from associative_embedding.io import lock_files
from associative_embedding.io.lock_files import locked

HOLDER = """
import sys, time
from associative_embedding.io.lock_files import locked
with locked(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_another_process_holds_it_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "run" / "run.lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        message = rf"run\.lock: process {process.pid} on \S+ is at work in this folder"
        with pytest.raises(ValueError, match=message), locked(path):
            pass
        process.kill()
    assert path.is_file()  # what it left behind locks nothing
    with locked(path):
        assert path.read_text().startswith(f"process {os.getpid()} on ")
    assert not path.exists()


def test_another_thread_does_not_get_it(tmp_path: Path) -> None:
    errors: list[str] = []

    def second() -> None:
        try:
            with locked(tmp_path / "run.lock"):
                pass
        except ValueError as error:
            errors.append(str(error))

    with locked(tmp_path / "run.lock"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert "is at work in this folder" in errors[0]
    with locked(tmp_path / "run.lock"):
        pass


def test_a_file_that_its_owner_removes_is_not_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening and locking, the owner may remove the file: a lock on what has no name would keep nobody out."""
    path, lock = tmp_path / "run.lock", lock_files._lock

    def late(file: object) -> None:
        monkeypatch.setattr(lock_files, "_lock", lock)
        path.unlink()
        lock(file)  # type: ignore[arg-type]

    monkeypatch.setattr(lock_files, "_lock", late)
    with locked(path):
        assert path.is_file()


def test_a_folder_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(file: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock_files, "_lock", refused)
    with locked(tmp_path / "run.lock"):
        assert "cannot be locked (No locks available); start no second run" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="cannot write"), locked(tmp_path / "file" / "run.lock"):
        pass


def test_windows_locks_a_byte_behind_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int, int]] = []

    def locking(descriptor: int, mode: int, count: int) -> None:
        calls.append((os.lseek(descriptor, 0, os.SEEK_CUR), mode, count))

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "fcntl", None)  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "platform", "win32")
    try:
        with importlib.reload(lock_files).locked(tmp_path / "run.lock"):
            assert (tmp_path / "run.lock").read_text().startswith(f"process {os.getpid()}")
        assert calls == [(1 << 20, 2, 1)]
    finally:
        monkeypatch.undo()
        importlib.reload(lock_files)
