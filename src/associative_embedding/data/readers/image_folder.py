"""The images of an annotated folder: which there are, their files, their pixels."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Generic, Self, TypeVar

import cv2
import numpy as np
from PIL import Image

from associative_embedding.data.readers.tar_shards import Shards, open_shards
from associative_embedding.structures.arrays import Array


@dataclass(frozen=True)
class ImageRecord:
    """What is known of one image before it is read.

    Attributes:
        image_id: unique in its data set.
        file_name: relative to the folder of images.
        size: (H, W) as the annotations state it, or None if they do not.
        annotated: it shows something, so it matters which way the image is turned.
    """

    image_id: int
    file_name: str
    size: tuple[int, int] | None

    @property
    def annotated(self) -> bool:
        return True


R = TypeVar("R", bound=ImageRecord)


class ImageFolder(Generic[R]):
    """What all data sets of annotated images have in common, whatever their records say.

    Args:
        images: the folder that each ``file_name`` is relative to, or one of `shards`.
        records: one an image.
        source: the annotations, for messages.
        cache: hold the encoded files in memory (see `cached`).

    Raises:
        ValueError: for an image that is missing, outside of the folder or, if it is to be cached, truncated.
    """

    def __init__(self, images: str, records: Iterable[R], source: str, *, cache: bool) -> None:
        self.folder, self.source = Path(images), source
        self.records, self.shards = list(records), open_shards(self.folder)
        for record in self.records:
            check_image_path(self.folder, record, source, self.shards)
        self._bytes: dict[Path, bytes] = self._read() if cache else {}

    def __len__(self) -> int:
        return len(self.records)

    @property
    def image_ids(self) -> list[int]:
        return [record.image_id for record in self.records]

    def select(self, keep: Callable[[int], bool]) -> Self:
        """The images whose id passes, e.g. ``data.select(held_out)``; the cached files are shared."""
        part = copy(self)
        part.records = [record for record in self.records if keep(record.image_id)]
        return part

    def cached(self) -> Self:
        """The same images, their encoded files held in memory."""
        copied = copy(self)
        copied._bytes = self._read()
        return copied

    def files(self, record: R) -> list[Path]:
        """All that is read for an image."""
        return [self.folder / record.file_name]

    def _read(self) -> dict[Path, bytes]:
        return {path: self._load(path) for record in self.records for path in self.files(record)}

    def _load(self, path: Path) -> bytes:
        if self.shards is None:
            return read_image_bytes(path)
        return self.shards.read(path.relative_to(self.folder).as_posix())

    def image_size(self, index: int) -> tuple[int, int] | None:
        """(H, W) as the annotations state it, without decoding the image; None if they do not."""
        return self.records[index].size

    def encoded(self, path: Path) -> bytes:
        return self._bytes.get(path) or self._load(path)

    def pixels(self, record: R) -> Array:
        """``(H, W, 3)`` uint8 RGB, turned as it was annotated.

        Raises:
            ValueError: for an image that cannot be read, or has another size than its annotations say.
        """
        path = self.folder / record.file_name
        data = self.encoded(path)
        image = decode_image(data, str(path), upright=stands_turned(data, record, str(path)))
        height, width = image.shape[:2]
        if record.size is not None and record.size != (height, width):
            raise ValueError(
                f"{path}: image {record.image_id} is {width}x{height} (width x height) but the annotations "
                f"say {record.size[1]}x{record.size[0]}"
            )
        return image


def check_folder(images: str) -> None:
    if not images:
        raise ValueError("a source needs images, the folder of its files, or shards")
    if not Path(images).is_dir():
        raise ValueError(f"{images}: no such folder of images")


def read_image_bytes(path: Path) -> bytes:
    """The encoded file.

    Raises:
        ValueError: if it cannot be read or its end is missing (decoders fill the rest with grey and go on).
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


def stands_turned(data: bytes, record: ImageRecord, name: str) -> bool:
    """Whether the annotations are of the image as its EXIF orientation shows it, by the size that they state.

    Raises:
        ValueError: when the size does not tell, as for half a turn or a square image.
    """
    orientation, (height, width) = read_orientation(data)
    if orientation == 1 or not record.annotated:  # without annotations both are right
        return False
    if orientation < 5 or height == width or record.size is None:
        raise ValueError(
            f"{name}: image {record.image_id} has the EXIF orientation {orientation}, so which way its annotations are "
            "meant is not known; turn the pixels (mogrify -auto-orient) or remove the tag (exiftool -Orientation=)"
        )
    return record.size == (width, height)


def read_orientation(data: bytes) -> tuple[int, tuple[int, int]]:
    """The EXIF orientation (1 = upright, also for broken metadata) and the size (H, W) as stored; only headers."""
    if b"Exif" not in data and b"eXIf" not in data:
        return 1, (0, 0)
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data)) as image:
            warnings.simplefilter("ignore")
            orientation = int(image.getexif().get(0x0112, 1))
            return orientation if 1 <= orientation <= 8 else 1, (image.height, image.width)
    except Exception:  # as viewers do, which show the pixels as stored
        return 1, (0, 0)


def decode_image(data: bytes, name: str, *, upright: bool = False) -> Array:
    """``(H, W, 3)`` uint8 RGB. The EXIF orientation is applied if `upright`."""
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"{name}: not an image that can be decoded")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def check_image_path(folder: Path, record: ImageRecord, source: str, shards: Shards | None = None) -> None:
    name = record.file_name
    where = f"{source}: image {record.image_id}: 'file_name' {name!r}"
    parts = (*PurePosixPath(name).parts, *PureWindowsPath(name).parts)
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    if not name or "\0" in name or ".." in parts or absolute:
        raise ValueError(f"{where} does not stay within the folder of images")
    there = (folder / name).is_file() if shards is None else name in shards
    if not there:
        raise ValueError(f"{where} is missing in {folder}")
