"""The official COCO evaluation of instance masks, by pycocotools, with clear refusals of what it would crash on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco
from pycocotools.cocoeval import COCOeval

from associative_embedding.evaluation.metrics.coco_eval import (
    Metrics,
    check_result,
    official_numbers,
    read_truth,
    wanted_images,
)
from associative_embedding.structures.run_lengths import read_runs

MASK_METRICS = ("AP", "AP50", "AP75", "APS", "APM", "APL", "AR1", "AR10", "AR100", "ARS", "ARM", "ARL")
RESULT_KEYS = ("image_id", "category_id", "segmentation", "score")


def evaluate_masks(
    truth: Mapping[str, Any] | str | Path,
    results: Sequence[Mapping[str, Any]],
    *,
    image_ids: Sequence[int] | None = None,
    name: str | None = None,
) -> Metrics:
    """The twelve official COCO numbers of instance masks, averaged over the categories with a truth.

    A ``segmentation`` is a list of polygons or a run-length encoding, plain or compressed.

    Args:
        truth: a COCO dataset, or the path of its json, whose images state ``width`` and ``height``. Crowds are ignored
            regions. Without an ``area`` a truth's pixels are counted. Annotation ids are not read (pycocotools
            miscounts an id of 0).
        results: COCO results: ``image_id``, ``category_id``, ``segmentation``, ``score``. The best 100 of an image and
            category count. Their sizes are those of the masks: a ``bbox`` is not read.
        image_ids: evaluate these images only.
        name: what messages call the truth, by default its path.

    Returns:
        AP, AP50, AP75, APS, APM, APL, AR1, AR10, AR100, ARS, ARM, ARL in [0, 1]; None where no truth is of that kind.

    Raises:
        ValueError: for a truth or a result that cannot be read or scored; the line says which one and why.
    """
    dataset, where = read_truth(truth, name)
    wanted = wanted_images(dataset, image_ids, where)
    categories = sorted({category["id"] for category in dataset["categories"]})
    if not categories:
        raise ValueError(f"{where}: no categories")
    sizes = {image["id"]: image_size(image, where) for image in dataset["images"]}
    read = {None, *wanted}  # None: to complain of it
    annotations = [
        checked_truth(annotation, number, sizes, categories, where)
        for number, annotation in enumerate(dataset["annotations"], start=1)
        if annotation.get("image_id") in read
    ]
    found = [checked_result(result, number, sizes, categories) for number, result in enumerate(results)]
    return official_numbers(
        MASK_METRICS,
        partial(COCOeval, iouType="segm"),
        {**dataset, "annotations": annotations},
        found,
        image_ids=wanted,
        category_ids=categories,
    )


def image_size(image: Mapping[str, Any], where: str) -> tuple[int, int]:
    """(H, W) of an entry of ``images``."""
    size = image.get("height"), image.get("width")
    if not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(
            f"{where}: image {image['id']} needs 'height' and 'width' above 0, not {size[0]} and {size[1]}"
        )
    return size  # type: ignore[return-value]


def checked_truth(
    annotation: Mapping[str, Any],
    number: int,
    sizes: Mapping[int, tuple[int, int]],
    categories: Sequence[int],
    name: str,
) -> dict[str, Any]:
    """A copy of a truth that pycocotools can score; `number` becomes its id."""
    where = f"{name}: annotation {annotation.get('id', number)} of image {annotation.get('image_id')}"
    if missing := [key for key in RESULT_KEYS[:3] if annotation.get(key) is None]:
        raise ValueError(f"{where} has no {', '.join(missing)}")
    if annotation["category_id"] not in categories:
        raise ValueError(f"{where}: there is no category {annotation['category_id']}")
    runs = encode(annotation["segmentation"], sizes[annotation["image_id"]], where)
    area = annotation.get("area")
    return {
        "id": number,
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "segmentation": runs,
        "area": float(coco.area(runs)) if area is None else area,
        "iscrowd": annotation.get("iscrowd") or 0,
    }


def checked_result(
    result: Mapping[str, Any], number: int, sizes: Mapping[int, tuple[int, int]], categories: Sequence[int]
) -> dict[str, Any]:
    """A copy of a result with the keys that pycocotools reads (it adds some to what it is given)."""
    where = check_result(result, number, RESULT_KEYS, sizes)
    if result["category_id"] not in categories:
        raise ValueError(f"{where}: the truth has no category {result['category_id']}")
    if not isinstance(result["score"], Real) or not math.isfinite(result["score"]):
        raise ValueError(f"{where} has a score that is not a finite number")
    runs = encode(result["segmentation"], sizes[result["image_id"]], where)
    return {**{key: result[key] for key in RESULT_KEYS}, "segmentation": runs}


def encode(segmentation: Any, size: tuple[int, int], where: str) -> dict[str, Any]:
    """A segmentation as pycocotools' own run-length encoding of an image of `size` (H, W).

    Written anew whatever it was: of runs that do not fill the image it would read on in foreign memory.
    """
    try:
        if isinstance(segmentation, dict):
            counts = read_runs(segmentation, size).tolist()
            return dict(coco.frPyObjects({"size": list(size), "counts": counts}, *size))
        return dict(coco.merge(coco.frPyObjects(checked_polygons(segmentation, size), *size)))
    except Exception as error:  # pycocotools raises bare Exceptions
        raise ValueError(f"{where}: its 'segmentation' cannot be read ({error})") from None


def checked_polygons(polygons: Any, size: tuple[int, int]) -> list[list[float]]:
    """Lists of x, y; far corners, which would cost memory without end, come nearer."""
    side = max(size)
    corners = [np.asarray(polygon, np.float64) for polygon in polygons]
    if not corners or not all(
        c.ndim == 1 and len(c) >= 6 and len(c) % 2 == 0 and np.isfinite(c).all() for c in corners
    ):
        raise ValueError("each polygon must be a list of x, y of at least three corners")
    return [np.clip(c, -side, 2 * side).tolist() for c in corners]
