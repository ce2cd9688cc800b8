"""What readers and writers of other tools' labels share: objects by names, and the COCO dataset between all formats.

Coordinates are continuous pixels everywhere here: pixel ``i`` covers ``[i, i + 1)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
)
from associative_embedding.io.coco_json import AREA_PER_BOX, check_coco
from associative_embedding.structures.skeleton import Skeleton

Point = tuple[float, float, int]  # x, y, visibility: 1 occluded, 2 visible
Box = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True)
class Thing:
    """One labelled object.

    Attributes:
        category: its name.
        points: keypoint name -> x, y, visibility, of those that are labelled.
        box: x, y, width, height, or None: not labelled.
        track_id: the same in all frames of a video, or None.
        crowd: a region of many, without points.
        score: of one that was found, not labelled; in [0, 1].
    """

    category: str
    points: Mapping[str, Point]
    box: Box | None = None
    track_id: int | None = None
    crowd: bool = False
    score: float | None = None


@dataclass(frozen=True)
class Picture:
    """One image: the name of its file, (H, W) if known, what is in it, and further keys of its COCO entry."""

    name: str
    size: tuple[int, int] | None
    things: Sequence[Thing]
    more: Mapping[str, Any] = field(default_factory=dict)


def to_coco(pictures: Sequence[Picture], skeletons: Mapping[str, Skeleton], where: str) -> dict[str, Any]:
    """The COCO dataset of pictures; ids count from 1. `area` is 0.53 of the box, as the formats here have none.

    Args:
        pictures: in the order that the images get.
        skeletons: category name -> skeleton, of those that are declared. Others get the names that occur.
        where: the source, for messages.

    Raises:
        ValueError: when nothing has keypoints, or a declared category does not have one that occurs.
    """
    known = dict(skeletons) | undeclared(pictures, skeletons)
    if not known:
        raise ValueError(f"{where}: no keypoints are labelled, so there is nothing to convert")
    ids = {name: number for number, name in enumerate(known, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, picture in enumerate(pictures, start=1):
        size = {} if picture.size is None else {"width": picture.size[1], "height": picture.size[0]}
        images.append({"id": image_id, "file_name": picture.name, **size, **picture.more})
        for thing in picture.things:
            if thing.category in known and (thing.points or thing.box):
                row = annotation(thing, known[thing.category], f"{where}: {picture.name}")
                numbers = {"id": len(annotations) + 1, "image_id": image_id, "category_id": ids[thing.category]}
                annotations.append({**numbers, **row})
    return {
        "info": {"description": f"Converted by associative-embedding {__version__}"},
        "images": images,
        "annotations": annotations,
        "categories": [skeleton.to_category(ids[name]) for name, skeleton in known.items()],
    }


def undeclared(pictures: Sequence[Picture], skeletons: Mapping[str, Skeleton]) -> dict[str, Skeleton]:
    """Skeletons of the categories that nothing declares, of the names that occur, in that order, without edges."""
    names: dict[str, dict[str, None]] = {}
    for picture in pictures:
        for thing in picture.things:
            if thing.category not in skeletons and thing.points:
                names.setdefault(thing.category, {}).update(dict.fromkeys(thing.points))
    return {category: Skeleton.build(category, list(found)) for category, found in names.items()}


def annotation(thing: Thing, skeleton: Skeleton, where: str) -> dict[str, Any]:
    if unknown := sorted(set(thing.points) - set(skeleton.keypoints)):
        raise ValueError(
            f"{where}: keypoint {', '.join(unknown)} is none of {skeleton.name}'s ({', '.join(skeleton.keypoints)})"
        )
    points = [thing.points.get(name, (0.0, 0.0, 0)) for name in skeleton.keypoints]
    box = extent(list(thing.points.values())) if thing.box is None else thing.box
    return {
        "keypoints": [value for x, y, v in points for value in (round(float(x), 4), round(float(y), 4), int(v))],
        "num_keypoints": len(thing.points),
        "bbox": [round(float(value), 4) for value in box],
        "area": round(float(AREA_PER_BOX * box[2] * box[3]), 4),
        "iscrowd": int(thing.crowd),
        **({} if thing.track_id is None else {"track_id": int(thing.track_id)}),
        **({} if thing.score is None else {"score": float(thing.score)}),
    }


def extent(points: Sequence[Point]) -> Box:
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def from_coco(
    coco: dict[str, Any], where: str, images: str | Path | None = None
) -> tuple[dict[str, Skeleton], list[Picture]]:
    """Category name -> skeleton, and the pictures of a COCO dataset; categories without keypoints are left out.

    Args:
        coco: with visibilities 0, 1 or 2 (see `coco.read_coco_labels`).
        where: its file, for messages.
        images: folder of the images, for sizes that the dataset does not state.

    Raises:
        ValueError: for an entry that is not as it should be, with its id and key, or a size that is not known.
    """
    check_coco(coco, where)
    found = [category for category in coco["categories"] if category.get("keypoints")]
    skeletons = {int_id(c, f"{where}: category"): Skeleton.from_category(c) for c in found}
    if not skeletons:
        raise ValueError(f"{where}: no category with 'keypoints'")
    if not len({skeleton.name for skeleton in skeletons.values()}) == len(skeletons) == len(found):
        raise ValueError(f"{where}: two categories have the same name or id; give each its own")
    rows = annotations_of_images(where, coco, skeletons)
    pictures = []
    for image in coco["images"]:
        name, size = name_and_size(where, image)
        size = size_in(images, name, where) if size is None else pixel_size(*size, where)
        things = [thing_of(row, skeletons[row["category_id"]], where) for row in rows[image["id"]]]
        more = {key: image[key] for key in ("split", "video_id") if key in image}
        pictures.append(Picture(name, size, things, more))
    return {skeleton.name: skeleton for skeleton in skeletons.values()}, pictures


def thing_of(row: dict[str, Any], skeleton: Skeleton, where: str) -> Thing:
    where = f"{where}: annotation {row.get('id')!r}"
    check_flags(row, where)
    if row.get("iscrowd") or not row.get("keypoints"):
        keypoints = np.zeros((0, 3))
    else:
        keypoints = source_keypoints(row, len(skeleton), where)
    names = zip(skeleton.keypoints, keypoints.tolist(), strict=False)
    points = {name: (float(x), float(y), int(v)) for name, (x, y, v) in names if v > 0}
    stated = row.get("bbox") is not None
    box = box_of(row, None, where).tolist() if stated or not points else None
    if box is not None and min(box[2:]) < 0:
        raise ValueError(f"{where}: 'bbox' has a negative width or height: {box}")
    score = row.get("score")
    return Thing(
        category=skeleton.name,
        points=points,
        box=None if box is None else tuple(box),
        track_id=track_of(row, where),
        crowd=bool(row.get("iscrowd")),
        score=None if score is None else finite(score, where, "'score'"),
    )
