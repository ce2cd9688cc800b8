"""Shared by the COCO metrics of keypoints and masks: reads and checks the files, and calls pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from associative_embedding.io.coco_json import check_coco, read_coco

MAX_ID = 2**53  # larger integers cannot all be floats
Metrics = dict[str, float | None]  # None: undefined, because there is no true object to find


def read_truth(truth: Mapping[str, Any] | str | Path, name: str | None = None) -> tuple[dict[str, Any], str]:
    """Returns a COCO dataset and its name for error messages.

    Args:
        truth: the dataset, or the path of its json.
        name: the name to use; None = the path, or "truth".

    Raises:
        ValueError: if the file cannot be read, or is not a COCO dataset.
    """
    if isinstance(truth, Mapping):
        where = name or "truth"
        return dict(check_coco(dict(truth), where)), where
    return read_coco(truth), name or str(truth)


def wanted_images(dataset: Mapping[str, Any], image_ids: Sequence[int] | None, where: str) -> list[int]:
    """Returns the sorted ids of the images to evaluate; None = all images of the dataset.

    Raises:
        ValueError: if there is no image, or an id is not in the dataset.
    """
    known = {image["id"] for image in dataset["images"]}
    wanted = sorted(known if image_ids is None else set(image_ids))
    if not wanted:
        raise ValueError(f"{where}: no images")
    if unknown := ", ".join(str(i) for i in wanted if i not in known):
        raise ValueError(f"{where}: image_ids names images that the truth does not have: {unknown}")
    return wanted


def check_result(result: Mapping[str, Any], number: int, keys: Iterable[str], images: Container[Any]) -> str:
    """Checks one COCO result, and returns its name for error messages.

    Args:
        number: its place in the list of results, from 0.
        keys: keys that it needs.
        images: ids of the images of the dataset.

    Raises:
        ValueError: if a key is missing, or the image is not in the dataset.
    """
    where = f"result {number} of image {result.get('image_id')!r}"  # a text of digits is another id than the number
    # None and an empty list would pass a test of the keys alone, and crash pycocotools
    if missing := sorted(key for key in keys if result.get(key) in (None, [])):
        raise ValueError(f"{where} has no {', '.join(missing)}")
    if result["image_id"] not in images:
        raise ValueError(f"{where}: the truth does not have this image")
    return where


def official_numbers(
    names: Sequence[str],
    build: Callable[[COCO, COCO], COCOeval],
    dataset: dict[str, Any],
    results: list[dict[str, Any]],
    *,
    image_ids: list[int],
    category_ids: list[int],
) -> Metrics:
    """Evaluates checked results with pycocotools, without its printing.

    Args:
        names: names of the numbers, in the order of ``COCOeval.stats``.
        build: makes the evaluation from the true and the found objects.
        dataset: a COCO dataset whose annotations are checked.
        results: COCO results, checked.

    Returns:
        name -> number in [0, 1], or None where pycocotools returns -1: no true object of this kind.
    """
    number = small_ids([image["id"] for image in dataset["images"]])
    if number:
        dataset = {
            **dataset,
            "images": [{**image, "id": number[image["id"]]} for image in dataset["images"]],
            "annotations": with_image_ids(dataset["annotations"], number),
        }
        results = with_image_ids(results, number)
        image_ids = [number[value] for value in image_ids]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = indexed(dataset)
        # loadRes reads the first result to find out what the results are, and fails without one
        found = truth.loadRes(results) if results else indexed({**dataset, "annotations": []})
        evaluation = build(truth, found)
        evaluation.params.imgIds = image_ids
        evaluation.params.catIds = category_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: None if value < 0 else float(value) for name, value in zip(names, evaluation.stats, strict=True)}


def small_ids(ids: Sequence[Any]) -> dict[Any, int]:
    """Returns id -> number in the order of the ids, if an id is too large; else nothing.

    pycocotools puts the ids into an array, which would round large ones and lose their images.
    """
    if not any(isinstance(value, int) and abs(value) > MAX_ID for value in ids):
        return {}
    return {value: i for i, value in enumerate(sorted(ids), start=1)}


def with_image_ids(rows: Sequence[dict[str, Any]], number: Mapping[Any, int]) -> list[dict[str, Any]]:
    """Returns annotations or results with other image ids, without those of unknown images, which do not count."""
    return [{**row, "image_id": number[row["image_id"]]} for row in rows if row["image_id"] in number]


def indexed(dataset: dict[str, Any]) -> COCO:
    """Returns pycocotools' object for a dataset in memory; its own constructor reads files only."""
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco
