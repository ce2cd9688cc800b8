"""Counts the samples that an mp4 states, before FFmpeg makes an index of them, of seventy bytes for each.

A few bytes can state millions of samples of one size. Format: ISO/IEC 14496-12, which QuickTime shares.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

FIRST = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"moof")  # kinds of a file's first box
# Boxes of boxes. The samples are in moov, trak, mdia, minf, stbl or in moof, traf; FFmpeg finds them in others, too.
OUTER = frozenset(b"moov mdia minf stbl moof traf dinf edts mvex udta wave ilst sinf schi".split())
TRACK, HANDLER, TIMES, FRAGMENT = b"trak", b"hdlr", b"stts", b"trun"
SIZES = (b"stsz", b"stz2")
SAMPLE_BYTES = 4  # of the file, for each sample; a frame of a still picture has about twenty
SPARE = 1000  # samples that a file of any size may have


@dataclass(frozen=True)
class Box:
    """A box of a file: its kind, and the first and one past the last place of its content."""

    kind: bytes
    first: int
    last: int


def too_many_samples(path: str) -> bool:
    """Returns whether a file is an mp4 that states more samples than its size explains.

    Raises:
        OSError: when it cannot be read.
    """
    with open(path, "rb") as file:
        length = os.fstat(file.fileno()).st_size
        if file.read(8)[4:] not in FIRST:
            return False
        left = SPARE + length // SAMPLE_BYTES
        for box in inner_boxes(file, Box(b"", 0, length)):
            if box.kind == TRACK:
                left -= samples_of_track(file, box)
            elif box.kind == FRAGMENT:
                left -= numbers_of(file, box)[0]
            if left < 0:
                return True
    return False


def samples_of_track(file: BinaryIO, track: Box) -> int:
    """Returns the number of samples of a track of which FFmpeg makes an index.

    Sound without compression has a sample for each amplitude, all of duration 1: of these FFmpeg makes none.
    """
    count, kinds, times = 0, set(), []
    for box in inner_boxes(file, track, OUTER | {TRACK}):
        if box.kind in SIZES:
            count += numbers_of(file, box)[1]
        elif box.kind == HANDLER:
            kinds.add(numbers_of(file, box)[1].to_bytes(4))
        elif box.kind == TIMES:
            times.append(numbers_of(file, box)[::2])
    plain_sound = kinds == {b"soun"} and times == [(1, 1)]
    return 0 if plain_sound else count


def inner_boxes(file: BinaryIO, outer: Box, kinds: frozenset[bytes] = OUTER) -> Iterator[Box]:
    """Yields the boxes inside of a box; in place of boxes of some kinds, those inside of them."""
    left = [outer]
    while left:
        for box in boxes(file, left.pop()):
            if box.kind in kinds:
                left.append(box)
            else:
                yield box


def boxes(file: BinaryIO, outer: Box) -> Iterator[Box]:
    """Yields the boxes right inside of a box."""
    place = outer.first
    while place + 8 <= outer.last:
        file.seek(place)
        size, kind = struct.unpack(">I4s", file.read(8).ljust(8, b"\0"))
        first = place + 8
        if size == 1:
            size, first = int.from_bytes(file.read(8)), place + 16
        last = outer.last if size == 0 else place + size
        if last <= place:  # damaged; FFmpeg has the message
            return
        yield Box(kind, first, min(last, outer.last))
        place = last


def numbers_of(file: BinaryIO, box: Box) -> tuple[int, int, int]:
    """Returns the first three numbers of a box, behind its version and flags; 0 where it ends before."""
    file.seek(box.first + 4)
    data = file.read(max(0, min(12, box.last - box.first - 4))).ljust(12, b"\0")
    first, second, third = struct.unpack(">III", data)
    return first, second, third
