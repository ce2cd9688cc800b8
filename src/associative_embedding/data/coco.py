"""Keypoint annotations in the COCO json format, of any source and for any skeleton.

Keypoints are matched BY NAME, so MPII's or LSP's annotations teach a COCO skeleton what they know. What they do not
know is said in `Sample.labelled` (types) and `Sample.ignore` (regions): neither taught as present nor as absent.
"""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Callable, Container, Iterator, Mapping
from copy import copy
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as rle

from associative_embedding.data.records import Record, read_records
from associative_embedding.rle import decode_runs
from associative_embedding.skeleton import Skeleton
from associative_embedding.types import Array, Sample

ENLARGE = 0.25  # a labelled person's box grows by this part of its sides before all around it is ignored
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class CocoKeypoints:
    """Images with people (or whatever the skeleton is of), a map-style data set of `Sample`.

    A person without any labelled keypoint and a crowd (``iscrowd``) are ignored regions, not people. Keypoints outside
    of the image keep their coordinates but get visibility 0. Of several categories, those that share the most keypoint
    names with the skeleton are read and the others skipped.

    Args:
        annotations: a COCO json, or None: all images of the folder, and none shows a person.
        images: the folder that each ``file_name`` is relative to.
        skeleton: the target; source keypoints of other names are dropped.
        complete: the source labels everybody. If not, all outside of the labelled people's boxes is ignored.
        image_ids: read these only; None = all.
        people_only: leave out images without a labelled person. It has no meaning without annotations.
        cache: hold the encoded files in memory (see `cached`).
        rename: source name -> target name, where they differ (``{"upper_neck": "neck"}``).

    Raises:
        ValueError: for a missing or broken file or entry, with file, id and key.
    """

    def __init__(
        self,
        annotations: str | None,
        images: str,
        skeleton: Skeleton,
        *,
        complete: bool = True,
        image_ids: Container[int] | None = None,
        people_only: bool = True,
        cache: bool = True,
        rename: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(images)
        if not self.folder.is_dir():
            raise ValueError(f"{images}: no such folder of images")
        self.complete = complete
        if annotations is None:
            if not complete:
                raise ValueError(f"{images}: a folder without annotations teaches nothing unless it is complete")
            self.labelled = np.ones(len(skeleton.keypoints), bool)
            records = list(folder_records(self.folder, len(skeleton.keypoints)))
        else:
            records, self.labelled = read_records(annotations, skeleton, rename or {})
            records = [r for r in records if len(r.keypoints) or not people_only]
        self.records = [r for r in records if image_ids is None or r.image_id in image_ids]
        for record in self.records:
            check_image_path(self.folder, record, annotations or images)
        self._bytes: dict[int, bytes] = self._read() if cache else {}

    def __len__(self) -> int:
        return len(self.records)

    @property
    def image_ids(self) -> list[int]:
        return [record.image_id for record in self.records]

    def select(self, keep: Callable[[int], bool]) -> CocoKeypoints:
        """The images whose id passes, e.g. ``data.select(held_out)``; the cached files are shared."""
        part = copy(self)
        part.records = [record for record in self.records if keep(record.image_id)]
        return part

    def cached(self) -> CocoKeypoints:
        """The same images, their encoded files held in memory."""
        copied = copy(self)
        copied._bytes = self._read()
        return copied

    def _read(self) -> dict[int, bytes]:
        return {record.image_id: read_image_bytes(self.folder / record.file_name) for record in self.records}

    def image_size(self, index: int) -> tuple[int, int] | None:
        """(H, W) as the annotations state it, without decoding the image; None if they do not."""
        return self.records[index].size

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        path = self.folder / record.file_name
        data = self._bytes.get(record.image_id) or read_image_bytes(path)
        image = decode_image(data, str(path), upright=stands_turned(data, record, str(path)))
        size = image.shape[:2]
        if record.size is not None and record.size != size:
            raise ValueError(
                f"{path}: image {record.image_id} is {size[1]}x{size[0]} (width x height) but the annotations "
                f"say {record.size[1]}x{record.size[0]}"
            )
        return Sample(
            image=image,
            keypoints=hide_outside(record.keypoints, size),
            area=record.area.copy(),
            labelled=self.labelled.copy(),
            ignore=ignore_mask(record, size, self.complete),
            image_id=record.image_id,
            file_name=record.file_name,
        )


def held_out(image_id: int, fraction: float = 0.1) -> bool:
    """Whether an image belongs to the validation part, by a hash of its id alone.

    The answer never changes with the other images, the order, the machine or the version; a smaller fraction is a
    subset of a larger one.
    """
    return zlib.crc32(str(image_id).encode()) < fraction * 2**32


def hide_outside(keypoints: Array, size: tuple[int, int]) -> Array:
    """A copy of ``(N, K, 3)`` keypoints with visibility 0 where x, y lie outside of an image of `size` (H, W)."""
    x, y = keypoints[..., 0], keypoints[..., 1]
    inside = (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0])
    result = keypoints.copy()
    result[..., 2] *= inside
    return result


# ---- images


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


def stands_turned(data: bytes, record: Record, name: str) -> bool:
    """Whether the annotations are of the image as its EXIF orientation shows it, by the size that they state.

    Raises:
        ValueError: when the size does not tell, as for half a turn or a square image.
    """
    orientation, (height, width) = read_orientation(data)
    if orientation == 1 or not len(record.keypoints):  # without people both are right
        return False
    if orientation < 5 or height == width or record.size is None:
        raise ValueError(
            f"{name}: image {record.image_id} has the EXIF orientation {orientation}, so which way its keypoints are "
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


def check_image_path(folder: Path, record: Record, source: str) -> None:
    name = record.file_name
    where = f"{source}: image {record.image_id}: 'file_name' {name!r}"
    parts = (*PurePosixPath(name).parts, *PureWindowsPath(name).parts)
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    if not name or "\0" in name or ".." in parts or absolute:
        raise ValueError(f"{where} does not stay within the folder of images")
    if not (folder / name).is_file():
        raise ValueError(f"{where} is missing in {folder}")


def folder_records(folder: Path, k: int) -> Iterator[Record]:
    """All images below a folder, sorted by name, numbered from 1, without people."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise ValueError(f"{folder}: no images ({', '.join(IMAGE_SUFFIXES)})")
    nobody = (np.zeros((0, k, 3), np.float32), np.zeros(0, np.float32), np.zeros((0, 4)))
    for number, path in enumerate(paths, start=1):
        yield Record(number, path.relative_to(folder).as_posix(), None, *nobody)


# ---- ignored regions


def ignore_mask(record: Record, size: tuple[int, int], complete: bool) -> Array | None:
    """``(H, W)`` bool of what must not be taught, or None if all may."""
    if complete and not record.unlabelled:
        return None
    mask = np.full(size, not complete, np.bool_)
    if not complete:
        for box in record.boxes_xywh:
            fill_box(mask, enlarged(box, ENLARGE), False)
    for region in record.unlabelled:
        if isinstance(region, np.ndarray):
            fill_box(mask, region, True)
        else:
            mask |= region_mask(region, size, f"{record.file_name}: image {record.image_id}")
    return mask


def enlarged(box_xywh: Array, fraction: float) -> Array:
    grow = box_xywh[2:] * fraction / 2
    return np.concatenate([box_xywh[:2] - grow, box_xywh[2:] + 2 * grow])


def fill_box(mask: Array, box_xywh: Array, value: bool) -> None:
    """Every pixel that the box touches."""
    high, wide = mask.shape
    x0, y0 = np.clip(np.floor(box_xywh[:2]), 0, (wide, high)).astype(int)
    x1, y1 = np.clip(np.ceil(box_xywh[:2] + box_xywh[2:]), 0, (wide, high)).astype(int)
    mask[y0:y1, x0:x1] = value


def region_mask(segmentation: Any, size: tuple[int, int], where: str) -> Array:
    """``(H, W)`` bool of COCO polygons or a run-length encoding, plain or compressed."""
    try:
        return decode_runs(segmentation, size) if isinstance(segmentation, dict) else fill_polygons(segmentation, size)
    except Exception as error:  # pycocotools raises bare Exceptions
        raise ValueError(f"{where}: a crowd's 'segmentation' cannot be read ({error})") from None


def fill_polygons(polygons: Any, size: tuple[int, int]) -> Array:
    side = max(size)
    corners = [np.asarray(polygon, np.float64) for polygon in polygons]
    if not all(c.ndim == 1 and len(c) >= 6 and len(c) % 2 == 0 and np.isfinite(c).all() for c in corners):
        raise ValueError("each polygon must be a list of x, y of at least three corners")
    near = [np.clip(c, -side, 2 * side).tolist() for c in corners]  # far corners would cost memory without end
    with warnings.catch_warnings():  # pycocotools meets NumPy 2 with a DeprecationWarning of its own
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.asarray(rle.decode(rle.merge(rle.frPyObjects(near, *size)))).astype(bool)
