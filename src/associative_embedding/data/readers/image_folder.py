"""A folder of images with annotations: the list of images, their encoded files and their pixels."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Generic, Self, TypeVar

import cv2
import numpy as np
from PIL import Image

from associative_embedding.data.readers.tar_shards import Shards, open_shards
from associative_embedding.io.image_names import find_named
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
        ValueError: for an image that is missing, outside of the folder or, if cached, truncated.
    """

    def __init__(self, images: str, records: Iterable[Record], source: str, *, cache: bool) -> None:
        self.folder, self.source = Path(images), source
        self.shards = open_shards(self.folder)
        # all names now: a missing file would otherwise stop a training after hours
        self.records = with_files(self.folder, list(records), source, self.shards)
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

    def cached(self) -> Self:
        """Returns the same images with their encoded files in memory."""
        copied = copy(self)
        copied._bytes = self._read()
        return copied

    def files(self, record: Record) -> list[Path]:
        """Returns all files that are read for an image."""
        return [self.folder / record.file_name]

    def _read(self) -> dict[Path, bytes]:
        return {path: self._load(path) for record in self.records for path in self.files(record)}

    def _load(self, path: Path) -> bytes:
        if self.shards is None:
            return read_image_bytes(path)
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
        data = self.encoded(path)
        image = decode_image(data, str(path), upright=annotated_upright(data, record, str(path)))
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


def read_image_bytes(path: Path) -> bytes:
    """Returns the bytes of an image file.

    Raises:
        ValueError: when it cannot be read, or its end is missing: decoders would fill the rest with grey.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot read the image ({error.strerror})") from None
    # an embedded preview ends too, so the end must come after the last scan
    cut_jpeg = data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") <= data.rfind(b"\xff\xda")
    cut_png = data.startswith(b"\x89PNG") and b"IEND" not in data
    if not data or cut_jpeg or cut_png:
        raise ValueError(f"{path}: the image file is truncated")
    return data


def annotated_upright(data: bytes, record: ImageRecord, name: str) -> bool:
    """Returns whether annotations refer to the image after its EXIF orientation is applied, by their stated size.

    Tools differ: some show the stored pixels, others the upright image. After a quarter turn the sizes differ, too.

    Raises:
        ValueError: when the size leaves it open, as after half a turn or for a square image.
    """
    orientation, (height, width) = read_orientation(data)
    if orientation == 1 or not record.annotated:  # without annotations either orientation is right
        return False
    if orientation < 5 or height == width or record.size is None:
        raise ValueError(
            f"{name}: image {record.image_id} has the EXIF orientation {orientation}, so which way its annotations are "
            "meant is not known; turn the pixels (mogrify -auto-orient) or remove the tag (exiftool -Orientation=)"
        )
    return record.size == (width, height)


def read_orientation(data: bytes) -> tuple[int, tuple[int, int]]:
    """Returns the EXIF orientation (1 = upright, also for broken metadata) and the stored size (H, W).

    Only the header is read. The size is 0, 0 for an image without EXIF data.
    """
    if b"Exif" not in data and b"eXIf" not in data:
        return 1, (0, 0)
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data)) as image:
            warnings.simplefilter("ignore")
            orientation = int(image.getexif().get(0x0112, 1))
            return orientation if 1 <= orientation <= 8 else 1, (image.height, image.width)
    except Exception:  # viewers, too, show the pixels as stored when the metadata are broken
        return 1, (0, 0)


def decode_image(data: bytes, name: str, *, upright: bool = False) -> Array:
    """Returns ``(H, W, 3)`` uint8 RGB; `upright` applies the EXIF orientation.

    Raises:
        ValueError: for bytes that are not an image.
    """
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"{name}: not an image that can be decoded")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def with_files(folder: Path, records: list[Record], source: str, shards: Shards | None = None) -> list[Record]:
    """Returns the records of images whose files exist, with the names that these have in the folder (`find_named`).

    Raises:
        ValueError: for the first image without a file; arguments: see `check_image_path`.
    """
    faults: dict[str, ValueError] = {}
    for record in records:
        try:
            check_image_path(folder, record, source, shards)
        except ValueError as error:
            faults[record.file_name] = error
    found = find_named(folder, faults, source) if faults and shards is None else {}
    for name, fault in faults.items():
        if name not in found:
            raise fault
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
