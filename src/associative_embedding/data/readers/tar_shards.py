"""Reads images from a few large tar files instead of many small files, in any order by means of an index.

A folder of shards contains:

- ``shard-000000.tar`` ...: images and their annotations as ``<key>.jpg`` and ``<key>.json``, as WebDataset names them;
- ``annotations.json``: the whole COCO json, because records are needed before the images are read;
- ``shards.json``: the index, which tar and which place in it each image has.

Nothing is ever extracted. A tar may be a link to another disk. Formats: POSIX ustar (IEEE 1003.1);
https://github.com/webdataset/webdataset (naming of members).
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from associative_embedding.io.text_files import decode_text

INDEX, ANNOTATIONS = "shards.json", "annotations.json"
TAR = re.compile(r"[\w-]+\.tar")  # without a separator, so that a name cannot leave the folder
MAX_BYTES = 500 * 2**20  # of an image, as `io.images` reads it
ADVICE = "make the shards anew with ae data shard"


@dataclass(frozen=True)
class Place:
    """The place of an image: number of the tar, first byte, length in bytes, and CRC-32 of the bytes."""

    tar: int
    offset: int
    length: int
    crc: int


class Shards:
    """The images of a folder of shards, by their file names in the annotations.

    Args:
        folder: the folder, with its index.

    Raises:
        ValueError: for a broken index, or a tar that is missing or has another length than in the index.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        document = read_index(folder / INDEX)
        self.tars = [folder / check_tar_name(entry["name"], folder) for entry in document["tars"]]
        sizes = [entry["bytes"] for entry in document["tars"]]
        for path, size in zip(self.tars, sizes, strict=True):
            check_size(path, size)
        self.places = {name: Place(*numbers) for name, numbers in document["images"].items()}
        for name, place in self.places.items():
            # a wrong place would read the bytes of another image
            if place.tar >= len(sizes) or place.offset + place.length > sizes[place.tar] or place.length > MAX_BYTES:
                raise ValueError(f"{folder / INDEX}: image {name!r} lies outside of its tar; {ADVICE}")

    def __contains__(self, name: str) -> bool:
        return PurePosixPath(name).as_posix() in self.places

    def read(self, name: str) -> bytes:
        """Returns the bytes of an image file.

        Raises:
            ValueError: when the tar cannot be read, or the bytes differ from those that were written.
        """
        place = self.places[name]
        path = self.tars[place.tar]
        try:
            with open(path, "rb") as file:  # opened each time: forked loader processes would share one position
                file.seek(place.offset)
                data = file.read(place.length)
        except OSError as error:
            raise ValueError(f"{path}: cannot read {name} ({error.strerror})") from None
        if zlib.crc32(data) != place.crc:  # large files are copied between disks, and most decoders accept damage
            raise ValueError(f"{path}: {name} is damaged (its checksum differs); {ADVICE}")
        return data


def open_shards(folder: Path) -> Shards | None:
    """Returns the shards of a folder, or None if it contains plain image files."""
    return Shards(folder) if (folder / INDEX).is_file() else None


def read_index(path: Path) -> dict[str, Any]:
    """Reads the index of a folder of shards.

    Raises:
        ValueError: for a file that cannot be read or is no index.
    """
    try:
        text = decode_text(path.read_bytes(), path)
    except OSError as error:
        raise ValueError(f"{path}: cannot read the index ({error.strerror})") from None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a json file ({error}); {ADVICE}") from None
    if not is_index(document):
        raise ValueError(f"{path}: not an index of shards; {ADVICE}")
    return document  # type: ignore[no-any-return]


def is_index(document: Any) -> bool:
    """Returns whether a json document has the form of an index; its numbers are checked against the tars later."""

    def counts(values: Any) -> bool:
        return all(type(value) is int and value >= 0 for value in values)

    if not isinstance(document, dict) or document.get("version") != 1:
        return False
    tars, images = document.get("tars"), document.get("images")
    if not isinstance(tars, list) or not isinstance(images, dict):
        return False
    return all(
        isinstance(tar, dict) and isinstance(tar.get("name"), str) and counts([tar.get("bytes")]) for tar in tars
    ) and all(isinstance(place, list) and len(place) == 4 and counts(place) for place in images.values())


def check_tar_name(name: str, folder: Path) -> str:
    """Returns the name of a tar if it cannot lead out of the folder.

    Raises:
        ValueError: for any other name.
    """
    if not TAR.fullmatch(name):
        raise ValueError(f"{folder / INDEX}: {name!r} is no name of a shard; {ADVICE}")
    return name


def check_size(path: Path, size: int) -> None:
    """Checks that a tar has the number of bytes that its index states.

    Raises:
        ValueError: when it has another number, or cannot be read.
    """
    try:
        found = path.stat().st_size
    except OSError as error:
        raise ValueError(f"{path}: cannot read the shard ({error.strerror})") from None
    if found != size:
        raise ValueError(f"{path}: has {found} bytes, not the {size} of its index: is it truncated? Copy it anew")
