"""Lines for people: results, and errors on one line each."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TextIO

from tqdm import tqdm

from associative_embedding.io.counts import counted
from associative_embedding.io.memory_errors import lacks_memory
from associative_embedding.io.standard_streams import give_up

MAX_LINE = 1000  # characters of an error: some libraries put a whole traceback into theirs
MOST_FILES = 5  # that are named for one kind of remark
# Characters that move the cursor or turn the direction of the text, and the bytes of file names that are not UTF-8,
# which Python keeps as U+DC80 to U+DCFF. File names may contain all of them.
CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def say(text: str, file: TextIO | None = None) -> None:
    """Prints a line without breaking a progress bar.

    Characters that a terminal would obey or cannot show are written as ``\\x1b``. The work goes on, and later lines are
    dropped, if the stream is closed or cannot be written; see `standard_streams`.

    Args:
        text: the line.
        file: default: standard output.
    """
    stream = sys.stdout if file is None else file
    if stream is None or getattr(stream, "closed", False):
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        tqdm.write(escaped(text).encode(encoding, "backslashreplace").decode(encoding), file=stream)
        stream.flush()
    except OSError as error:
        give_up(stream, error)


def say_error(error: BaseException | str) -> None:
    """Prints an error that does not end the command, on one line of the error output."""
    say(f"ae: {one_line(error)}", file=sys.stderr)


@cache
def remark(text: str) -> None:
    """Prints what is left out, guessed or read in another way than it is written, on one line of the error output.

    A command may read a file several times, so a line is printed once.
    """
    say(f"ae: {one_line(text)}", file=sys.stderr)


_remarked: dict[str, set[str]] = {}  # a kind of remark -> the files that it applies to


def remark_file(name: str, text: str) -> None:
    """Prints a remark about one file of many: a line for each of the first files, and `count_remarks` for the others.

    Args:
        name: of the file.
        text: the remark; remarks that differ in numbers alone are of one kind.
    """
    names = _remarked.setdefault(re.sub(r"\d+", "N", text), set())
    if name not in names and len(names) < MOST_FILES:
        say(f"ae: {visible(name)}: {one_line(text)}", file=sys.stderr)
    names.add(name)


def count_remarks() -> None:
    """Prints to how many more files each kind of remark applies, and begins anew; for the end of a command."""
    for text, names in _remarked.items():
        if (more := len(names) - MOST_FILES) > 0:
            say(f"ae: {more} more files: {text}", file=sys.stderr)
    _remarked.clear()


def escaped(text: str) -> str:
    """Returns a text without control characters, but for line breaks and tabs: ``\\x1b`` in place of the character."""

    def escape(match: re.Match[str]) -> str:
        code = ord(match[0])
        code -= 0xDC00 if 0xDC80 <= code <= 0xDCFF else 0  # the byte
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

    return CONTROL.sub(escape, text)


def visible(text: object) -> str:
    """Returns a text that came from outside, such as a file name, without a control character or line break.

    A name with a line break in it could otherwise print lines of its own, which look like ours.
    """
    return escaped(str(text)).replace("\n", "\\x0a").replace("\t", "\\x09")


def one_line(error: BaseException | str) -> str:
    """Returns the message of an error on one line, or the name of its type if it has no message."""
    return " ".join(str(error).split())[:MAX_LINE] or type(error).__name__


@contextmanager
def errors_name(source: str) -> Iterator[None]:
    """Puts the name of a file before the message of every ValueError inside, if it is not there yet.

    Errors of all libraries about too little memory become a MemoryError with that name.

    Args:
        source: file name or URL; if it is empty, the error begins with "image".
    """
    start = f"{source or 'image'}: "
    try:
        yield
    except ValueError as error:
        raise ValueError(start + str(error).removeprefix(start)) from None
    except Exception as error:
        if not lacks_memory(error):
            raise
        raise MemoryError(f"{start}there is not enough memory for it") from None


def list_briefly(names: Sequence[str], most: int = 4) -> str:
    """Returns the first names, and the number of the others: a file can have hundreds."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


class Notes:
    """Collects what a file has that is left out or guessed, to say it in one line for each reason.

    Args:
        where: the file.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.found: dict[tuple[str, str], list[str]] = {}

    def add(self, reason: str, noun: str, name: str) -> None:
        """Notes a reason for one more thing, such as an ``image`` or an ``annotation``, with its name or id."""
        self.found.setdefault((reason, noun), []).append(name)

    def say(self) -> None:
        """Prints the lines: the number of things, the first names, the reason."""
        for (reason, noun), names in self.found.items():
            remark(f"{self.where}: {counted(len(names), noun)} ({list_briefly(names)}): {reason}")
