"""A folder of images with annotations: the list of images, their encoded files and their pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Generic, Self, TypeVar

from associative_embedding.data.readers.tar_shards import Shards, open_shards
from associative_embedding.io.console import remark
from associative_embedding.io.decode_images import check_whole, decode
from associative_embedding.io.image_names import find_named
from associative_embedding.io.images import read_file
from associative_embedding.io.reading import PLAIN, Reading
from associative_embedding.structures.arrays import Array


@dataclass(frozen=True)
class ImageRecord:
    """One image before its file is read.

    Attributes:
        image_id: unique in its data set.
        file_name: relative to the folder of images.
        size: (H, W) as the annotations state it, or None if they do not.
        annotated: whether the image has annotations, whose coordinates depend on its EXIF orientation.
    """

    image_id: int
    file_name: str
    size: tuple[int, int] | None

    @property
    def annotated(self) -> bool:
        return True


Record = TypeVar("Record", bound=ImageRecord)


class ImageFolder(Generic[Record]):
    """Images on disk, one record each: the common part of all data sets. A subclass makes samples of records.

    Args:
        images: the folder that each ``file_name`` is relative to, or a folder of tar shards (`tar_shards`).
        records: one for each image.
        source: the annotations, for messages.
        cache: read all files now and hold their bytes in memory.

    Raises:
        ValueError: for an image that is missing, outside of the folder or, if cached, damaged.
    """

    def __init__(self, images: str, records: Iterable[Record], source: str, *, cache: bool) -> None:
        self.folder, self.source = Path(images), source
        self.shards = open_shards(self.folder)
        # all names now: a missing file would otherwise stop a training after hours
        self.records = with_files(self.folder, list(records), source, self.shards)
        self.reading = PLAIN
        self._bytes: dict[Path, bytes] = self._read() if cache else {}

    def __len__(self) -> int:
        return len(self.records)

    @property
    def image_ids(self) -> list[int]:
        """The ids of the images, in the order of the data set."""
        return [record.image_id for record in self.records]

    def select(self, keep: Callable[[int], bool]) -> Self:
        """Returns the images whose id passes a test, for example ``data.select(held_out)``; cached files are shared."""
        part = copy(self)  # shallow: the cached bytes are not copied
        part.records = [record for record in self.records if keep(record.image_id)]
        return part

    def read_as(self, reading: Reading) -> Self:
        """Returns the same images, of which other planes, channels or values are read."""
        other = copy(self)
        other.reading = reading
        return other

    def cached(self) -> Self:
        """Returns the same images with their encoded files in memory."""
        copied = copy(self)
        copied._bytes = self._read()
        return copied

    def files(self, record: Record) -> list[Path]:
        """Returns all files that are read for an image."""
        return [self.folder / record.file_name]

    def _read(self) -> dict[Path, bytes]:
        found = {path: self._load(path) for record in self.records for path in self.files(record)}
        for path, data in found.items():
            check_whole(data, str(path), self.reading)
        return found

    def _load(self, path: Path) -> bytes:
        if self.shards is None:
            return read_file(str(path))
        return self.shards.read(path.relative_to(self.folder).as_posix())

    def image_size(self, index: int) -> tuple[int, int] | None:
        """Returns (H, W) as the annotations state it, without decoding the image; None if they do not."""
        return self.records[index].size

    def encoded(self, path: Path) -> bytes:
        """Returns the bytes of a file, from the cache if it is there."""
        return self._bytes.get(path) or self._load(path)

    def pixels(self, record: Record) -> Array:
        """Returns the image ``(H, W, 3)`` uint8 RGB, in the orientation that its annotations refer to.

        Raises:
            ValueError: for an image that cannot be read, or has another size than its annotations state.
        """
        path = self.folder / record.file_name
        turn = partial(annotated_upright, record, self.source, str(path))
        image = decode(self.encoded(path), str(path), turn=turn, reading=self.reading)
        height, width = image.shape[:2]
        if record.size is not None and record.size != (height, width):
            raise ValueError(
                f"{path}: image {record.image_id} is {width}x{height} (width x height) but the annotations "
                f"say {record.size[1]}x{record.size[0]}"
            )
        return image


def check_folder(images: str) -> None:
    """Checks that there is a folder of images.

    Raises:
        ValueError: for an empty name, or one that is no folder.
    """
    if not images:
        raise ValueError("a source needs images, the folder of its files, or shards")
    if not Path(images).is_dir():
        raise ValueError(f"{images}: no such folder of images")


def annotated_upright(record: ImageRecord, source: str, name: str, orientation: int, stored: tuple[int, int]) -> bool:
    """Returns whether annotations refer to the image after its EXIF orientation is applied, by their stated size.

    Tools differ: some show the stored pixels, others the upright image. After a quarter turn the sizes differ, too.

    Args:
        record: the image.
        source: the annotations, for the line that says when images stay as they are stored.
        name: the file.
        orientation: 2 to 8.
        stored: (H, W) before it is applied.

    Raises:
        ValueError: when the size leaves it open, as after half a turn or for a square image.
    """
    height, width = stored
    if orientation >= 5 and height != width and record.size is not None:
        if record.size == stored:
            remark(f"{source}: states the sizes of images before their EXIF orientation; such images are not turned")
        return record.size == (width, height)
    if record.annotated:
        raise ValueError(
            f"{name}: image {record.image_id} has the EXIF orientation {orientation}, so which way its annotations are "
            "meant is not known; turn the pixels (mogrify -auto-orient) or remove the tag (exiftool -Orientation=)"
        )
    return True


def with_files(folder: Path, records: list[Record], source: str, shards: Shards | None = None) -> list[Record]:
    """Returns the records of images whose files exist, with the names that these have in the folder (`find_named`).

    Raises:
        ValueError: for images without a file, the first by its name; arguments: see `check_image_path`.
    """
    faults: dict[str, ValueError] = {}
    for record in records:
        try:
            check_image_path(folder, record, source, shards)
        except ValueError as error:
            faults[record.file_name] = error
    found = find_named(folder, faults, source) if faults and shards is None else {}
    if left := [fault for name, fault in faults.items() if name not in found]:
        raise ValueError(f"{left[0]}; {len(left)} of {len(records)} images have no file" if left[1:] else left[0])
    return [replace(r, file_name=found[r.file_name]) if r.file_name in found else r for r in records]


def check_image_path(folder: Path, record: ImageRecord, source: str, shards: Shards | None = None) -> None:
    """Checks that the file of an image exists, and that its name cannot lead out of the folder.

    Args:
        folder: the folder of images.
        record: the image.
        source: the annotations, for messages.
        shards: the shards of the folder, or None if it contains plain files.

    Raises:
        ValueError: for a name that is absolute or leaves the folder, or a file that is missing.
    """
    name = record.file_name
    where = f"{source}: image {record.image_id}: 'file_name' {name!r}"
    # a COCO json may come from any system, so both kinds of separators and drives count
    parts = (*PurePosixPath(name).parts, *PureWindowsPath(name).parts)
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    if not name or "\0" in name or ".." in parts or absolute:
        raise ValueError(f"{where} does not stay within the folder of images")
    there = (folder / name).is_file() if shards is None else name in shards
    if not there:
        raise ValueError(f"{where} is missing in {folder}")
