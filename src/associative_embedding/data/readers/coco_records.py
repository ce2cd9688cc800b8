"""The COCO json format, checked entry by entry: every complaint names the file, the id and the key."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from associative_embedding.data.readers.image_folder import ImageRecord
from associative_embedding.io.coco_json import read_coco
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.skeleton import Skeleton


@dataclass(frozen=True)
class Record(ImageRecord):
    """What is known of one image. Regions are a box xywh, a list of polygons or a run-length encoded mask.

    People have track ids when all of the image do.
    """

    keypoints: Array
    area: Array
    boxes_xywh: Array
    unlabelled: tuple[Any, ...] = ()
    track_id: Array | None = None
    video_id: int = 0

    @property
    def annotated(self) -> bool:
        return len(self.keypoints) > 0


def name_maps(
    path: str, categories: Sequence[dict[str, Any]], skeleton: Skeleton, rename: Mapping[str, str]
) -> dict[int, Array]:
    """Category id -> ``(K_source,)`` index into the skeleton, -1 = dropped, of the categories that share most names."""
    maps: dict[int, Array] = {}
    seen: set[str] = set()
    for category in categories:
        names = category.get("keypoints")
        if not isinstance(names, list) or not names:
            continue
        if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
            raise ValueError(f"{path}: category {category.get('id')!r}: 'keypoints' must be unique names")
        seen.update(names)
        index = [
            skeleton.keypoints.index(n) if n in skeleton.keypoints else -1 for n in (rename.get(n, n) for n in names)
        ]
        used = [i for i in index if i >= 0]
        if len(set(used)) != len(used):
            raise ValueError(f"{path}: category {category.get('id')!r}: two keypoints are mapped to the same name")
        maps[int_id(category, f"{path}: category")] = np.array(index)
    if not maps:
        raise ValueError(f"{path}: no category with 'keypoints'")
    if unknown := sorted(set(rename) - seen):
        raise ValueError(f"{path}: rename of {', '.join(unknown)}, but the file has no such keypoint")
    most = max(int((m >= 0).sum()) for m in maps.values())
    if most == 0:
        raise ValueError(f"{path}: no keypoint name in common with the skeleton ({', '.join(skeleton.keypoints)})")
    return {c: m for c, m in maps.items() if (m >= 0).sum() == most}


def int_id(entry: Mapping[str, Any], where: str, key: str = "id") -> int:
    value = entry.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{where}: '{key}' must be an integer, not {value!r}")
    return value


def read_records(path: str, skeleton: Skeleton, rename: Mapping[str, str]) -> tuple[list[Record], Array]:
    """All images in the order of the file, and ``(K,)`` bool: the keypoint types that the source labels."""
    document = read_coco(path)
    maps = name_maps(path, document["categories"], skeleton, rename)
    of_image = annotations_of_images(path, document, maps)
    k = len(skeleton.keypoints)
    records = [read_record(path, image, of_image[image["id"]], maps, k) for image in document["images"]]
    labelled = np.all([np.isin(np.arange(k), m) for m in maps.values()], axis=0)
    return records, labelled


def annotations_of_images(
    path: str, document: dict[str, Any], wanted: Container[int]
) -> dict[int, list[dict[str, Any]]]:
    """Image id -> its annotations of the wanted category ids."""
    categories = {int_id(c, f"{path}: category") for c in document["categories"]}
    of_image: dict[int, list[dict[str, Any]]] = {}
    for image in document["images"]:
        image_id = int_id(image, f"{path}: image")
        if image_id in of_image:
            raise ValueError(f"{path}: image {image_id}: 'id' occurs twice")
        of_image[image_id] = []
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
    """The file name and (H, W) that an image entry states, None if it states no size."""
    where = f"{path}: image {image['id']}"
    if not isinstance(image.get("file_name"), str):
        raise ValueError(f"{where}: 'file_name' must be a text, not {image.get('file_name')!r}")
    height, width = image.get("height"), image.get("width")
    if height is None and width is None:
        return image["file_name"], None
    if not all(isinstance(side, int) and side > 0 for side in (height, width)):
        raise ValueError(f"{where}: 'height' and 'width' must be positive integers, not {height!r} and {width!r}")
    return image["file_name"], (height, width)  # type: ignore[return-value]


def read_record(
    path: str, image: dict[str, Any], annotations: Sequence[dict[str, Any]], maps: Mapping[int, Array], k: int
) -> Record:
    file_name, size = name_and_size(path, image)
    people: list[tuple[Array, float, Array, int | None]] = []
    unlabelled: list[Any] = []
    for annotation in annotations:
        where = f"{path}: annotation {annotation.get('id')!r}"
        check_flags(annotation, where)
        if annotation.get("iscrowd"):
            if annotation.get("keypoints"):
                source_keypoints(annotation, len(maps[annotation["category_id"]]), where)
            unlabelled.append(annotation.get("segmentation") or box_of(annotation, None, where))
            continue
        source = source_keypoints(annotation, len(maps[annotation["category_id"]]), where)
        if not (source[:, 2] > 0).any():
            unlabelled.append(box_of(annotation, None, where))
            continue
        mapped = np.zeros((k, 3), np.float32)
        index = maps[annotation["category_id"]]
        mapped[index[index >= 0]] = source[index >= 0]
        box = box_of(annotation, source, where)
        if (mapped[:, 2] > 0).any():  # else only keypoints are labelled that the skeleton does not know
            people.append((mapped, area_of(annotation, box, where), box, track_of(annotation, where)))
    tracks = [p[3] for p in people]
    if None not in tracks and len(set(tracks)) < len(tracks):
        raise ValueError(f"{path}: image {image['id']}: two annotations have the same 'track_id'")
    return Record(
        image_id=image["id"],
        file_name=file_name,
        size=size,
        keypoints=np.stack([p[0] for p in people]) if people else np.zeros((0, k, 3), np.float32),
        area=np.array([p[1] for p in people], np.float32),
        boxes_xywh=np.array([p[2] for p in people]).reshape(-1, 4),
        unlabelled=tuple(unlabelled),
        track_id=None if None in tracks else np.array(tracks, np.int64),
        video_id=int_id(image, f"{path}: image {image['id']}", "video_id") if "video_id" in image else 0,
    )


def track_of(annotation: dict[str, Any], where: str) -> int | None:
    """The number of its track, if it states one."""
    return None if annotation.get("track_id") is None else int_id(annotation, where, "track_id")


def check_flags(annotation: dict[str, Any], where: str) -> None:
    """
    Raises:
        ValueError: for a value that would be misread (``"no"`` is true) or break the official evaluation later.
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
    """``(length,)`` float64 of a json list, refusing all that is not a finite number."""
    if not isinstance(value, list):
        raise ValueError(f"{where}: '{key}' must be a list of {length} numbers, not {value!r}")
    try:
        array = np.array(value)
    except ValueError:  # lists of unequal length inside
        array = np.array(None)
    if array.shape != (length,) or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise ValueError(
            f"{where}: '{key}' must be a list of {length} finite numbers, not {len(value)} of {value!s:.60}"
        )
    return array.astype(np.float64)


def source_keypoints(annotation: dict[str, Any], k: int, where: str) -> Array:
    keypoints = numbers(annotation.get("keypoints"), 3 * k, where, "keypoints").reshape(k, 3)
    if odd := sorted(set(keypoints[:, 2].tolist()) - {0, 1, 2}):
        raise ValueError(f"{where}: 'keypoints' visibility must be 0, 1 or 2, not {', '.join(f'{v:g}' for v in odd)}")
    return keypoints


def box_of(annotation: dict[str, Any], keypoints: Array | None, where: str) -> Array:
    """``(4,)`` x, y, width, height: the stated box, else the extent of the labelled keypoints."""
    if annotation.get("bbox") is None and keypoints is not None:
        xy = keypoints[keypoints[:, 2] > 0, :2]
        return np.concatenate([xy.min(axis=0), np.ptp(xy, axis=0)])
    return numbers(annotation.get("bbox"), 4, where, "bbox")


def area_of(annotation: dict[str, Any], box: Array, where: str) -> float:
    """The stated area, else that of the box."""
    if annotation.get("area") is None:
        return float(box[2] * box[3])
    return float(numbers([annotation["area"]], 1, where, "area")[0])
