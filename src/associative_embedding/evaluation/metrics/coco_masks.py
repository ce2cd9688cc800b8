"""The official COCO metrics of instance masks: checks the files, then calls pycocotools, which faulty files crash."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

from pycocotools import mask as coco
from pycocotools.cocoeval import COCOeval

from associative_embedding.data.readers.segmentations import checked_polygons
from associative_embedding.evaluation.metrics.coco_eval import (
    Metrics,
    check_result,
    official_numbers,
    read_truth,
    wanted_images,
)
from associative_embedding.evaluation.metrics.dense_masks import DenseEval
from associative_embedding.structures.run_lengths import read_runs

# the order of pycocotools' stats
MASK_METRICS = ("AP", "AP50", "AP75", "APS", "APM", "APL", "AR1", "AR10", "AR100", "ARS", "ARM", "ARL")
LIMIT = 100  # results of a class in an image that count by COCO's rules
RESULT_KEYS = ("image_id", "category_id", "segmentation", "score")
TRUTH_KEYS = ("image_id", "category_id", "segmentation")


def evaluate_masks(
    truth: Mapping[str, Any] | str | Path,
    results: Sequence[Mapping[str, Any]],
    *,
    image_ids: Sequence[int] | None = None,
    name: str | None = None,
    every_object: bool = False,
) -> Metrics:
    """Returns the twelve official COCO metrics of instance masks, averaged over the categories with a true object.

    A ``segmentation`` is a list of polygons, or a run-length encoding, plain or compressed.

    Args:
        truth: a COCO dataset, or the path of its json, with the ``width`` and ``height`` of its images. Crowds are
            ignored regions. A missing ``area``, or 0, is replaced by the number of pixels. Annotation ids are not read
            (pycocotools miscounts an id of 0).
        results: COCO results: ``image_id``, ``category_id``, ``segmentation``, ``score``. The 100 results with the
            highest scores count in each image and category. A ``bbox`` is not read: with it, pycocotools would sort
            the masks into sizes by their boxes.
        image_ids: evaluates these images only; None = all.
        name: name of the dataset in error messages; None = its path.
        every_object: all results count, not only 100: for images with more objects than that, whose recall the limit
            would cut off. ``AR100`` is then called ``ARall``.

    Returns:
        AP, AP50, AP75, APS, APM, APL, AR1, AR10, AR100, ARS, ARM, ARL in [0, 1]; None if the dataset has no object of
        this size.

    Raises:
        ValueError: if the dataset or a result cannot be read or scored; the message names the entry.
    """
    dataset, where = read_truth(truth, name)
    wanted = wanted_images(dataset, image_ids, where)
    categories = sorted({category["id"] for category in dataset["categories"]})
    if not categories:
        raise ValueError(f"{where}: no categories")
    sizes = {image["id"]: stated_size(image, where) for image in dataset["images"]}
    # decoding is slow, so masks of other images are skipped; None keeps annotations without an id, to report them
    read = {None, *wanted}
    annotations = [
        checked_truth(annotation, number, sizes, categories, where)
        for number, annotation in enumerate(dataset["annotations"], start=1)
        if annotation.get("image_id") in read
    ]
    found = [checked_result(result, number, sizes, categories) for number, result in enumerate(results)]
    most = most_in_an_image(found) if every_object else LIMIT
    dense = most > LIMIT
    return official_numbers(
        tuple("ARall" if key == "AR100" and every_object else key for key in MASK_METRICS),
        partial(DenseEval, most=most) if dense else partial(COCOeval, iouType="segm"),
        {**dataset, "annotations": annotations},
        found,
        image_ids=wanted,
        category_ids=categories,
    )


def most_in_an_image(rows: Iterable[Mapping[str, Any]]) -> int:
    """Returns the largest number of objects of one class in one image, crowds left out."""
    uses = Counter((row["image_id"], row["category_id"]) for row in rows if not row.get("iscrowd"))
    return max(uses.values(), default=0)


def stated_size(image: Mapping[str, Any], where: str) -> tuple[int, int]:
    """Returns (H, W) of an entry of ``images``.

    Raises:
        ValueError: if a side is missing or not a positive integer.
    """
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
    """Returns a copy of an annotation that pycocotools can score.

    Args:
        number: its new id, above 0: pycocotools marks an unmatched result by the id 0.
        sizes: image id -> (H, W).
        categories: ids of the categories of the dataset.
        name: name of the dataset in error messages.

    Raises:
        ValueError: if a key is missing, the category is unknown, or the segmentation cannot be read.
    """
    where = f"{name}: annotation {annotation.get('id', number)} of image {annotation.get('image_id')}"
    if missing := [key for key in TRUTH_KEYS if annotation.get(key) is None]:
        raise ValueError(f"{where} has no {', '.join(missing)}")
    if annotation["category_id"] not in categories:
        raise ValueError(f"{where}: there is no category {annotation['category_id']}")
    runs = checked_runs(annotation["segmentation"], sizes[annotation["image_id"]], where)
    area = annotation.get("area")
    return {
        "id": number,
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "segmentation": runs,
        "area": area or float(coco.area(runs)),  # some tools write 0, which would make every object a small one
        "iscrowd": annotation.get("iscrowd") or 0,
    }


def checked_result(
    result: Mapping[str, Any], number: int, sizes: Mapping[int, tuple[int, int]], categories: Sequence[int]
) -> dict[str, Any]:
    """Returns a copy of a result with only the keys that pycocotools reads; it adds keys to what it is given.

    Arguments: see `checked_truth`; `number` counts from 0.

    Raises:
        ValueError: if a key is missing, the image or category is unknown, or the score or segmentation is wrong.
    """
    where = check_result(result, number, RESULT_KEYS, sizes)
    if result["category_id"] not in categories:
        raise ValueError(f"{where}: the truth has no category {result['category_id']}")
    # a text or NaN would be sorted into any place of the ranking
    if not isinstance(result["score"], Real) or not math.isfinite(result["score"]):
        raise ValueError(f"{where} has a score that is not a finite number")
    runs = checked_runs(result["segmentation"], sizes[result["image_id"]], where)
    return {**{key: result[key] for key in RESULT_KEYS}, "segmentation": runs}


def checked_runs(segmentation: Any, size: tuple[int, int], where: str) -> dict[str, Any]:
    """Returns a segmentation as pycocotools' run-length encoding of an image of `size` (H, W).

    Raises:
        ValueError: if it cannot be read, or does not fit the image.
    """
    try:
        if isinstance(segmentation, dict):
            # checked and encoded again: where runs do not fill the image, pycocotools reads foreign memory
            counts = read_runs(segmentation, size).tolist()
            return dict(coco.frPyObjects({"size": list(size), "counts": counts}, *size))
        return dict(coco.merge(coco.frPyObjects(checked_polygons(segmentation, size), *size)))
    except Exception as error:  # pycocotools raises bare Exceptions
        raise ValueError(f"{where}: its 'segmentation' cannot be read ({error})") from None
