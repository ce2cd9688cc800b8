"""Reads a list of image ids: a text file with one id a line, as published splits have it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from associative_embedding.io.console import list_briefly
from associative_embedding.io.text_files import decode_text


def read_ids(path: str) -> list[int]:
    """Returns the image ids of a text file, in its order, each once; empty lines do not count.

    Raises:
        ValueError: for a file that cannot be read or has no id, or a line that is no id.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot read the image ids ({error.strerror})") from None
    ids: dict[int, None] = {}
    for number, line in enumerate(decode_text(data, path).splitlines(), start=1):
        text = line.strip()
        if not text:
            continue
        # Digits alone: `int` would also read 1_000.
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise ValueError(f"{path}: line {number} must be an image id, a whole number, not {text[:40]!r}")
        ids[int(text)] = None
    if not ids:
        raise ValueError(f"{path}: has no image id; write one a line")
    return list(ids)


def check_ids(path: str, ids: Collection[int], known: Collection[int], source: str) -> None:
    """Checks that all ids of a list are images of a source: the numbers would otherwise be those of another set.

    Args:
        path: the list, for the message.
        ids: what it contains.
        known: the ids of all images of the source.
        source: the annotations, for the message.

    Raises:
        ValueError: for ids that the source does not have.
    """
    if missing := sorted(set(ids) - set(known)):
        names = list_briefly(list(map(str, missing)))
        raise ValueError(f"{path}: {len(missing)} of {len(ids)} image ids are not in {source}: {names}")
