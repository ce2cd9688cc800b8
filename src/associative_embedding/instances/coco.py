"""Instances -> the COCO format: annotations of one image, and a dataset of many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

from associative_embedding import __version__
from associative_embedding.instances.found import Found
from associative_embedding.io.files import utf8_name
from associative_embedding.structures.skeleton import Skeleton


def annotations_of(instances: Found, image_id: int = 1) -> list[dict[str, Any]]:
    """Returns N annotations in the COCO format, in image pixels; see `Instances.to_coco`."""
    # Rounded below the precision of any model, since digits are most of the file.
    return [
        {
            "image_id": image_id,
            "category_id": int(instances.class_id[i]),
            **shape,
            "score": round(float(instances.score[i]), 5),
            "bbox": [round(float(v), 2) for v in box],
            "area": area,
            "iscrowd": 0,
            **({} if instances.track_id is None else {"track_id": int(instances.track_id[i])}),
        }
        for i, (box, shape, area) in enumerate(zip(instances.xywh, _shapes(instances), _areas(instances), strict=True))
    ]


def _shapes(instances: Found) -> list[dict[str, Any]]:
    if instances.masks is not None:
        return [{"segmentation": encoded} for encoded in instances.masks.to_rle()]
    return [
        {
            "keypoints": [round(float(v), 4) for v in keypoints.ravel()],
            "num_keypoints": int((keypoints[:, 2] > 0).sum()),
        }
        for keypoints in instances.keypoints
    ]


def _areas(instances: Found) -> list[float]:
    if instances.masks is not None:
        return [float(area) for area in instances.masks.area]
    # A thin box that is written with two sides has an area: readers take 0 for a mistake.
    least = [0.01 * (min(round(float(side), 2) for side in box[2:]) > 0) for box in instances.xywh]
    areas = [round(float(width * height), 2) for _, _, width, height in instances.xywh]
    return [max(pair) for pair in zip(areas, least, strict=True)]


def coco_dataset(
    results: Iterable[Found],
    categories: Sequence[Mapping[str, Any]] | None = None,
    image_ids: Iterable[int] | None = None,
) -> dict[str, Any]:
    """Returns results as one COCO dataset: ``info``, ``images``, ``annotations`` and ``categories``.

    Annotation ids count from 1 over all images, and so do image ids, unless they are given. The third value of a
    keypoint is its score in [0, 1] (0 = not found), not COCO's visibility. ``annotations`` alone is the results file of
    COCO's evaluation, if the image ids are those of the dataset.

    Args:
        results: one `Instances` for each image, also for images without instances.
        categories: all categories, in the COCO format. Default: the categories in the results; a skeleton of which no
            instance was found gets the lowest free id.
        image_ids: one for each result; default: 1, 2, 3 ...

    Raises:
        ValueError: when a category id stands for two categories, or is not in `categories`.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    known = {category["id"]: category for category in categories or ()}
    without_id: list[Skeleton] = []  # of images without an instance, so no category id is known
    for image_id, result in zip(count(1) if image_ids is None else image_ids, results, strict=image_ids is not None):
        height, width = result.image_size
        name = utf8_name(result.source)
        images.append({"id": image_id, "file_name": name, "width": int(width), "height": int(height)})
        _add_categories(known, result, closed=categories is not None)
        for annotation in result.to_coco(image_id):
            annotations.append({"id": len(annotations) + 1, **annotation})
        if not result.categories and result.skeleton is not None:
            without_id.append(result.skeleton)
    if categories is None:
        # Last: then every id that an instance has is taken.
        for skeleton in without_id:
            _add_skeleton(known, skeleton)
    return {
        "info": {
            "description": "Instances found by associative-embedding; a keypoint is x, y, score",
            "version": __version__,
            "date_created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "images": images,
        "annotations": annotations,
        "categories": [known[category_id] for category_id in sorted(known)],
    }


def _add_categories(known: dict[Any, Any], result: Found, *, closed: bool) -> None:
    """Adds the categories of a result to those known, by id; `closed` = there must be no new one."""
    for category in result.categories:
        if category["id"] not in known and closed:
            raise ValueError(f"{result.source}: category id {category['id']} is none of {sorted(known)}")
        if known.setdefault(category["id"], category) != category:
            raise ValueError(f"{result.source}: category id {category['id']} stands for two categories")


def _add_skeleton(known: dict[Any, Any], skeleton: Skeleton) -> None:
    """Adds a category for a skeleton under the lowest free id, unless it has one."""
    if not any(skeleton.to_category(key) == category for key, category in known.items()):
        free = min(set(range(1, len(known) + 2)) - known.keys())
        known[free] = skeleton.to_category(free)
