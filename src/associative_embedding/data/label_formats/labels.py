"""The labels between all formats: objects with named keypoints, and their COCO dataset.

Coordinates are continuous pixels: pixel ``i`` covers ``[i, i + 1)``. A reader whose format has whole coordinates at the
centres of pixels adds 0.5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from associative_embedding import __version__
from associative_embedding.data.label_formats.reading import finite, pixel_size, size_in
from associative_embedding.data.readers.coco_entries import (
    annotations_of_images,
    box_of,
    check_flags,
    int_id,
    name_and_size,
    source_keypoints,
    track_of,
    with_small_ids,
)
from associative_embedding.io.coco_json import AREA_PER_BOX, check_coco
from associative_embedding.io.console import Notes, list_briefly, remark
from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.images import read_size
from associative_embedding.structures.skeleton import Skeleton

MAX_TOTAL = 20_000_000  # keypoints of all objects of a dataset; COCO has 5 million
MAX_TYPES = 50_000  # keypoint types of all categories together; a skeleton of a thousand takes half a second
Point = tuple[float, float, int]  # x, y, visibility: 1 occluded, 2 visible
UNLABELLED: Point = (0.0, 0.0, 0)
Box = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True)
class LabelledObject:
    """One labelled (or predicted) object of an image.

    Attributes:
        category: name of the category.
        points: keypoint name -> x, y, visibility; an unlabelled keypoint is missing.
        box: x, y, width, height; None = not labelled.
        track_id: equal for the same object in all frames of a video; None = not tracked.
        crowd: a region of many objects, without points.
        score: in [0, 1], for a predicted object; None = labelled.
    """

    category: str
    points: Mapping[str, Point]
    box: Box | None = None
    track_id: int | None = None
    crowd: bool = False
    score: float | None = None


@dataclass(frozen=True)
class LabelledImage:
    """One image and its objects.

    Attributes:
        name: file name, relative to the folder of images.
        size: (H, W), or None = not known.
        objects: in any order.
        extra: more keys for its COCO entry: ``split``, ``video_id``.
    """

    name: str
    size: tuple[int, int] | None
    objects: Sequence[LabelledObject]
    extra: Mapping[str, Any] = field(default_factory=dict)


def to_coco(images: Sequence[LabelledImage], skeletons: Mapping[str, Skeleton], where: str) -> dict[str, Any]:
    """Returns the COCO dataset of labelled images; its ids count from 1.

    The area is 0.53 of the box, because no format here has areas.

    Args:
        images: in the order of the dataset.
        skeletons: category name -> skeleton, where the format declares them. The skeleton of any other category has the
            keypoint names that occur, and no edges.
        where: the source, for error messages.

    A keypoint that a declared skeleton lacks and an object of a category without keypoints are left out; lines say so.

    Raises:
        ValueError: if no keypoint is labelled, or two images have the same name.
    """
    check_names(images, where)
    notes = Notes(where)
    known = dict(skeletons) | undeclared_skeletons(images, skeletons)
    if not known:
        raise ValueError(f"{where}: no keypoints are labelled, so there is nothing to convert")
    # a COCO dataset has all keypoints of each object, also those that are not labelled
    sizes = {name: len(skeleton) for name, skeleton in known.items()}
    if (total := sum(sizes.get(row.category, 0) for image in images for row in image.objects)) > MAX_TOTAL:
        raise ValueError(f"{where}: its objects have {total} keypoints, more than {MAX_TOTAL}; split it")
    ids = {name: number for number, name in enumerate(known, start=1)}
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, start=1):
        size = {} if image.size is None else {"width": image.size[1], "height": image.size[0]}
        entries.append({"id": image_id, "file_name": image.name, **size, **image.extra})
        for labelled in image.objects:
            if labelled.category not in known:
                notes.add("no keypoints, so it is no pose; left out", "object", labelled.category)
                continue
            labelled = with_known_points(labelled, known[labelled.category], notes)
            if labelled.points or labelled.box:
                row = annotation_of(labelled, known[labelled.category])
                numbers = {"id": len(annotations) + 1, "image_id": image_id, "category_id": ids[labelled.category]}
                annotations.append({**numbers, **row})
    notes.say()
    if not any(row["num_keypoints"] for row in annotations):
        remark(f"{where}: no object has a labelled keypoint, so the result teaches nothing")
    return {
        "info": {"description": f"Converted by associative-embedding {__version__}"},
        "images": entries,
        "annotations": annotations,
        "categories": [skeleton.to_category(ids[name]) for name, skeleton in known.items()],
    }


def check_types(count: int, where: str) -> None:
    """Checks the number of keypoint types of all categories together, before their skeletons are built.

    Raises:
        ValueError: for more than `MAX_TYPES`.
    """
    if count > MAX_TYPES:
        raise ValueError(f"{where}: its categories have {count} keypoint types together, more than {MAX_TYPES}")


def undeclared_skeletons(images: Sequence[LabelledImage], skeletons: Mapping[str, Skeleton]) -> dict[str, Skeleton]:
    """Category name -> skeleton without edges, of the names that occur, for categories without a declared skeleton."""
    names: dict[str, dict[str, None]] = {}  # dicts as sets that keep the order in which names occur
    for image in images:
        for labelled in image.objects:
            if labelled.category not in skeletons and labelled.points:
                names.setdefault(labelled.category, {}).update(dict.fromkeys(labelled.points))
    return {category: Skeleton.build(category, list(found)) for category, found in names.items()}


def check_names(images: Sequence[LabelledImage], where: str) -> None:
    """Checks that each image has a name of its own: one file would otherwise get the labels of several.

    Raises:
        ValueError: if two have the same.
    """
    names = Counter(image.name for image in images)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"{where}: several images are named {list_briefly(twice)}; each needs a name of its own")


def with_known_points(labelled: LabelledObject, skeleton: Skeleton, notes: Notes) -> LabelledObject:
    """Returns an object without the keypoints that its skeleton lacks, which are noted."""
    unknown = set(labelled.points) - set(skeleton.keypoints)
    if not unknown:
        return labelled
    for name in sorted(unknown):
        notes.add(f"no keypoint of {skeleton.name} ({list_briefly(skeleton.keypoints)}); left out", "point", name)
    return replace(labelled, points={name: p for name, p in labelled.points.items() if name not in unknown})


def annotation_of(labelled: LabelledObject, skeleton: Skeleton) -> dict[str, Any]:
    """Returns the COCO annotation of an object, without ids. A missing box becomes the box around the points."""
    # a number of its own for each that is not labelled would take most of the memory
    points = [rounded(labelled.points[name]) if name in labelled.points else UNLABELLED for name in skeleton.keypoints]
    box = box_around(list(labelled.points.values())) if labelled.box is None else labelled.box
    # four decimals keep the file small; the error of rounding is far below that of any label
    return {
        "keypoints": [value for point in points for value in point],
        "num_keypoints": len(labelled.points),
        "bbox": [round(float(value), 4) for value in box],
        "area": round(float(AREA_PER_BOX * box[2] * box[3]), 4),
        "iscrowd": int(labelled.crowd),
        **({} if labelled.track_id is None else {"track_id": int(labelled.track_id)}),
        **({} if labelled.score is None else {"score": float(labelled.score)}),
    }


def rounded(point: Point) -> Point:
    """Returns a point with four decimals, as plain numbers."""
    x, y, v = point
    return round(float(x), 4), round(float(y), 4), int(v)


def box_around(points: Sequence[Point]) -> Box:
    """Returns the tightest box around one or more points."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def from_coco(
    coco: dict[str, Any], where: str, images: str | Path | None = None
) -> tuple[dict[str, Skeleton], list[LabelledImage]]:
    """Returns category name -> skeleton, and the labelled images of a COCO dataset, all with a size.

    Categories without keypoints are left out, as are images of another size than stated, with which relative
    coordinates would be wrong. Lines say so.

    Args:
        coco: a COCO dataset whose keypoints have visibilities 0, 1 or 2 (see `coco.read_coco_labels`).
        where: its file, for error messages.
        images: folder of the images, to read sizes that the dataset does not contain.

    Raises:
        ValueError: for a wrong entry (the message has its id and key), an unknown size, a wrong size of all images,
            or two images of one name.
    """
    coco = with_small_ids(check_coco(coco, where))
    with_keypoints = [category for category in coco["categories"] if category.get("keypoints")]
    lists = [category["keypoints"] for category in with_keypoints]
    check_types(sum(len(names) for names in lists if isinstance(names, list)), where)
    skeletons = {int_id(c, f"{where}: category"): Skeleton.from_category(c) for c in with_keypoints}
    if not skeletons:
        raise ValueError(f"{where}: no category with 'keypoints'")
    # other formats identify a category by its name alone
    if not len({skeleton.name for skeleton in skeletons.values()}) == len(skeletons) == len(with_keypoints):
        raise ValueError(f"{where}: two categories have the same name or id; give each its own")
    rows = annotations_of_images(where, coco, skeletons)
    names = {c.get("id"): str(c.get("name")) for c in coco["categories"]}
    notes = Notes(where)
    for row in coco["annotations"]:
        if row["category_id"] not in skeletons:
            notes.add("the category has no keypoints; left out", "annotation", names[row["category_id"]])
    labelled = []
    for image in coco["images"]:
        name, size = name_and_size(where, image)
        size = size_in(images, name, where) if size is None else pixel_size(*size, where)
        if size_of_file(images, name) not in (None, size):
            stated = f"{size[1]}x{size[0]}"
            notes.add(f"the annotations say {stated}, but it is shown as another size; left out", "image", name)
            continue
        objects = [object_of(row, skeletons[row["category_id"]], where) for row in rows[image["id"]]]
        extra = {key: image[key] for key in ("split", "video_id") if key in image}
        labelled.append(LabelledImage(name, size, objects, extra))
    notes.say()
    check_names(labelled, where)
    if coco["images"] and not labelled:
        raise ValueError(f"{where}: no image has the size that the annotations say")
    return {skeleton.name: skeleton for skeleton in skeletons.values()}, labelled


def size_of_file(images: str | Path | None, name: str) -> tuple[int, int] | None:
    """Returns the size (H, W) of an image as it is shown, or None if the folder has no such image."""
    try:
        return None if images is None else read_size(Path(images) / name)
    except ImageError:
        return None


def object_of(row: dict[str, Any], skeleton: Skeleton, where: str) -> LabelledObject:
    """Returns the object of a COCO annotation.

    Raises:
        ValueError: for a value that is wrong; the message has the annotation's id and the key.
    """
    where = f"{where}: annotation {row.get('id')!r}"
    check_flags(row, where)
    keypoints = np.zeros((0, 3)) if row.get("iscrowd") else source_keypoints(row, len(skeleton), where)
    names = zip(skeleton.keypoints, keypoints.tolist(), strict=False)  # a crowd has fewer: none
    points = {name: (float(x), float(y), int(v)) for name, (x, y, v) in names if v > 0}
    # a box is required without points: the object would have no place at all
    box = box_of(row, None, where).tolist() if row.get("bbox") is not None or not points else None
    score = row.get("score")
    return LabelledObject(
        category=skeleton.name,
        points=points,
        box=None if box is None else tuple(box),
        track_id=track_of(row, where),
        crowd=bool(row.get("iscrowd")),
        score=None if score is None else finite(score, where, "'score'"),
    )
