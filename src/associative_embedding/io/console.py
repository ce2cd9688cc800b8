"""Lines for people: results, and errors that say what is wrong, where, in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm

MAX_LINE = 1000  # characters of an error: some libraries put a whole traceback into theirs


def say(text: str, file: TextIO | None = None) -> None:
    """Print a line without breaking a progress bar.

    A closed pipe (``ae info | head -1``) is no error: the work goes on, and nothing more is printed.

    Args:
        file: default: standard output.
    """
    stream = sys.stdout if file is None else file
    try:
        tqdm.write(text, file=stream)
        stream.flush()
    except BrokenPipeError:
        # Python would complain at its exit about text that it cannot flush, so that text must go somewhere.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def one_line(error: BaseException | str) -> str:
    """Returns the message of an error on one line, or the name of its type where it has no message."""
    return " ".join(str(error).split())[:MAX_LINE] or type(error).__name__


@contextmanager
def errors_name(source: str) -> Iterator[None]:
    """Put the name of a file before the message of every ValueError inside.

    Args:
        source: file name or URL; "" = the error says "image".
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{source or 'image'}: {error}") from None
