"""Standard output and error that are closed, full, or a pipe whose reader has left: none of them stops the work."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import TextIO

READER_LEFT = (errno.EPIPE, errno.EINVAL)  # Windows gives the second one

_lost: list[str] = []  # why standard output could not be written


def open_streams() -> None:
    """Opens the null device in place of each standard stream that the caller has closed (``>&-``).

    Otherwise the next file that the process opens would get the number of the stream, and what libraries print would
    be written into that file.
    """
    _lost.clear()
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # stays open


def give_up(stream: TextIO, error: OSError) -> None:
    """Lets all further text of a stream that cannot be written go nowhere.

    A pipe whose reader has left (``ae info | head -1``) is no error. Another reason is kept for `output_status`, if the
    stream is standard output.
    """
    if stream is sys.stdout and error.errno not in READER_LEFT:
        _lost.append(error.strerror or str(error))
    # Python writes what a stream still holds again at its exit, which would fail with a second error.
    with suppress(OSError, ValueError):  # a stream of a notebook has no number
        number = stream.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)


def output_status(status: int) -> int:
    """Writes what standard output still holds, and returns the exit status: 1 in place of 0 if output was lost."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not getattr(stream, "closed", False):
                stream.flush()
        except OSError as error:
            give_up(stream, error)
    if not _lost or status:
        return status
    with suppress(OSError):
        print(f"ae: error: standard output cannot be written: {_lost[0]}", file=sys.stderr, flush=True)
    return 1
