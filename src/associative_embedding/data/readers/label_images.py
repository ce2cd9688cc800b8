"""Reads label images, in which the value of a pixel is the number of its object, as one COCO document of masks.

All are read at once: a damaged one ends a command at its start, and everything that reads a COCO json of masks
(training, validation, evaluation, conversion) reads label images, too.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from associative_embedding.data.readers.label_pairs import LabelPair, find_pairs
from associative_embedding.io.console import Notes, remark_file
from associative_embedding.io.image_limits import ImageError, check_size
from associative_embedding.io.images import open_image, read_size
from associative_embedding.io.pillow_images import errors_of_decoders
from associative_embedding.io.stacks import whole
from associative_embedding.io.tiff_files import PALETTE, SIGNATURES, TiffPage
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks

OBJECT = "object"  # class of the objects, which label images do not state
PIXEL_BYTES = 16  # of memory at the peak, for each pixel of a label image
FEW = 2**24  # up to this number, objects are counted by an array


def label_document(annotations: str, images: str, name: str = OBJECT) -> dict[str, Any]:
    """Returns the COCO document of label images: images with sizes, objects with run lengths, one category.

    Pixels with the number 0 are background. Negative numbers are regions that do not count. A mask with one value alone
    has no numbers of objects: its connected parts are taken as objects. An image whose label image has another size is
    left out. Lines say so.

    Args:
        annotations, images: see `find_pairs`.
        name: class of the objects.

    Raises:
        ValueError: when nothing can be paired, or a label image cannot be read.
    """
    pairs = tuple(find_pairs(annotations, images))
    files = [path for pair in pairs for path in (Path(images) / pair.name, *pair.labels)]
    # A command reads its annotations several times, and a notebook again after they were corrected.
    stamps = tuple((status.st_mtime_ns, status.st_size) for status in map(os.stat, files))
    return {**read_pairs(annotations, images, pairs, stamps), "categories": [{"id": 1, "name": name}]}


@lru_cache(maxsize=8)
def read_pairs(
    annotations: str, images: str, pairs: tuple[LabelPair, ...], stamps: tuple[tuple[int, int], ...]
) -> dict[str, Any]:
    """Returns the document of `label_document` without its category.

    Args:
        annotations, images: for messages, and the folder of the images.
        pairs: to read.
        stamps: time and size of all files: what was read is kept as long as they are the same.
    """
    entries: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    notes = Notes(annotations)
    for pair in tqdm(pairs, desc="label images", unit="image", disable=None, leave=False):
        size = read_size(Path(images) / pair.name)
        masks, ignored = read_masks_of(pair, size)
        if masks.size != size:
            notes.add(f"the label image has another size than the image, {shown(masks.size)}", "image", pair.name)
            continue
        image = {"id": image_id_of(pair.name), "file_name": pair.name, "height": size[0], "width": size[1]}
        entries.append(image)
        rows += [{"image_id": image["id"], "category_id": 1, **row} for row in rows_of(masks, ignored)]
    notes.say()
    if not entries:
        raise ValueError(f"{annotations}: no label image has the size of its image")
    return {
        "info": {"description": "Label images, read by associative-embedding"},
        "images": entries,
        "annotations": [{"id": number, **row} for number, row in enumerate(rows, start=1)],
    }


def shown(size: tuple[int, int]) -> str:
    """Returns (H, W) as text."""
    return f"{size[1]}x{size[0]}"


def image_id_of(name: str) -> int:
    """Returns the id of an image by its name: the same whatever other images there are, so that splits stay.

    48 bits of a hash are exact in every program that reads the json.
    """
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:6]) + 1


def rows_of(masks: Masks, ignored: Masks) -> list[dict[str, Any]]:
    """Returns the annotations of one image, without ids; ignored regions are crowds."""
    rows = []
    for crowd, part in enumerate((masks, ignored)):
        for box, area, runs in zip(part.xywh.tolist(), part.area.tolist(), part.to_rle(), strict=True):
            rows.append({"segmentation": runs, "area": area, "bbox": box, "iscrowd": crowd})
    return rows


def read_masks_of(pair: LabelPair, size: tuple[int, int]) -> tuple[Masks, Masks]:
    """Returns the objects and the ignored regions of an image of `size` (H, W).

    Raises:
        ValueError: for a label image that cannot be read.
    """
    if not pair.each:
        return split_labels(read_labels(pair.labels[0]), str(pair.labels[0]))
    masks = [Masks.from_dense([labels > 0], labels.shape) for labels in map(read_labels, pair.labels)]
    if odd := [mask.size for mask in masks if mask.size != size]:
        return Masks.empty(odd[0]), Masks.empty(odd[0])
    joined = Masks.join(masks, size)
    return joined[joined.area > 0], Masks.empty(size)


def split_labels(labels: Array, name: str) -> tuple[Masks, Masks]:
    """Returns the objects of a label image ``(H, W)``, by rising number, and its ignored regions, 0 or 1.

    Args:
        labels: integers.
        name: of the file, for the line that its objects were not numbered.
    """
    size = (labels.shape[0], labels.shape[1])
    ignored = (
        Masks.from_dense([labels < 0], size) if labels.dtype.kind == "i" and (labels < 0).any() else Masks.empty(size)
    )
    numbers, positive = numbered(np.where(labels > 0, labels, 0) if len(ignored) else labels)
    if positive == 1:
        count, parts = cv2.connectedComponents((numbers > 0).astype(np.uint8), connectivity=8)
        if count > 2:
            remark_file(name, f"has one value for {count - 1} separate regions; each is taken as an object")
            return Masks.from_labels(parts, count - 1), ignored
    return Masks.from_labels(numbers, positive), ignored


def numbered(labels: Array) -> tuple[Array, int]:
    """Returns a label image whose N numbers are 1 to N, ``(H, W)`` int32, in the same order, and N; 0 stays."""
    if int(labels.max(initial=0)) < FEW:  # one pass; a sort of all pixels takes seconds for a large image
        there = np.bincount(labels.ravel()) > 0
        there[:1] = False
        return np.cumsum(there, dtype=np.int32)[labels] * (labels > 0), int(there.sum())
    values, place = np.unique(labels, return_inverse=True)
    first = int(values[0] > 0)  # without background, the first value is an object
    return (place.reshape(labels.shape) + first).astype(np.int32), len(values) - 1 + first


def read_labels(path: Path) -> Array:
    """Returns the numbers in a label image as they are stored, ``(H, W)`` integers.

    Raises:
        ValueError: for a file that cannot be read, a stack, a picture in colours, or numbers that are not whole.
    """
    if path.suffix.lower() == ".png":
        values = read_indices(path, "PNG")
    else:
        values = read_indices(path, "TIFF") if has_palette(path) else read_tiff(path)
    if values.ndim == 3:
        if (values[:, :, :3] != values[:, :, :1]).any():
            raise ValueError(f"{path}: is a picture in colours; a label image has one number for each pixel")
        values = values[:, :, 0]
    if values.dtype.kind == "f":
        whole_numbers = np.rint(values)
        if not (
            np.isfinite(values).all() and (values == whole_numbers).all() and np.abs(values).max(initial=0) < 2**31
        ):
            raise ValueError(f"{path}: has values that are no whole numbers, so it is no label image")
        return whole_numbers.astype(np.int64)
    return values.astype(np.uint8) if values.dtype.kind == "b" else values


def has_palette(path: Path) -> bool:
    """Returns whether a TIFF of one page has a palette, as ImageJ writes one for 8 bits with a table of colours."""
    try:
        with open(path, "rb") as file, errors_of_decoders(str(path)):
            page = TiffPage(file) if file.read(4) in SIGNATURES else None
    except (OSError, ValueError):  # `read_tiff` gives the reason
        return False
    return page is not None and page.photometric == PALETTE and page.is_last


def read_indices(path: Path, kind: str) -> Array:
    """Returns the stored values of a PNG or TIFF; of a palette, its indices."""
    try:
        with Image.open(path, formats=[kind]) as image:
            check_size(str(path), *image.size, bytes_each=PIXEL_BYTES)
            return np.array(image)
    except ImageError:
        raise
    except Exception as error:  # Pillow raises many kinds for broken files
        raise ValueError(f"{path}: not a {kind} that can be decoded ({error})") from None


def read_tiff(path: Path) -> Array:
    """Returns the stored values of a TIFF with one plane."""
    opened = open_image(path)  # it closes its file when it goes
    stack = opened.pictures.stack
    check_size(str(path), stack.size[1], stack.size[0], bytes_each=PIXEL_BYTES)
    planes = int(np.prod([*stack.sizes.values(), max(1, len(stack.channels))]))
    if planes > 1:
        raise ValueError(f"{path}: has {planes} planes or channels; a label image has one: save each as a file")
    channel = 0 if stack.channels else None
    with errors_of_decoders(str(path)):
        return whole(stack.pixels(dict.fromkeys(stack.sizes, 0), channel))
