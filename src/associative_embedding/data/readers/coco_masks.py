"""Reads images with instance masks in the COCO json format, and as label images.

Classes are matched BY NAME, as keypoints are in `CocoKeypoints`; `Sample.labelled` states which classes a source has.
Segmentations stay as they are in the file and become masks when their image is read: masks would not fit into memory.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from associative_embedding.data.readers.coco_entries import (
    annotations_of_images,
    box_of,
    check_flags,
    int_id,
    name_and_size,
)
from associative_embedding.data.readers.image_folder import ImageFolder, ImageRecord, check_folder
from associative_embedding.data.readers.label_images import OBJECT
from associative_embedding.data.readers.label_pairs import is_label_folder
from associative_embedding.data.readers.mask_documents import read_mask_document
from associative_embedding.data.readers.segmentations import mark_regions, region_crop
from associative_embedding.io.coco_json import read_coco
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.sample import Sample

MAX_MASKS = 2**30  # pixels of all masks of an image, each in its box; a byte each


@dataclass(frozen=True)
class MaskRecord(ImageRecord):
    """The mask annotations of one image.

    Attributes:
        objects: N segmentations, each a tuple of polygons (arrays x, y, x, y ...) or a run-length encoding.
        class_id: ``(N,)`` int64 in ``[0, C)``.
        annotation_id: N ids in the file, for messages.
        unlabelled: segmentations of crowds, and boxes xywh of objects without a mask.
    """

    objects: tuple[Any, ...]
    class_id: Array
    annotation_id: tuple[Any, ...]
    unlabelled: tuple[Any, ...]

    @property
    def annotated(self) -> bool:
        return bool(self.objects or self.unlabelled)


class CocoMasks(ImageFolder[MaskRecord]):
    """Images with objects and their masks, a map-style data set of `Sample`.

    Crowds (``iscrowd``) and objects that have a box but no segmentation are ignored regions, not objects. Objects of
    other classes are background. The area of an object is the number of pixels of its mask. Segmentations that cannot
    be read are left out, see `read_mask_document`.

    Args:
        annotations: a COCO json, or a folder or pattern of label images, see `label_pairs`.
        images: the folder that each ``file_name`` is relative to.
        classes: C names of the classes to teach.
        rename: category name in the file -> class, where they differ (``{"couch": "sofa"}``).
        image_ids: ids of the images to read; None = all.
        cache: hold the encoded files in memory.
        objects_only: leave out images without an object.

    Attributes:
        category_ids: class name -> category id in the file, for the classes that the file has.
        labelled: ``(C,)`` bool, the classes that the file has.

    Raises:
        ValueError: for a missing or broken file or entry, with file, id and key.
    """

    def __init__(
        self,
        annotations: str,
        images: str,
        classes: Sequence[str],
        *,
        rename: Mapping[str, str] | None = None,
        image_ids: Container[int] | None = None,
        cache: bool = True,
        objects_only: bool = False,
    ) -> None:
        check_folder(images)
        self.source = annotations
        document = read_mask_document(annotations, images, classes, rename)
        known = category_ids(annotations, document, rename or {})
        check_classes(annotations, classes, known)
        self.category_ids = {name: known[name] for name in classes if name in known}
        self.labelled = np.array([name in known for name in classes])
        index = {known[name]: c for c, name in enumerate(classes) if name in known}
        records = read_mask_records(annotations, document, index)
        # an image without an object stays by default: it teaches what is background
        chosen = [r for r in records if image_ids is None or r.image_id in image_ids]
        super().__init__(images, [r for r in chosen if r.objects or not objects_only], annotations, cache=cache)

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        image = self.pixels(record)
        where = f"{self.source}: image {record.image_id}"
        masks = decode_masks(record, (image.shape[0], image.shape[1]), where)
        ignore = np.zeros(masks.size, bool) if record.unlabelled else None  # most images need no array
        if ignore is not None:
            mark_regions(ignore, record.unlabelled, where)
        return Sample(
            image=image,
            keypoints=np.zeros((len(masks), 0, 3), np.float32),
            area=masks.area.astype(np.float32),
            labelled=self.labelled.copy(),
            ignore=ignore,
            image_id=record.image_id,
            file_name=record.file_name,
            masks=masks,
            class_id=record.class_id.copy(),
        )


def class_names(annotations: str, rename: Mapping[str, str] | None = None) -> list[str]:
    """Returns the names of the categories of a COCO json in the order of their ids; of label images the only one.

    Raises:
        ValueError: for a file that is not in the COCO format; see `category_ids`.
    """
    if is_label_folder(annotations):  # without reading all of them
        return list(category_ids(annotations, {"categories": [{"id": 1, "name": OBJECT}]}, rename or {}))
    return list(category_ids(annotations, read_coco(annotations), rename or {}))


def category_ids(path: str, document: Mapping[str, Any], rename: Mapping[str, str]) -> dict[str, int]:
    """Returns category name -> id of a COCO document, in the order of the ids.

    Args:
        path: the file, for messages.
        document: its content.
        rename: name in the file -> name in the result.

    Raises:
        ValueError: when names or ids repeat, or a category to rename is missing.
    """
    ids: dict[str, int] = {}
    source_names: set[str] = set()
    for category in document["categories"]:
        number, name = int_id(category, f"{path}: category"), category.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError(f"{path}: category {number}: 'name' must be a text, not {name!r}")
        source_names.add(name)
        name = rename.get(name, name)
        if name in ids or number in ids.values():
            raise ValueError(f"{path}: category {number}: 'id' or 'name' {name!r} occurs twice")
        ids[name] = number
    if unknown := sorted(set(rename) - source_names):
        raise ValueError(f"{path}: rename of {', '.join(unknown)}, but the file has no such category")
    return dict(sorted(ids.items(), key=lambda item: item[1]))


def check_classes(source: str, classes: Sequence[str], known: Container[str]) -> None:
    """Checks the classes to teach against the names that a source has; `source` is for messages.

    Raises:
        ValueError: when classes repeat or none of them is known.
    """
    if len(set(classes)) != len(classes):
        raise ValueError(f"{source}: the classes must be unique names, not {', '.join(classes)}")
    if not any(name in known for name in classes):
        raise ValueError(f"{source}: no category name in common with the classes ({', '.join(classes)})")


def read_mask_records(path: str, document: dict[str, Any], classes: Mapping[int, int]) -> list[MaskRecord]:
    """Reads all images in the order of the file.

    Args:
        path: the COCO json, for messages.
        document: its content.
        classes: category id -> class in ``[0, C)``.
    """
    of_image = annotations_of_images(path, document, classes)
    return [read_mask_record(path, image, of_image[image["id"]], classes) for image in document["images"]]


def read_mask_record(
    path: str, image: dict[str, Any], annotations: Sequence[dict[str, Any]], classes: Mapping[int, int]
) -> MaskRecord:
    """Reads one image entry and its annotations."""
    file_name, size = name_and_size(path, image)
    objects: list[tuple[Any, int, Any]] = []
    unlabelled: list[Any] = []
    for annotation in annotations:
        where = f"{path}: annotation {annotation.get('id')!r}"
        check_flags(annotation, where)
        region = segmentation_of(annotation, where)
        # A crowd is one region for many objects. An object without a mask lies anywhere in its box.
        if annotation.get("iscrowd") or region is None:
            unlabelled.append(box_of(annotation, None, where) if region is None else region)
        else:
            objects.append((region, classes[annotation["category_id"]], annotation.get("id")))
    # zip gives three columns, but none at all for no object
    regions, class_id, annotation_id = zip(*objects, strict=True) if objects else ((), (), ())
    return MaskRecord(
        image["id"], file_name, size, regions, np.array(class_id, np.int64), annotation_id, tuple(unlabelled)
    )


def segmentation_of(annotation: dict[str, Any], where: str) -> Any:
    """Returns a run-length encoding unchanged, polygons as arrays (a tenth of the memory of lists), None if missing.

    Raises:
        ValueError: for a segmentation of another form.
    """
    value = annotation.get("segmentation")
    if value is None or value == []:  # tools write either for an object that has a box only
        return None
    if isinstance(value, dict) and isinstance(value.get("size"), list) and isinstance(value.get("counts"), (str, list)):
        return value
    if isinstance(value, list) and all(map(is_polygon, value)):
        return tuple(np.array(polygon, np.float64) for polygon in value)
    raise ValueError(
        f"{where}: 'segmentation' must be polygons or run lengths with 'size' and 'counts', not {value!s:.60}"
    )


def is_polygon(value: Any) -> bool:
    """Returns whether a value is a list x, y, x, y ... of at least three corners, all finite numbers."""
    return (
        isinstance(value, list)
        and len(value) >= 6
        and len(value) % 2 == 0
        # not isinstance: json's true is an int in Python
        and all(type(v) in (int, float) and abs(v) < 1e15 for v in value)  # false for NaN, too
    )


def decode_masks(record: MaskRecord, size: tuple[int, int], where: str) -> Masks:
    """Returns the N masks of a record, for an image of `size` (H, W).

    Raises:
        ValueError: for a segmentation that cannot be read, or masks that are too large together; `where` is the
            beginning of the message.
    """
    regions: list[tuple[tuple[int, int], Array]] = []
    pixels = 0
    for segmentation, number in zip(record.objects, record.annotation_id, strict=True):
        regions.append(region_crop(segmentation, size, f"{where}: annotation {number!r}: 'segmentation'"))
        # fifty bytes of the file can state a mask of the whole image
        if (pixels := pixels + regions[-1][1].size) > MAX_MASKS:
            raise ValueError(f"{where}: its {len(record.objects)} masks take more than {MAX_MASKS >> 20} MB together")
    corners = np.array([corner for corner, _ in regions], np.int64).reshape(-1, 2)
    return Masks(size, corners, tuple(crop for _, crop in regions))
