"""What COCO's evaluations of keypoints and masks have in common: reading, clear refusals, pycocotools' numbers."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from associative_embedding.io.coco_json import check_coco, read_coco

Metrics = dict[str, float | None]  # None: undefined, there was nothing to find


def read_truth(truth: Mapping[str, Any] | str | Path, name: str | None = None) -> tuple[dict[str, Any], str]:
    """A COCO dataset from a mapping or a json file, and what messages call it."""
    if isinstance(truth, Mapping):
        where = name or "truth"
        return dict(check_coco(dict(truth), where)), where
    return read_coco(truth), name or str(truth)


def wanted_images(dataset: Mapping[str, Any], image_ids: Sequence[int] | None, where: str) -> list[int]:
    """Sorted ids of the images to evaluate, by default all.

    Raises:
        ValueError: when there are none, or the dataset does not have one.
    """
    known = {image["id"] for image in dataset["images"]}
    wanted = sorted(known if image_ids is None else set(image_ids))
    if not wanted or not known.issuperset(wanted):
        unknown = ", ".join(str(i) for i in wanted if i not in known)
        complaint = f"image_ids names images that the truth does not have: {unknown}" if wanted else "no images"
        raise ValueError(f"{where}: {complaint}")
    return wanted


def check_result(result: Mapping[str, Any], number: int, keys: Iterable[str], images: Container[Any]) -> str:
    """What messages call a result.

    Raises:
        ValueError: when it lacks a key, or is of an image that the truth does not have.
    """
    where = f"result {number} of image {result.get('image_id')}"
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
    """pycocotools' numbers of checked truths and results, without its printing.

    Args:
        names: of the numbers, in its order.
        build: the evaluation, of the truth and the results.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        truth = index(dataset)
        # its loadRes needs a first result
        found = truth.loadRes(results) if results else index({**dataset, "annotations": []})
        evaluation = build(truth, found)
        evaluation.params.imgIds = image_ids
        evaluation.params.catIds = category_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: None if value < 0 else float(value) for name, value in zip(names, evaluation.stats, strict=True)}


def index(dataset: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco
