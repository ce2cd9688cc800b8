"""Reads images with instance masks from PASCAL VOC 2012 trees (Everingham et al. 2010).

Each image has two palette PNGs. In ``SegmentationObject`` the palette index is the number of the object, from 1; in
``SegmentationClass`` it is the class. In both, 0 is background and 255 is void: the border around objects, and regions
that were too difficult to outline.
"""

from __future__ import annotations

import io
import re
import zlib
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from associative_embedding.data.readers.coco_masks import check_classes
from associative_embedding.data.readers.image_folder import ImageFolder, ImageRecord, check_folder
from associative_embedding.io.image_limits import ImageError, check_size
from associative_embedding.io.text_files import decode_text
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.sample import Sample

VOC_CLASSES = tuple(
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep "
    "sofa train tvmonitor".split()
)
VOID = 255
PIXEL_BYTES = 32  # of memory at the peak, for each pixel of two label images


class VocMasks(ImageFolder[ImageRecord]):
    """Images with objects and their masks, a map-style data set of `Sample`; see `CocoMasks`.

    Void pixels are ignored and in no mask. Objects of other classes are background.

    Args:
        root: the folder of JPEGImages, SegmentationObject, SegmentationClass and ImageSets.
        split: the image set, a text file in ImageSets/Segmentation with one file stem per line.
        classes: C names of the classes to teach.
        images: the folder of the photographs; default: JPEGImages.
        image_ids: ids of the images to read; None = all.
        cache: hold the encoded files in memory.

    Attributes:
        category_ids: class name -> palette index in SegmentationClass.
        labelled: ``(C,)`` bool, the classes that VOC has.

    Raises:
        ValueError: for a missing or broken file or entry, with file and stem.
    """

    def __init__(
        self,
        root: str,
        split: str,
        classes: Sequence[str] = VOC_CLASSES,
        *,
        images: str | None = None,
        image_ids: Container[int] | None = None,
        cache: bool = True,
    ) -> None:
        self.root = Path(root)
        images = images or str(self.root / "JPEGImages")
        check_folder(images)
        check_classes(root, classes, VOC_CLASSES)
        self.category_ids = {name: VOC_CLASSES.index(name) + 1 for name in classes if name in VOC_CLASSES}
        self.labelled = np.array([name in VOC_CLASSES for name in classes])
        # palette index in SegmentationClass -> class in [0, C), -1 = background
        self._class_of_index = np.array(
            [-1] + [classes.index(n) if n in classes else -1 for n in VOC_CLASSES], np.int64
        )
        listed = self.root / "ImageSets" / "Segmentation" / f"{check_stem(split, f'{root}: split')}.txt"
        chosen = [r for r in read_split(listed) if image_ids is None or r.image_id in image_ids]
        # all label files now: a missing one would otherwise stop a training after hours
        if missing := [path for record in chosen for path in self._label_files(record) if not path.is_file()]:
            raise ValueError(f"{missing[0]} is missing, but {listed} names it")
        super().__init__(images, chosen, str(listed), cache=cache)

    def files(self, record: ImageRecord) -> list[Path]:
        return [*super().files(record), *self._label_files(record)]

    def _label_files(self, record: ImageRecord) -> list[Path]:
        name = f"{Path(record.file_name).stem}.png"
        return [self.root / folder / name for folder in ("SegmentationObject", "SegmentationClass")]

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        paths = self._label_files(record)
        objects, values = (decode_indices(self.encoded(path), str(path)) for path in paths)
        if objects.shape != values.shape:
            raise ValueError(f"{paths[0]} is {objects.shape} (height, width), but {paths[1]} is {values.shape}")
        masks, value = split_objects(objects, values, str(paths[1]))
        class_id = self._class_of_index[value]
        masks, class_id = masks[class_id >= 0], class_id[class_id >= 0]
        ignore = void(objects, values)
        return Sample(
            # an image set states no sizes; the photograph must have the size of its labels
            image=self.pixels(replace(record, size=masks.size)),
            keypoints=np.zeros((len(masks), 0, 3), np.float32),
            area=masks.area.astype(np.float32),
            labelled=self.labelled.copy(),
            ignore=ignore if ignore.any() else None,
            image_id=record.image_id,
            file_name=record.file_name,
            masks=masks,
            class_id=class_id,
        )


def read_split(path: Path) -> list[ImageRecord]:
    """Reads the images of an image set, in its order.

    Raises:
        ValueError: for a file that cannot be read, or two stems with one image id.
    """
    try:
        text = decode_text(path.read_bytes(), path)
    except (OSError, ValueError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path}: cannot read the image set ({reason})") from None
    stems = [line.strip() for line in text.splitlines() if line.strip()]
    records = [ImageRecord(stem_id(check_stem(stem, str(path))), f"{stem}.jpg", None) for stem in stems]
    uses = Counter(record.image_id for record in records)
    if twice := [record.file_name for record in records if uses[record.image_id] > 1]:
        raise ValueError(f"{path}: {twice[-1]} occurs twice, or another stem has the same digits")
    return records


def check_stem(stem: str, where: str) -> str:
    """Returns a stem that cannot lead out of its folder; `where` is the beginning of the message.

    Raises:
        ValueError: for any other text.
    """
    if not re.fullmatch(r"[\w.+-]+", stem) or stem.startswith("."):
        raise ValueError(f"{where}: {stem!r} is not the stem of a file, such as 2007_000032")
    return stem


def stem_id(stem: str) -> int:
    """Returns the image id of a stem: its digits (2007_000032 -> 2007000032), else its CRC-32."""
    return int(stem.replace("_", "")) if re.fullmatch(r"[0-9]+(_[0-9]+)*", stem) else zlib.crc32(stem.encode())


def decode_indices(data: bytes, name: str) -> Array:
    """Returns ``(H, W)`` uint8, the palette indices of an encoded PNG; `name` is for messages.

    Raises:
        ValueError: for any other image, whose colours have no defined meaning, and one that is too large.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            check_size(name, *image.size, bytes_each=PIXEL_BYTES)
            mode, indices = image.mode, np.array(image)
    except ImageError:
        raise
    except Exception as error:  # Pillow raises many kinds for broken files
        raise ValueError(f"{name}: not a PNG that can be decoded ({error})") from None
    if mode != "P":
        raise ValueError(f"{name}: must be a palette PNG (mode P), as the VOC archives have them, not mode {mode}")
    return indices


def void(objects: Array, values: Array) -> Array:
    """Returns ``(H, W)`` bool, where either label image is void."""
    return np.asarray((objects == VOID) | (values == VOID))


def split_objects(objects: Array, values: Array, name: str) -> tuple[Masks, Array]:
    """Splits label images into objects.

    Args:
        objects: ``(H, W)`` uint8 of SegmentationObject.
        values: ``(H, W)`` uint8 of SegmentationClass.
        name: file of `values`, for messages.

    Returns:
        N masks, and ``(N,)`` int64 palette index of each: the one that most of its pixels have.

    Raises:
        ValueError: for an index that is not a class of VOC, or an object without a class.
    """
    labels = np.where(void(objects, values), 0, objects).astype(np.int64)
    if (strange := (values > len(VOC_CLASSES)) & (values != VOID)).any():
        raise ValueError(f"{name}: {values[strange][0]} is none of the {len(VOC_CLASSES)} classes")
    # votes[i, v] = number of pixels of object i with class v, by one pass over the image
    votes = np.bincount((labels * 256 + values).ravel(), minlength=256 * 256).reshape(256, 256)
    numbers = np.flatnonzero(votes.any(axis=1))
    numbers = numbers[numbers > 0]
    votes = votes[numbers, 1 : len(VOC_CLASSES) + 1]
    if (nameless := ~votes.any(axis=1)).any():
        raise ValueError(f"{name}: object {numbers[nameless][0]} has no class")
    return Masks.from_labels(labels)[numbers - 1], votes.argmax(axis=1) + 1
