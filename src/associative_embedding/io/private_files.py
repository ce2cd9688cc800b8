"""Folders and files that only one user can write, so that their content can be trusted."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

WRITABLE_BY_OTHERS = 0o022  # permissions


def private_folder(folder: Path, *, tighten: bool) -> None:
    """Makes a folder that only this user can read, or checks that nobody else owns or can write the one that is there.

    Args:
        folder: the folder; a link is followed.
        tighten: take the permissions of others away from a folder that is there.

    Raises:
        OSError: one line, for a folder that cannot be made, or that others own or can write.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(0o700, exist_ok=True)
        if tighten and stat.S_IMODE(folder.stat().st_mode) & 0o077 and is_own(folder.stat()):
            folder.chmod(0o700)
    except OSError as error:
        raise OSError(f"cannot write {folder}: {error.strerror or error}") from None
    about = folder.stat()
    if not is_own(about):
        raise OSError(f"cannot use {folder}: it belongs to another user")
    if is_open_to_others(about):
        raise OSError(f"cannot use {folder}: other users can write to it (chmod go-w)")


def read_private(path: Path) -> bytes:
    """Returns the content of a file that nobody else owns or can write.

    Raises:
        OSError: for another file, a link, or a file that cannot be read.
    """
    with open(path, "rb", opener=_open_no_link) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or not is_own(about) or is_open_to_others(about):
            raise OSError(f"{path}: other users own it or can write it")
        return file.read()


if sys.platform == "win32":  # whose folders of a user are closed to others by rules of their own

    def is_own(about: os.stat_result) -> bool:
        """Returns whether a file belongs to this user."""
        return True

    def is_open_to_others(about: os.stat_result) -> bool:
        """Returns whether other users can write a file."""
        return False

    def _open_no_link(path: str, flags: int) -> int:
        return os.open(path, flags)
else:

    def is_own(about: os.stat_result) -> bool:
        """Returns whether a file belongs to this user."""
        return about.st_uid == os.geteuid()

    def is_open_to_others(about: os.stat_result) -> bool:
        """Returns whether other users can write a file."""
        return bool(about.st_mode & WRITABLE_BY_OTHERS)

    def _open_no_link(path: str, flags: int) -> int:
        # O_NONBLOCK: a pipe must not stop the run
        return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
