"""Files and folders under construction. What ``kill -9`` leaves of them, the next run in the same folder removes.

Each is locked while it is in use, and the system releases the lock when its process ends, however it ends. So a file
that can be locked is a leftover. Only what has the name, owner and kind of file that this module makes is removed.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

START = ".associative-embedding-"  # of the names of files and folders; the name of the machine follows
HOST = re.sub(r"[^\w.-]", "", socket.gethostname(), flags=re.ASCII)[:60] + "-"
FILE, FOLDER = ".tmp", ".dir"  # ends of the names
PUBLIC, PRIVATE = 0o666, 0o600  # permissions of a new file, before the umask
# On a shared file system other machines may not notice a lock, and Windows has none: then it is a matter of age.
SECONDS_OF_USE = 24 * 3600

_read: set[str] = set()  # folders without leftovers: each is read once in a process

if sys.platform == "win32":

    def _lock(path: Path, *, wait: bool = True) -> int | None:
        return None

    def _may_be_left(about: os.stat_result) -> bool:
        return time.time() - about.st_mtime > SECONDS_OF_USE
else:
    import fcntl

    def _lock(path: Path, *, wait: bool = True) -> int | None:
        """Returns a descriptor that holds the lock of a path; None if it has none, or another process holds it."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            # flock, not lockf: it also keeps the threads of one process apart
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:  # also a file system without locks: leftovers stay there
            os.close(descriptor)
            return None
        return descriptor

    def _may_be_left(about: os.stat_result) -> bool:
        own_kind = stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)
        return own_kind and about.st_uid == os.geteuid()


@contextmanager
def partial_file(target: Path, permissions: int = PUBLIC) -> Iterator[Path]:
    """Yields an empty new file beside the target, which gets the target's name; after an error it is removed.

    Args:
        target: the file to make; its folder exists.
        permissions: of the new file, before the umask.

    Raises:
        OSError: when the folder cannot be written.
    """
    remove_leftovers(target.parent)

    def create(path: Path) -> None:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, permissions))

    with _in_use(target.parent, FILE, create) as partial:
        try:
            yield partial
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yields an empty folder, which only this user can read, in the system's folder of temporary files.

    Raises:
        OSError: when it, or a file in it, cannot be made.
    """
    parent = Path(tempfile.gettempdir())
    remove_leftovers(parent)
    try:
        with _in_use(parent, FOLDER, lambda path: path.mkdir(0o700)) as folder:
            try:
                yield folder
            finally:
                _remove(folder)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"cannot write temporary files in {parent}: {reason}; TMPDIR sets another folder") from None


def remove_leftovers(folder: Path) -> None:
    """Removes what killed runs of this user left in a folder. A folder that cannot be read is left as it is."""
    if str(folder) in _read:
        return
    _read.add(str(folder))
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(START) and entry.name.endswith((FILE, FOLDER)):
                with suppress(OSError):
                    _remove_if_left(Path(entry.path))


@contextmanager
def _in_use(parent: Path, end: str, create: Callable[[Path], None]) -> Iterator[Path]:
    """Yields the path of a new file or folder, which is locked inside the block."""
    while True:
        path = parent / f"{START}{HOST}{uuid.uuid4().hex}{end}"
        create(path)
        try:
            descriptor = _lock(path)
        except FileNotFoundError:  # between creation and lock, another process took it for a leftover
            continue
        if descriptor is None or _names(path, descriptor):
            break
        os.close(descriptor)
    try:
        yield path
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _remove_if_left(path: Path) -> None:
    """Removes a file or folder of this user that nobody uses."""
    about = path.lstat()
    here = path.name.startswith(START + HOST)
    if not _may_be_left(about) or not (here or time.time() - about.st_mtime > SECONDS_OF_USE):
        return
    descriptor = _lock(path, wait=False)
    if descriptor is None:
        if sys.platform == "win32":
            _remove(path)
        return
    try:
        # Removed under the lock: its maker, who may be about to lock it, then finds no name and makes another one.
        if _names(path, descriptor):
            _remove(path)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Removes a file, or a folder with its files; folders inside stay, as this module makes none."""
    if not path.is_dir():
        path.unlink()
        return
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


def _names(path: Path, descriptor: int) -> bool:
    """Returns whether a path is still the name of an open file."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
