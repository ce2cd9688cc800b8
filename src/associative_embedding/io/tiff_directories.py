"""Finds the directories of all pages of a TIFF, and those inside of pages, before another reader meets them.

Pillow does not know the type that BigTIFF has for places of directories, and so misses other resolutions.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from associative_embedding.io.tiff_files import check_counts

MOST_PAGES = 100_000
SUB_DIRECTORIES = 330  # tag


def read_directories(file: BinaryIO) -> tuple[list[int], bool]:
    """Returns the place of each page, and whether pages have directories inside: other resolutions.

    Checks the number of values in all of them, before tifffile makes numbers of Python of them.

    Raises:
        ValueError: see `check_counts`; for more than `MOST_PAGES` directories, or pages that form a circle.
    """
    file.seek(0)
    header = file.read(16)
    order, big = "<" if header.startswith(b"II") else ">", b"+" in header[2:4]
    form, count, each = (f"{order}Q", f"{order}Q", 20) if big else (f"{order}I", f"{order}H", 12)
    size, short = struct.calcsize(form), struct.calcsize(count)
    pages: list[int] = []
    seen: set[int] = set()
    waiting = [(struct.unpack_from(form, header, 8 if big else 4)[0], True)]
    while waiting:
        place, is_page = waiting.pop()
        if is_page and place in seen:  # tifffile would go round for ever
            raise ValueError(f"after page {len(pages)} comes page {pages.index(place) + 1} again")
        if place == 0 or place in seen:
            continue
        seen.add(place)
        if len(seen) > MOST_PAGES:
            raise ValueError(f"it has more than {MOST_PAGES} pages")
        check_counts(file, header, place)
        file.seek(place)
        rows = file.read(short)
        if len(rows) < short:
            raise ValueError("the directory of a further page lies behind its end")
        number = struct.unpack(count, rows)[0]
        directory = file.read(number * each + size)
        pages += [place] if is_page else []
        waiting += [(inner, False) for inner in sub_directories(file, directory, number, order, big=big)]
        if len(directory) == number * each + size:  # taken before those inside, which may state a page, too
            waiting.append((struct.unpack_from(form, directory, number * each)[0], is_page))
    return pages, len(seen) > len(pages)


def sub_directories(file: BinaryIO, directory: bytes, count: int, order: str, *, big: bool) -> list[int]:
    """Returns the places of the directories inside of one, which has `count` tags."""
    each, form, wide = (20, f"{order}HHQ", 8) if big else (12, f"{order}HHI", 4)
    for start in range(0, min(len(directory), count * each) - each + 1, each):
        tag, kind, values = struct.unpack_from(form, directory, start)
        if tag != SUB_DIRECTORIES:
            continue
        letter = "Q" if kind in (16, 18) else "I"
        data = directory[start + each - wide : start + each]
        if values * struct.calcsize(letter) > wide:
            file.seek(struct.unpack(f"{order}{'Q' if big else 'I'}", data)[0])
            data = file.read(values * struct.calcsize(letter))
        values = min(values, len(data) // struct.calcsize(letter))
        return list(struct.unpack_from(f"{order}{values}{letter}", data))
    return []
