"""``ae data shard``: a COCO json and its images as tar files (see `shards`)."""

from __future__ import annotations

import io
import json
import os
import tarfile
import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from associative_embedding.data.readers.coco_entries import annotations_of_images, int_id, name_and_size
from associative_embedding.data.readers.image_folder import (
    ImageRecord,
    check_folder,
    check_image_path,
    read_image_bytes,
)
from associative_embedding.data.readers.tar_shards import ANNOTATIONS, INDEX
from associative_embedding.io.coco_json import read_coco
from associative_embedding.io.files import write_json

Places = dict[str, list[int]]  # file name -> tar, offset, length, CRC-32


def write_shards(annotations: str, images: str, output: str, size: int) -> Path:
    """Write the shards of a data set; the path of their index.

    The index is written last: without it, a run was stopped, and can be started again.

    Args:
        annotations: a COCO json.
        images: folder of its images.
        output: folder of the shards.
        size: images of a tar.

    Raises:
        ValueError: for annotations or an image that cannot be read, or a folder that holds shards already.
        OSError: when they cannot be written.
    """
    if size < 1:
        raise ValueError(f"size must be 1 or more images of a tar, not {size}")
    folder, document = Path(output), read_coco(annotations)
    if (folder / INDEX).exists():
        raise ValueError(f"{folder}: holds shards already; choose another folder, or remove it")
    check_folder(images)
    categories = {int_id(category, f"{annotations}: category") for category in document["categories"]}
    of_image = annotations_of_images(annotations, document, categories)
    entries = document["images"]
    for entry in entries:
        check_image_path(Path(images), record_of(annotations, entry), annotations)
    tars: list[dict[str, Any]] = []
    places: Places = {}
    for first in range(0, len(entries), size):
        name = f"shard-{len(tars):06d}.tar"
        with whole_file(folder / name) as path:
            rows = [(entry, of_image[entry["id"]]) for entry in entries[first : first + size]]
            places |= write_tar(path, len(tars), rows, Path(images))
            tars.append({"name": name, "bytes": path.stat().st_size})
    write_json(folder / ANNOTATIONS, document)
    write_json(folder / INDEX, {"version": 1, "tars": tars, "images": places})
    return folder / INDEX


def record_of(annotations: str, entry: dict[str, Any]) -> ImageRecord:
    return ImageRecord(entry["id"], *name_and_size(annotations, entry))


def write_tar(path: Path, number: int, rows: Sequence[tuple[dict[str, Any], Any]], images: Path) -> Places:
    """One tar of image entries and their annotations; where its images lie."""
    places: Places = {}
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for entry, annotations in rows:
            data = read_image_bytes(images / entry["file_name"])
            key = f"{entry['id']:012d}"  # no dot in it: all after the first one is WebDataset's extension
            offset = add(tar, f"{key}{Path(entry['file_name']).suffix.lower() or '.bin'}", data)
            places[PurePosixPath(entry["file_name"]).as_posix()] = [number, offset, len(data), zlib.crc32(data)]
            add(tar, f"{key}.json", json.dumps({"image": entry, "annotations": annotations}).encode())
    return places


def add(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    """Add a file; its first byte's place in the tar. Nothing of the machine is noted: the same data, the same tar."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
    return int(tar.offset) - -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """The path of a temporary file that gets its name when all went well, and else is removed.

    Raises:
        OSError: one line with the path.
    """
    partial = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, target)
    except OSError as error:
        raise OSError(f"cannot write {target}: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
