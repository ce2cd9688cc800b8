"""Reads and checks the entries of a COCO json: every message names the file, the id and the key.

`where` is always the beginning of the messages: the file and the entry.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Container, Mapping
from typing import Any

import numpy as np

from associative_embedding.structures.arrays import Array

LARGEST = 1e15  # pixels or square pixels; far larger numbers are infinite in the float32 of training
COCO_SPLIT = re.compile(r"\b(?:train|val|test)20\d\d\b")
MAX_ID = 2**31 - 1  # a video's and a track's id together fit into an int64


def int_id(entry: Mapping[str, Any], where: str, key: str = "id") -> int:
    """Returns an integer of an entry.

    Raises:
        ValueError: when it is missing or not an integer.
    """
    value = entry.get(key)
    if not isinstance(value, int) or isinstance(value, bool):  # json's true is an int in Python
        raise ValueError(f"{where}: '{key}' must be an integer, not {value!r}")
    return value


def with_small_ids(document: dict[str, Any]) -> dict[str, Any]:
    """Returns a COCO document whose track and video ids fit into arrays of integers.

    Some tools write ids of any length, or texts: a date and a time, a UUID. Ids are only compared with each other, so
    they may be numbered instead.
    """
    keys = {"images": "video_id", "annotations": "track_id"}
    return {**document, **{name: numbered(document[name], key) for name, key in keys.items()}}


def numbered(entries: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Returns entries with ids from 1 on under a key, if an id is a text or does not fit into 31 bits."""
    ids = [entry[key] for entry in entries if key in entry and type(entry[key]) in (int, str)]
    if not any(isinstance(value, str) or abs(value) > MAX_ID for value in ids):
        return entries
    number = {value: i for i, value in enumerate(dict.fromkeys(ids), start=1)}
    known = [type(entry.get(key)) in (int, str) for entry in entries]  # other values get their message later
    return [{**e, key: number[e[key]]} if good else e for e, good in zip(entries, known, strict=True)]


def annotations_of_images(
    path: str, document: dict[str, Any], wanted: Container[int]
) -> dict[int, list[dict[str, Any]]]:
    """Returns image id -> its annotations, for the wanted category ids; an image without any has an empty list.

    Raises:
        ValueError: when an id is missing or repeats, or an annotation has an unknown image or category.
    """
    categories = {int_id(c, f"{path}: category") for c in document["categories"]}
    of_image: dict[int, list[dict[str, Any]]] = {}
    for image in document["images"]:
        image_id = int_id(image, f"{path}: image")
        if image_id in of_image:
            raise ValueError(f"{path}: image {image_id}: 'id' occurs twice")
        of_image[image_id] = []
    # one pass over all annotations: a search for each image would take hours for COCO
    for annotation in document["annotations"]:
        where = f"{path}: annotation {annotation.get('id')!r}"
        if (image_id := int_id(annotation, where, "image_id")) not in of_image:
            raise ValueError(f"{where}: 'image_id' {image_id} is not in 'images'")
        if (category_id := int_id(annotation, where, "category_id")) not in categories:
            raise ValueError(f"{where}: 'category_id' {category_id} is not in 'categories'")
        if category_id in wanted:
            of_image[image_id].append(annotation)
    return of_image


def name_and_size(path: str, image: dict[str, Any]) -> tuple[str, tuple[int, int] | None]:
    """Returns the file name of an image entry and its size (H, W), None if the entry states no size.

    Raises:
        ValueError: for a name that is no text, or a size that is not two positive integers.
    """
    where = f"{path}: image {image['id']}"
    if not isinstance(image.get("file_name"), str):
        raise ValueError(f"{where}: 'file_name' must be a text, not {image.get('file_name')!r}")
    height, width = image.get("height"), image.get("width")
    if height is None and width is None:  # not every tool writes them; the file of the image has the size
        return image["file_name"], None
    if not all(type(side) is int and side > 0 for side in (height, width)):  # json's true is an int in Python
        raise ValueError(f"{where}: 'height' and 'width' must be positive integers, not {height!r} and {width!r}")
    return image["file_name"], (height, width)  # type: ignore[return-value]


def coco_split(image: dict[str, Any]) -> str:
    """Returns the set of COCO that an image entry states, such as "val2017": by ``coco_split`` or ``coco_url``."""
    stated = str(image.get("coco_split") or image.get("coco_url") or "")
    found = COCO_SPLIT.search(stated)
    return sys.intern(found[0]) if found else ""  # one text for all images of a set


def check_flags(annotation: dict[str, Any], where: str) -> None:
    """Checks `iscrowd`, `num_keypoints` and `area`, where they are stated.

    Raises:
        ValueError: for a value that would be misread (``"no"`` is true in Python), or that would make the official
            evaluation fail later.
    """
    if annotation.get("iscrowd") not in (None, 0, 1):
        raise ValueError(f"{where}: 'iscrowd' must be 0 or 1, not {annotation['iscrowd']!r}")
    count = annotation.get("num_keypoints")
    if count is not None and (type(count) is not int or count < 0):
        raise ValueError(f"{where}: 'num_keypoints' must be an integer, 0 or more, not {count!r}")
    area = annotation.get("area")
    if area is not None and numbers([area], 1, where, "area")[0] < 0:
        raise ValueError(f"{where}: 'area' must not be negative, it is {area!r}")


def numbers(value: Any, length: int, where: str, key: str) -> Array:
    """Returns ``(length,)`` float64 of a json list.

    Raises:
        ValueError: for anything but a list of `length` finite numbers.
    """
    if not isinstance(value, list):
        raise ValueError(f"{where}: '{key}' must be a list of {length} numbers, not {value!r}")
    try:
        array = np.array(value)
    except ValueError:  # lists of unequal length inside
        array = np.array(None)
    # kinds: signed, unsigned, float; texts, bools and None have others
    if array.shape != (length,) or array.dtype.kind not in "iuf" or not (np.abs(array) < LARGEST).all():
        raise ValueError(
            f"{where}: '{key}' must be a list of {length} finite numbers, not {len(value)} of {value!s:.60}"
        )
    return array.astype(np.float64)


def source_keypoints(annotation: dict[str, Any], k: int, where: str) -> Array:
    """Returns the `k` keypoints of an annotation, ``(k, 3)`` float64 x, y, visibility, in the order of the file.

    Many tools write no keypoints or an empty list for an object that nobody has labelled further: all are unlabelled.

    Raises:
        ValueError: for another number of values, or a visibility other than 0, 1, 2.
    """
    stated = annotation.get("keypoints")
    if stated is None or stated == []:
        return np.zeros((k, 3))
    keypoints = numbers(stated, 3 * k, where, "keypoints").reshape(k, 3)
    if odd := sorted(set(keypoints[:, 2].tolist()) - {0, 1, 2}):
        raise ValueError(f"{where}: 'keypoints' visibility must be 0, 1 or 2, not {', '.join(f'{v:g}' for v in odd)}")
    return keypoints


def box_of(annotation: dict[str, Any], keypoints: Array | None, where: str) -> Array:
    """Returns ``(4,)`` x, y, width, height: the stated box, else the box around the labelled keypoints, if given.

    Raises:
        ValueError: for a box that is not four finite numbers, or missing.
    """
    if annotation.get("bbox") is None and keypoints is not None:
        xy = keypoints[keypoints[:, 2] > 0, :2]
        return np.concatenate([xy.min(axis=0), np.ptp(xy, axis=0)])
    return numbers(annotation.get("bbox"), 4, where, "bbox")


def area_of(annotation: dict[str, Any], box_xywh: Array, where: str) -> float:
    """Returns the stated area, else the area of the box, in square pixels."""
    if annotation.get("area") is None:
        return float(box_xywh[2] * box_xywh[3])
    return float(numbers([annotation["area"]], 1, where, "area")[0])


def track_of(annotation: dict[str, Any], where: str) -> int | None:
    """Returns the track id, or None if the annotation states none.

    Raises:
        ValueError: for a track id that is not an integer.
    """
    return None if annotation.get("track_id") is None else int_id(annotation, where, "track_id")
