"""Packs a COCO json and its images into tar files for ``ae data shard``, in the format that `tar_shards` reads."""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from associative_embedding.data.readers.coco_entries import annotations_of_images, int_id, name_and_size
from associative_embedding.data.readers.image_folder import ImageRecord, check_folder, with_files
from associative_embedding.data.readers.tar_shards import ANNOTATIONS, INDEX
from associative_embedding.io.coco_json import read_coco
from associative_embedding.io.decode_images import check_whole
from associative_embedding.io.files import write_json
from associative_embedding.io.images import read_file
from associative_embedding.io.outputs import check_output, marked, own_form, own_json
from associative_embedding.io.reading import PLAIN, Reading
from associative_embedding.io.temporary_files import partial_file

Places = dict[str, list[int]]  # file name -> number of the tar, first byte, length in bytes, CRC-32

COMMAND = "ae data shard"
# The header of a tar's first file, as `add_file` writes it: a name of 12 digits, and zeros for owner and time.
OWN_TAR = own_form(rb"\d{12}\.\w+\0+0000644\x000000000\x000000000\x00\d{11}\x0000000000000\x00")


def write_shards(annotations: str, images: str, output: str, size: int, reading: Reading = PLAIN) -> Path:
    """Writes the shards of a data set.

    Files are packed as they are, with all of their planes and channels: a recipe states again what it reads of them.
    The index is written last: a folder without an index is from a run that was stopped, and can be written again.

    Args:
        annotations: path of a COCO json.
        images: folder of its images.
        output: folder of the shards.
        size: number of images in a tar.
        reading: what must be readable in each image.

    Returns:
        the path of the index.

    Raises:
        ValueError: for annotations or an image that cannot be read, or a folder that contains shards already.
        OSError: when a file cannot be written.
    """
    if size < 1:
        raise ValueError(f"size, the number of images in a tar, must be at least 1, not {size}")
    folder, document = Path(output), read_coco(annotations)
    if (folder / INDEX).exists():
        raise ValueError(f"{folder}: contains shards already; choose another folder, or remove it")
    check_folder(images)
    check_shards(folder, -(-len(document["images"]) // size), annotations)
    categories = {int_id(category, f"{annotations}: category") for category in document["categories"]}
    of_image = annotations_of_images(annotations, document, categories)
    # all before the first tar is written: it may be large
    records = with_files(Path(images), [record_of(annotations, entry) for entry in document["images"]], annotations)
    pairs = zip(document["images"], records, strict=True)
    entries = [{**entry, "file_name": record.file_name} for entry, record in pairs]
    tars: list[dict[str, Any]] = []
    places: Places = {}
    for first in range(0, len(entries), size):
        name = tar_name(len(tars))
        with whole_file(folder / name) as path:
            rows = [(entry, of_image[entry["id"]]) for entry in entries[first : first + size]]
            places |= write_tar(path, len(tars), rows, Path(images), reading)
            tars.append({"name": name, "bytes": path.stat().st_size})
    write_json(folder / ANNOTATIONS, marked({**document, "images": entries}, COMMAND))
    write_json(folder / INDEX, {"version": 1, "tars": tars, "images": places})
    return folder / INDEX


def check_shards(folder: Path, count: int, annotations: str) -> None:
    """Checks that `write_shards` would overwrite only files of an earlier run that was stopped.

    Args:
        folder: of the shards.
        count: number of tars.
        annotations: path of the COCO json that is read.

    Raises:
        ValueError: for a file that somebody else wrote.
    """
    check_output(folder / ANNOTATIONS, own_json(COMMAND), [annotations])
    for number in range(count):
        check_output(folder / tar_name(number), OWN_TAR)


def tar_name(number: int) -> str:
    """Returns the file name of a tar."""
    return f"shard-{number:06d}.tar"


def record_of(annotations: str, entry: dict[str, Any]) -> ImageRecord:
    """Returns the record of an image entry of a COCO json."""
    return ImageRecord(entry["id"], *name_and_size(annotations, entry))


def write_tar(
    path: Path, number: int, rows: Sequence[tuple[dict[str, Any], Any]], images: Path, reading: Reading
) -> Places:
    """Writes one tar.

    Args:
        path: the file.
        number: of this tar.
        rows: image entries of a COCO json, each with its annotations.
        images: folder of the images.
        reading: what must be readable in each image.

    Returns:
        the places of its images.

    Raises:
        ValueError: for an image that cannot be read.
    """
    places: Places = {}
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for entry, annotations in rows:
            image = str(images / entry["file_name"])
            check_whole(data := read_file(image), image, reading)
            key = f"{entry['id']:012d}"  # no dot in it: all after the first one is WebDataset's extension
            offset = add_file(tar, f"{key}{Path(entry['file_name']).suffix.lower() or '.bin'}", data)
            places[PurePosixPath(entry["file_name"]).as_posix()] = [number, offset, len(data), zlib.crc32(data)]
            add_file(tar, f"{key}.json", json.dumps({"image": entry, "annotations": annotations}).encode())
    return places


def add_file(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    """Adds a file to a tar and returns the place of its first byte."""
    info = tarfile.TarInfo(name)  # without owner and time: the same data give the same tar on every machine
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
    return int(tar.offset) - -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yields the path of a temporary file; at the end it gets the name of the target, after an error it is removed.

    Unlike `atomic_write` it does not need the whole file in memory.

    Raises:
        OSError: one line with the path.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial_file(target) as partial:
            yield partial
    except OSError as error:
        raise OSError(f"cannot write {target}: {error.strerror or error}") from None
