"""Lines for people: results, and errors on one line each."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TextIO

from tqdm import tqdm

MAX_LINE = 1000  # characters of an error: some libraries put a whole traceback into theirs


def say(text: str, file: TextIO | None = None) -> None:
    """Prints a line without breaking a progress bar.

    A closed pipe (``ae info | head -1``) is no error: the work goes on, and later lines are dropped.

    Args:
        text: the line.
        file: default: standard output.
    """
    stream = sys.stdout if file is None else file
    try:
        tqdm.write(text, file=stream)
        stream.flush()
    except BrokenPipeError:
        # Python flushes the stream again at its exit, which would fail with a second error. So the rest goes nowhere.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def say_error(error: BaseException) -> None:
    """Prints an error that does not end the command, on one line of the error output."""
    say(f"ae: {one_line(error)}", file=sys.stderr)


@cache
def remark(text: str) -> None:
    """Prints what is left out, guessed or read in another way than it is written, on one line of the error output.

    A command may read a file several times, so a line is printed once.
    """
    say(f"ae: {one_line(text)}", file=sys.stderr)


def one_line(error: BaseException | str) -> str:
    """Returns the message of an error on one line, or the name of its type if it has no message."""
    return " ".join(str(error).split())[:MAX_LINE] or type(error).__name__


@contextmanager
def errors_name(source: str) -> Iterator[None]:
    """Puts the name of a file before the message of every ValueError inside, if it is not there yet.

    Args:
        source: file name or URL; if it is empty, the error begins with "image".
    """
    try:
        yield
    except ValueError as error:
        start = f"{source or 'image'}: "
        raise ValueError(start + str(error).removeprefix(start)) from None


def list_briefly(names: Sequence[str], most: int = 4) -> str:
    """Returns the first names, and the number of the others: a file can have hundreds."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
