"""Reads images with instance masks from PASCAL VOC trees (Everingham et al. 2010), also those of labelling tools.

Each image has two PNGs. In ``SegmentationObject`` the index of a pixel is the number of the object, from 1; in
``SegmentationClass`` it is the class. In both, 0 is background and 255 is void: the border around objects, and regions
that were too difficult to outline. The archives have palette PNGs. CVAT and Datumaro write the colours themselves, and
their classes in ``labelmap.txt``; labelme writes ``class_names.txt``, and no image sets.
"""

from __future__ import annotations

import io
import os
import re
import zlib
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

import numpy as np
from PIL import Image

from associative_embedding.data.readers.coco_masks import check_classes
from associative_embedding.data.readers.image_folder import ImageFolder, ImageRecord, check_folder
from associative_embedding.data.readers.voc_classes import VOC_CLASSES as VOC_CLASSES
from associative_embedding.data.readers.voc_classes import (
    VOID,
    VOID_COLOUR,
    Colours,
    voc_classes,
    voc_colour,
    voc_colours,
)
from associative_embedding.io.console import list_briefly
from associative_embedding.io.find_images import EXTENSIONS, files_of_folder
from associative_embedding.io.image_limits import ImageError, check_size
from associative_embedding.io.text_files import decode_text
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.sample import Sample

PIXEL_BYTES = 32  # of memory at the peak, for each pixel of two label images


@dataclass(frozen=True)
class VocRecord(ImageRecord):
    """One image of a tree.

    Attributes:
        stem: name of its label images, without ending.
    """

    stem: str


class VocMasks(ImageFolder[VocRecord]):
    """Images with objects and their masks, a map-style data set of `Sample`; see `CocoMasks`.

    Void pixels are ignored and in no mask. Objects of other classes are background.

    Args:
        root: the folder of JPEGImages, SegmentationObject, SegmentationClass and ImageSets.
        split: the image set, a text file in ImageSets/Segmentation with one file stem per line; "" = the only one, or
            without any all label images.
        classes: C names of the classes to teach; None = those of the tree, see `voc_classes`.
        images: the folder of the photographs; default: JPEGImages.
        image_ids: ids of the images to read; None = all.
        cache: hold the encoded files in memory.

    Attributes:
        category_ids: class name -> palette index in SegmentationClass.
        labelled: ``(C,)`` bool, the classes that the tree has.

    Raises:
        ValueError: for a missing or broken file or entry, with file and stem.
    """

    def __init__(
        self,
        root: str,
        split: str = "",
        classes: Sequence[str] | None = None,
        *,
        images: str | None = None,
        image_ids: Container[int] | None = None,
        cache: bool = True,
    ) -> None:
        self.root = Path(root)
        images = images or str(self.root / "JPEGImages")
        check_folder(images)
        names = voc_classes(self.root)
        classes = names if classes is None else classes
        check_classes(root, classes, names)
        self.category_ids = {name: names.index(name) + 1 for name in classes if name in names}
        self.labelled = np.array([name in names for name in classes])
        # index in SegmentationClass -> class in [0, C), -1 = background
        self._class_of_index = np.array([-1] + [classes.index(n) if n in classes else -1 for n in names], np.int64)
        self._colours = voc_colours(self.root)
        listed, stems = image_set(self.root, split)
        photos = photo_names(images)
        records = [VocRecord(stem_id(stem), photos.get(stem, f"{stem}.jpg"), None, stem) for stem in stems]
        check_ids_differ(listed, records)
        chosen = [r for r in records if image_ids is None or r.image_id in image_ids]
        # all label files now: a missing one would otherwise stop a training after hours
        if missing := [path for record in chosen for path in self._label_files(record) if not path.is_file()]:
            raise ValueError(f"{missing[0]} is missing, but {listed} names it")
        super().__init__(images, chosen, str(listed), cache=cache)

    def files(self, record: VocRecord) -> list[Path]:
        return [*super().files(record), *self._label_files(record)]

    def _label_files(self, record: VocRecord) -> list[Path]:
        return [label_folder(self.root, kind) / f"{record.stem}.png" for kind in ("Object", "Class")]

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        paths = self._label_files(record)
        objects = decode_indices(self.encoded(paths[0]), str(paths[0]), {})
        values = decode_indices(self.encoded(paths[1]), str(paths[1]), self._colours)
        if objects.shape != values.shape:
            raise ValueError(f"{paths[0]} is {objects.shape} (height, width), but {paths[1]} is {values.shape}")
        masks, value = split_objects(objects, values, str(paths[1]), len(self._class_of_index) - 1)
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


def label_folder(root: Path, kind: str) -> Path:
    """Returns the folder of the label images of a kind, "Object" or "Class"; older labelmes add PNG to its name."""
    older = root / f"Segmentation{kind}PNG"
    return older if older.is_dir() else root / f"Segmentation{kind}"


def image_set(root: Path, split: str) -> tuple[Path, list[str]]:
    """Returns the file of an image set, or the folder of all label images where there is no set, and the stems in it.

    Raises:
        ValueError: for a set that cannot be read, or when there are several and none is chosen.
    """
    folder = root / "ImageSets" / "Segmentation"
    if not split:
        sets = sorted(path.stem for path in folder.glob("*.txt"))
        if not sets:
            labels = label_folder(root, "Object")
            files = sorted(os.path.relpath(path, labels) for path in files_of_folder(str(labels), recursive=True))
            return labels, [Path(name).with_suffix("").as_posix() for name in files if name.lower().endswith(".png")]
        if len(sets) > 1:
            names = list_briefly(sets, 8)
            raise ValueError(f"{root}: a VOC tree needs a split where it has several image sets ({names})")
        (split,) = sets
    listed = folder / f"{check_stem(split, f'{root}: split')}.txt"
    return listed, read_split(listed)


def photo_names(images: str) -> dict[str, str]:
    """Returns stem -> file name of all images in a folder. Of several a JPEG comes first, as in the archives."""
    files = sorted(os.path.relpath(path, images) for path in files_of_folder(images, recursive=True))
    found = [Path(name) for name in files if name.lower().endswith(EXTENSIONS)]
    found.sort(key=lambda path: path.suffix.lower() in (".jpg", ".jpeg"))
    return {path.with_suffix("").as_posix(): path.as_posix() for path in found}


def read_split(path: Path) -> list[str]:
    """Reads the stems of an image set, in its order.

    Raises:
        ValueError: for a file that cannot be read, or a line that is no stem.
    """
    try:
        text = decode_text(path.read_bytes(), path)
    except (OSError, ValueError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path}: cannot read the image set ({reason})") from None
    return [check_stem(line.strip(), str(path)) for line in text.splitlines() if line.strip()]


def check_ids_differ(path: Path, records: Sequence[VocRecord]) -> None:
    """Checks that each image has an id of its own.

    Raises:
        ValueError: for two stems with one image id; `path` is the image set.
    """
    uses = Counter(record.image_id for record in records)
    if twice := [record.file_name for record in records if uses[record.image_id] > 1]:
        raise ValueError(f"{path}: {twice[-1]} occurs twice, or another stem has the same digits")


def check_stem(stem: str, where: str) -> str:
    """Returns a stem that cannot lead out of its folder; `where` is the beginning of the message.

    Blanks and folders are allowed: labelling tools keep the names of the files that they were given.

    Raises:
        ValueError: for any other text.
    """
    hidden = any(part.startswith(".") or not part for part in stem.split("/"))
    if hidden or not stem.isprintable() or "\\" in stem or PureWindowsPath(stem).drive:
        raise ValueError(f"{where}: {stem!r} is not the stem of a file, such as 2007_000032")
    return stem


def stem_id(stem: str) -> int:
    """Returns the image id of a stem: its digits (2007_000032 -> 2007000032), else its CRC-32."""
    return int(stem.replace("_", "")) if re.fullmatch(r"[0-9]+(_[0-9]+)*", stem) else zlib.crc32(stem.encode())


def decode_indices(data: bytes, name: str, colours: Colours) -> Array:
    """Returns the indices of an encoded PNG, ``(H, W)`` int32; void is `VOID`.

    Args:
        data: palette or grey PNG of indices, or a colour PNG.
        name: of the file, for messages.
        colours: colour -> index, for a colour PNG; empty = each colour is an object, black is background.

    Raises:
        ValueError: for any other image, a colour without an index, and one that is too large.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            check_size(name, *image.size, bytes_each=PIXEL_BYTES)
            mode = image.mode
            values = np.array(image if mode in ("P", "L", "I;16", "I", "1") else image.convert("RGB"))
    except ImageError:
        raise
    except Exception as error:  # Pillow raises many kinds for broken files
        raise ValueError(f"{name}: not a PNG that can be decoded ({error})") from None
    if values.ndim == 3:
        return indices_of_colours(values, name, colours)
    indices = values.astype(np.int32)
    return np.where(indices == 255, VOID, indices) if mode in ("P", "L") else indices


def indices_of_colours(rgb: Array, name: str, colours: Colours) -> Array:
    """Returns the indices of a colour picture ``(H, W, 3)`` uint8, see `decode_indices`."""
    codes = rgb.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    found, place = np.unique(codes, return_inverse=True)
    if not colours:
        known = {voc_colour(i): i for i in range(255)} | {VOID_COLOUR: VOID}
        numbers = [known.get(code, 255 + k) for k, code in enumerate(found.tolist())]  # any number, once
        return np.array(numbers, np.int32)[place.reshape(codes.shape)]
    if unknown := [code for code in found.tolist() if code not in colours]:
        red, rest = divmod(unknown[0], 65536)
        raise ValueError(f"{name}: the colour {red},{rest // 256},{rest % 256} is that of no class")
    return np.array([colours[code] for code in found.tolist()], np.int32)[place.reshape(codes.shape)]


def void(objects: Array, values: Array) -> Array:
    """Returns ``(H, W)`` bool, where either label image is void."""
    return np.asarray((objects == VOID) | (values == VOID))


def split_objects(objects: Array, values: Array, name: str, classes: int) -> tuple[Masks, Array]:
    """Splits label images into objects.

    Args:
        objects: ``(H, W)`` int32 of SegmentationObject.
        values: ``(H, W)`` int32 of SegmentationClass.
        name: file of `values`, for messages.
        classes: number of classes.

    Returns:
        N masks, and ``(N,)`` int64 index of the class of each: the one that most of its pixels have.

    Raises:
        ValueError: for an index that is not a class, or an object without a class.
    """
    if (strange := values > classes).any():
        raise ValueError(f"{name}: {values[strange][0]} is none of the {classes} classes")
    numbers, labels = np.unique(np.where(void(objects, values), 0, objects), return_inverse=True)
    labels = labels.reshape(objects.shape) + int(numbers[:1].sum() > 0)  # without background, the first is an object
    numbers = numbers[numbers > 0]
    # votes[i, v] = number of pixels of object i with class v, by one pass over the image
    step = classes + 1
    places = labels * step + np.maximum(values, 0)
    votes = np.bincount(places.ravel(), minlength=(len(numbers) + 1) * step).reshape(-1, step)[1:, 1:]
    if (nameless := ~votes.any(axis=1)).any():
        raise ValueError(f"{name}: object {numbers[nameless][0]} has no class")
    return Masks.from_labels(labels, len(numbers)), votes.argmax(axis=1) + 1
