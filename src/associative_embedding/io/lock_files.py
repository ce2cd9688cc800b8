"""A lock file, so that two processes do not write into one folder at once."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from associative_embedding.io.console import remark
from associative_embedding.io.files import make_folder

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        # a byte behind the text: others cannot read what is locked
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        # not flock: loader processes, which are forked, would hold it for seconds after a kill of their parent
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


HELD = (errno.EACCES, errno.EAGAIN)  # by another process
PAUSE = 0.05  # seconds between two attempts to get a lock
_own: set[str] = set()  # locked by this process: the system lets a process lock a file twice


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Holds a lock file inside the block, with the process and its host as text. Missing folders are made.

    The system releases the lock when the process ends, however it ends: a file that a kill leaves behind locks nothing.

    Raises:
        ValueError: when another process or another thread holds it.
        OSError: when the file cannot be written.
    """
    target = os.path.realpath(path)
    if target in _own:
        raise ValueError(in_use(path, f"process {os.getpid()}"))
    try:
        make_folder(Path(target).parent)
        file = _acquire(path, target)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None
    _own.add(target)
    try:
        yield
    finally:
        _own.discard(target)
        with suppress(OSError):  # Windows does not remove an open file: then it stays, unlocked
            os.remove(target)
        file.close()


def lock_of(path: str | Path) -> Path:
    """Returns the hidden lock file of a file that grows while a command is at work."""
    real = Path(os.path.realpath(path))
    return real.with_name(f".{real.name}.lock")


@contextmanager
def locked_in_turn(path: str | Path, patience: float) -> Iterator[None]:
    """Holds a lock file inside the block, as `locked` does, but waits until its owner ends.

    For work that is only done twice without the lock: the block runs without it after `patience` seconds, and where no
    lock file can be written.
    """
    deadline = time.monotonic() + patience
    with ExitStack() as stack:
        while time.monotonic() < deadline:
            try:
                stack.enter_context(locked(path))
                break
            except ValueError:
                time.sleep(PAUSE)
            except OSError:
                break
        yield


def _acquire(path: str | Path, target: str) -> IO[str]:
    """Returns the locked file.

    Raises:
        ValueError: when another process holds the lock.
    """
    while True:
        file = open(target, "a+", encoding="utf-8", errors="replace")  # noqa: SIM115  # the caller closes it
        try:
            _lock(file)
        except OSError as error:
            if error.errno in HELD:
                with file:
                    file.seek(0)
                    raise ValueError(in_use(path, file.read(200).strip() or "another process")) from None
            remark(f"{path}: cannot be locked ({error.strerror}); start no second run with this folder")
        if _names(target, file):
            break
        file.close()  # its last owner removed it after it was opened here
    with suppress(OSError):  # a full disk: the lock holds without its text
        os.truncate(file.fileno(), 0)
        os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return file


def _names(target: str, file: IO[str]) -> bool:
    """Returns whether a path is still the name of an open file."""
    try:
        return os.path.samestat(os.stat(target), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def in_use(path: str | Path, owner: str) -> str:
    """Returns the message for a lock that is held."""
    return f"{path}: {owner} is at work in this folder; wait until it ends, or choose another one"
