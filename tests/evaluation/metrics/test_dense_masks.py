"""COCO's metrics for images of many objects: equal to pycocotools' where that counts as many."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.cocoeval import COCOeval

from associative_embedding.evaluation.metrics.coco_eval import official_numbers
from associative_embedding.evaluation.metrics.coco_masks import MASK_METRICS, checked_runs, evaluate_masks
from associative_embedding.evaluation.metrics.dense_masks import DenseEval
from associative_embedding.structures.masks import Masks

SIZE = (120, 160)


def squares(rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
    """Run lengths of squares on a coarse grid, so that equal and overlapping ones occur."""
    masks = []
    for _ in range(count):
        side = int(rng.choice([6, 12, 40, 100]))
        y, x = (int(rng.integers(0, (length - side) // 4 + 1)) * 4 for length in SIZE)
        mask = np.zeros(SIZE, bool)
        mask[y : y + side, x : x + side - int(rng.integers(3))] = True
        masks.append(mask)
    return [checked_runs(runs, SIZE, "") for runs in Masks.from_dense(masks, SIZE).to_rle()]


@given(seed=st.integers(0, 10**6), true=st.integers(0, 25), found=st.integers(0, 30))
@settings(max_examples=30, deadline=None)
def test_equal_to_pycocotools(seed: int, true: int, found: int) -> None:
    rng = np.random.default_rng(seed)
    area = [float(rng.choice([30.0, 500.0, 2000.0, 20000.0])) for _ in range(true)]
    truth = [
        {
            "id": i + 1,
            "image_id": int(rng.integers(1, 3)),
            "category_id": int(rng.integers(1, 3)),
            "segmentation": runs,
            "area": area[i],
            "iscrowd": int(rng.random() < 0.15),
        }
        for i, runs in enumerate(squares(rng, true))
    ]
    results = [
        {"image_id": int(rng.integers(1, 3)), "category_id": int(rng.integers(1, 3)), "segmentation": runs}
        for runs in squares(rng, found)
    ]
    results += [
        {**row, "segmentation": t["segmentation"], "image_id": t["image_id"]}
        for row, t in zip(results, truth, strict=False)
    ]
    results = [{**row, "score": round(float(rng.random()), 1)} for row in results]  # with equal scores
    dataset = {
        "images": [{"id": i, "height": SIZE[0], "width": SIZE[1]} for i in (1, 2)],
        "categories": [{"id": i, "name": str(i)} for i in (1, 2)],
        "annotations": truth,
    }
    numbers = [
        official_numbers(
            MASK_METRICS, build, dataset, [dict(r) for r in results], image_ids=[1, 2], category_ids=[1, 2]
        )
        for build in (partial(COCOeval, iouType="segm"), partial(DenseEval, most=100))
    ]
    assert numbers[0] == pytest.approx(numbers[1], nan_ok=True)


def field(count: int, side: int = 12) -> dict[str, Any]:
    """An image with a grid of separate squares."""
    columns = int(np.ceil(np.sqrt(count)))
    labels = np.zeros((columns * side, columns * side), np.int32)
    for i in range(count):
        y, x = divmod(i, columns)
        labels[y * side + 1 : y * side + 10, x * side + 1 : x * side + 10] = i + 1
    rows = [
        {"id": i + 1, "image_id": 1, "category_id": 1, "segmentation": runs, "iscrowd": 0, "area": 81}
        for i, runs in enumerate(Masks.from_labels(labels).to_rle())
    ]
    return {
        "images": [{"id": 1, "height": labels.shape[0], "width": labels.shape[1]}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": rows,
    }


def test_all_objects_of_a_dense_image_count() -> None:
    truth = field(300)
    results = [
        {k: row[k] for k in ("image_id", "category_id", "segmentation")} | {"score": 0.5}
        for row in truth["annotations"]
    ]
    official = evaluate_masks(truth, results)
    assert official["AR100"] == pytest.approx(1 / 3, abs=0.01)
    assert official["AP"] is not None
    assert official["AP"] < 0.4
    found = evaluate_masks(truth, results, every_object=True)
    assert (found["AP"], found["AP50"], found["ARall"], found["AR10"]) == (1, 1, 1, pytest.approx(10 / 300))
    assert "AR100" not in found
    few = field(20)
    same = [{**row, "score": 0.5} for row in few["annotations"]]
    assert evaluate_masks(few, same, every_object=True)["AP"] == evaluate_masks(few, same)["AP"] == 1


@pytest.mark.slow
def test_thousands_of_objects_take_seconds() -> None:
    truth = field(3000)
    results = [{**row, "score": 0.5} for row in truth["annotations"]]
    start = time.process_time()
    assert evaluate_masks(truth, results, every_object=True)["AP"] == 1
    assert time.process_time() - start < 60  # pycocotools takes a quarter of an hour
