"""Feeds changed copies of valid files to a reader: a seed gives the same changes again.

A find is an error of another class than the target names, an error of several lines, more than `MEGABYTES` more
memory or `SECONDS` more time than the file explains, or the end of the process.
"""

from __future__ import annotations

import random
import re
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MEGABYTES = 1024  # by which one input may raise the peak
SECONDS = 20.0
MOST_BYTES = 200_000  # of an input

# Values that readers trip over, as they stand in a text of any format.
WORDS = [
    b"0", b"-1", b"1e308", b"1e400", b"NaN", b"nan", b"Infinity", b"-Infinity", b"null", b"true", b"[]", b"{}", b'""',
    b"9223372036854775808", b"-9223372036854775809", b"4294967296", b"9" * 400, b"9" * 5000, b"0.5", b"x", b"''", b"~",
    b"[" * 300, b"{\"a\":" * 300, b"\xff\xfe", b"\xef\xbb\xbf", b"\x00", b"\x1b[2J", b"\xe2\x80\xae", b"../../etc",
    b"/dev/zero", b"&a", b"*a", b"!!python/name:os.system", b"<!ENTITY a 'b'>", b"%s%n", b"a" * 3000, b"-", b":", b",",
]  # fmt: skip
NUMBERS = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]
TOKEN = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\"[^\"\n]*\"|[A-Za-z_][\w.-]*|[\[\]{}<>,:]")


@dataclass(frozen=True)
class Target:
    """A reader under test.

    Attributes:
        read: reads an input.
        seeds: returns valid inputs.
        errors: what it may raise, with a message of one line.
        text: the inputs are texts, so words are exchanged, too.
    """

    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    errors: tuple[type[Exception], ...] = (ValueError, OSError)
    text: bool = False


class FindError(AssertionError):
    """An input that a reader does not withstand."""


def change_bytes(data: bytearray, rng: random.Random) -> None:
    """Changes, adds, removes or repeats some bytes."""
    place = rng.randrange(len(data) + 1)
    kind = rng.randrange(7)
    if kind == 0 and data:
        data[place % len(data)] ^= 1 << rng.randrange(8)
    elif kind == 1 and data:
        data[place % len(data)] = rng.randrange(256)
    elif kind == 2:
        size = rng.choice((1, 2, 4, 8))
        number = rng.choice(NUMBERS) % 256**size
        data[place : place + size] = number.to_bytes(size, rng.choice(("little", "big")))
    elif kind == 3:
        del data[place : place + rng.choice((1, 2, 4, 16, 64, 1024))]
    elif kind == 4:
        data[place:place] = rng.randbytes(rng.choice((1, 2, 4, 16, 64)))
    elif kind == 5:
        part = data[place : place + rng.choice((4, 16, 64, 512))]
        data[place:place] = part * rng.choice((1, 2, 8, 50))
    else:
        del data[place:]


def change_text(data: bytearray, rng: random.Random) -> None:
    """Exchanges a word, or removes, repeats or moves a line."""
    kind = rng.randrange(5)
    if kind < 3 and (tokens := list(TOKEN.finditer(bytes(data)))):
        token = rng.choice(tokens)
        other = rng.choice(tokens)[0] if rng.random() < 0.3 else rng.choice(WORDS)
        data[token.start() : token.end()] = b'"' + other + b'"' if rng.random() < 0.1 else other
        return
    lines = bytes(data).split(b"\n")
    place = rng.randrange(len(lines))
    if kind == 3:
        lines[place:place] = [lines[rng.randrange(len(lines))]] * rng.choice((1, 2, 30))
    else:
        del lines[place]
    data[:] = b"\n".join(lines)


def changed(seeds: list[bytes], rng: random.Random, text: bool) -> bytes:
    """Returns a valid input with some changes."""
    data = bytearray(rng.choice(seeds))
    if rng.random() < 0.05:  # the head of one and the tail of another
        other = rng.choice(seeds)
        data[rng.randrange(len(data) + 1) :] = other[rng.randrange(len(other) + 1) :]
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        (change_text if text and rng.random() < 0.8 else change_bytes)(data, rng)
    return bytes(data[:MOST_BYTES])


def check(target: Target, data: bytes) -> None:
    """Reads one input.

    Raises:
        FindError: if the target does not withstand it.
    """
    start, peak = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        target.read(data)
    except target.errors as error:
        if "\n" in str(error) or not str(error):
            raise FindError(f"a message of several lines or none: {error!r:.300}") from error
    except Exception as error:
        raise FindError(f"{type(error).__name__}: {error!s:.300}") from error
    if (seconds := time.monotonic() - start) > SECONDS:
        raise FindError(f"{seconds:.0f} s")
    if (more := (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) // 1024) > MEGABYTES:
        raise FindError(f"{more} MB")


def inputs(target: Target, seed: int) -> Iterator[bytes]:
    """Yields the valid inputs, and then changed ones without end."""
    seeds, rng = target.seeds(), random.Random(seed)
    yield from seeds
    while True:
        yield changed(seeds, rng, target.text)


def work(target: Target, seed: int, seconds: float, folder: Path) -> int:
    """Checks inputs for some seconds; returns their number. The last one is in the file ``current``.

    The inputs of finds are written to files ``find-...``, with their reasons in ``...txt``.
    """
    deadline, runs = time.monotonic() + seconds, 0
    with open(folder / "current", "wb", buffering=0) as current:
        for data in inputs(target, seed):
            if time.monotonic() > deadline:
                return runs
            current.seek(0)
            current.truncate()
            current.write(data)
            with suppress(FindError):
                try:
                    check(target, data)
                except FindError as find:
                    keep(folder, data, str(find))
                    raise
            runs += 1
    return runs


def keep(folder: Path, data: bytes, reason: str) -> None:
    """Writes the input of a find, unless one with the same reason is known."""
    kind = re.sub(r"[^A-Za-z]+", "-", reason)[:80]
    if not (folder / f"find-{kind}.txt").exists():
        (folder / f"find-{kind}").write_bytes(data)
        (folder / f"find-{kind}.txt").write_text(reason, encoding="utf-8", errors="backslashreplace")
