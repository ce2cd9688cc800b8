"""The COCO evaluation of masks: published values, every form of a segmentation, adversity."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from associative_embedding.evaluation.metrics.coco_masks import MASK_METRICS, checked_runs, evaluate_masks
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.run_lengths import decode_runs
from support.published import load_metric_cases

COCO_100 = "instances_val2014_100.json", "instances_val2014_fakesegm100_results.json"
SIZE = 60, 80


def box(y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def runs(mask: np.ndarray) -> dict[str, Any]:
    return Masks.from_dense([mask], mask.shape[:2]).to_rle()[0]


def annotation(mask: np.ndarray, **more: Any) -> dict[str, Any]:
    return {"image_id": 1, "category_id": 1, "segmentation": runs(mask), "iscrowd": 0, **more}


def result(mask: np.ndarray, score: float = 0.5, **more: Any) -> dict[str, Any]:
    return {"image_id": 1, "category_id": 1, "segmentation": runs(mask), "score": score, **more}


def dataset(*annotations: dict[str, Any]) -> dict[str, Any]:
    size = {"height": SIZE[0], "width": SIZE[1]}
    return {
        "images": [{"id": 1, **size}, {"id": 2, **size}],
        "categories": [{"id": 1, "name": "thing"}, {"id": 4, "name": "other"}],
        "annotations": [{"id": i, **a} for i, a in enumerate(annotations)],
    }


SMALL, LARGE = box(0, 0, 20, 20), box(20, 0, 60, 70)  # of COCO's sizes small and medium

# published values


def test_coco_100_images(shared: Path) -> None:
    truth, results = COCO_100
    metrics = evaluate_masks(shared / "reference/metrics" / truth, load_metric_cases(shared, results))
    assert tuple(metrics) == MASK_METRICS
    exact = {"AP": 0.319545, "AP50": 0.562288, "AP75": 0.298927}
    assert {name: metrics[name] for name in exact} == pytest.approx(exact, abs=1e-6)
    stated = {"APS": 0.3874, "APM": 0.3102, "APL": 0.3269, "AR1": 0.2682, "AR10": 0.4154, "AR100": 0.4168}
    assert {name: metrics[name] for name in stated} == pytest.approx(stated, abs=5e-5)


def test_image_ids_evaluate_a_subset(shared: Path) -> None:
    truth, results = (load_metric_cases(shared, name) for name in COCO_100)
    ids = sorted(image["id"] for image in truth["images"])[:10]
    metrics = evaluate_masks(truth, results, image_ids=ids)
    small = {
        **truth,
        "images": [image for image in truth["images"] if image["id"] in ids],
        "annotations": [a for a in truth["annotations"] if a["image_id"] in ids],
    }
    assert metrics == evaluate_masks(small, [r for r in results if r["image_id"] in ids])
    assert metrics["AP"] != pytest.approx(0.319545, abs=1e-3)


# what counts


def test_perfect_nothing_and_no_truth() -> None:
    truth = dataset(annotation(SMALL), annotation(LARGE), annotation(SMALL, image_id=2, category_id=4))
    found = [result(LARGE), result(SMALL), result(SMALL, image_id=2, category_id=4)]
    perfect = dict.fromkeys(MASK_METRICS, 1.0) | {"APL": None, "ARL": None, "AR1": 0.75}
    assert evaluate_masks(truth, found) == pytest.approx(perfect)
    assert evaluate_masks(truth, []) == dict.fromkeys(MASK_METRICS, 0.0) | {"APL": None, "ARL": None}
    for results in ([], [result(SMALL)]):
        assert evaluate_masks(dataset(), results) == dict.fromkeys(MASK_METRICS)


def test_a_wrong_category_does_not_match() -> None:
    assert evaluate_masks(dataset(annotation(SMALL)), [result(SMALL, category_id=4)])["AP"] == 0


def test_a_merged_pair_and_a_split_object() -> None:
    """By hand: an IoU of 24/40 is found at 0.5, 0.55 and (pycocotools: not below) 0.6."""
    left, right = box(0, 0, 10, 16), box(0, 16, 10, 40)
    merged = evaluate_masks(dataset(annotation(left), annotation(right)), [result(left | right)])
    assert merged["AP50"] == pytest.approx(51 / 101)  # recall 1/2, at 51 of 101 places
    assert merged["AP"] == pytest.approx(3 / 10 * 51 / 101)
    split = evaluate_masks(dataset(annotation(left | right)), [result(left, 0.9), result(right, 0.8)])
    assert split["AP50"] == pytest.approx(1 / 2)
    assert split["AR100"] == pytest.approx(3 / 10)


def test_the_first_annotation_id_may_be_zero() -> None:
    """pycocotools takes a match with the id 0 for no match."""
    truth = dataset(annotation(SMALL))
    assert truth["annotations"][0]["id"] == 0
    assert evaluate_masks(truth, [result(SMALL)])["AP"] == pytest.approx(1)


def test_crowds_are_ignored_regions() -> None:
    crowd, inside = annotation(LARGE, iscrowd=1), result(box(30, 0, 40, 10), 0.9)
    assert evaluate_masks(dataset(annotation(SMALL), crowd), [inside, result(SMALL)])["AP"] == pytest.approx(1)
    assert evaluate_masks(dataset(annotation(SMALL)), [inside, result(SMALL)])["AP"] == pytest.approx(0.5, abs=0.01)


def test_sizes_are_those_of_the_masks() -> None:
    """A truth's may be stated; a result's box is not read, which would make a thin diagonal object large."""
    stated = dataset(annotation(SMALL, area=1e5))
    assert evaluate_masks(stated, [])["APL"] == 0
    assert evaluate_masks(dataset(annotation(SMALL)), [])["APS"] == 0
    large = box(0, 0, 80, 60)
    assert evaluate_masks(dataset(annotation(large, area=0)), []) == evaluate_masks(dataset(annotation(large)), [])
    assert evaluate_masks(dataset(annotation(large, area=0)), [])["APS"] is None
    wrong = box(50, 70, 60, 80)
    boxed = [result(SMALL, bbox=[0, 0, 20, 20]), result(wrong, 0.9, bbox=[0.0, 0.0, 80.0, 60.0])]
    plain = [result(SMALL), result(wrong, 0.9)]
    assert evaluate_masks(dataset(annotation(SMALL)), boxed) == evaluate_masks(dataset(annotation(SMALL)), plain)


def test_inputs_are_not_changed_and_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    truth, results = dataset(annotation(SMALL)), [result(SMALL)]
    before = copy.deepcopy((truth, results))
    assert evaluate_masks(truth, results) == evaluate_masks(truth, results)
    assert (truth, results) == before
    assert capsys.readouterr() == ("", "")


# the forms of a segmentation


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_every_encoding_is_the_same_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((rng.integers(1, 9), rng.integers(1, 9))) < rng.random()
    size = mask.shape[0], mask.shape[1]
    text = runs(mask)
    counts = text["counts"].encode()
    plain = [int(n) for n in np.diff([0, *(np.flatnonzero(np.diff(mask.T.ravel(), prepend=False))), mask.size])]
    for given_counts in (text["counts"], counts, plain):
        encoded = checked_runs({"size": list(size), "counts": given_counts}, size, "here")
        assert (decode_runs(encoded, size) == mask).all()
        assert encoded["counts"] == coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]


def test_polygons() -> None:
    square = [[0, 0, 20, 0, 20, 20, 0, 20]]
    assert (decode_runs(checked_runs(square, SIZE, "here"), SIZE) == SMALL).all()
    parts = [*square, [40, 30, 60, 30, 60, 50, 40, 50]]
    assert (decode_runs(checked_runs(parts, SIZE, "here"), SIZE) == (SMALL | box(30, 40, 50, 60))).all()
    far = [[0, 0, 1e12, 0, 1e12, 1e12, 0, 1e12]]
    assert decode_runs(checked_runs(far, SIZE, "here"), SIZE).all()
    truth = dataset(annotation(SMALL, segmentation=square))
    assert evaluate_masks(truth, [result(SMALL, segmentation=square)])["AP"] == pytest.approx(1)


# adversity


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 3}, "result 1 of image 3: the truth does not have this image"),
        ({"image_id": "1"}, "result 1 of image '1': the truth does not have this image"),
        ({"category_id": 2}, "result 1 of image 1: the truth has no category 2"),
        ({"segmentation": None}, "result 1 of image 1 has no segmentation"),
        ({"score": None}, "has no score"),
        ({"score": math.nan}, "a score that is not a finite number"),
        ({"score": "high"}, "a score that is not a finite number"),
        ({"segmentation": {"size": [60, 80], "counts": "525"}}, r"its 'segmentation' cannot be read .*12 pixels"),
        ({"segmentation": {"size": [60, 80], "counts": [4801, -1]}}, "cannot be read"),
        ({"segmentation": {"size": [80, 60], "counts": [4800]}}, r"size \[80, 60\]"),
        ({"segmentation": {"size": [60, 80], "counts": []}}, "cannot be read"),
        ({"segmentation": {"size": [60, 80]}}, "cannot be read"),
        ({"segmentation": {"size": [60, 80], "counts": "\u00e9"}}, "cannot be read"),
        ({"segmentation": [[0, 0, 5, 5]]}, "at least three corners"),
        ({"segmentation": [[0, 0, 5, 5, math.nan, 1]]}, "at least three corners"),
        ({"segmentation": "525"}, "cannot be read"),
    ],
)
def test_refuses_results(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        evaluate_masks(dataset(annotation(SMALL)), [result(SMALL), result(SMALL) | change])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": None}, "truth: annotation 0 of image None has no image_id"),
        ({"category_id": None}, "annotation 0 of image 1 has no category_id"),
        ({"category_id": 2}, "annotation 0 of image 1: there is no category 2"),
        ({"segmentation": None, "bbox": [1, 2, 3, 4]}, "has no segmentation"),
        ({"segmentation": [], "bbox": [1, 2, 3, 4]}, "its 'segmentation' cannot be read"),
        ({"segmentation": {"size": [60, 80], "counts": "525"}}, "its 'segmentation' cannot be read"),
    ],
)
def test_refuses_truths(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_masks(dataset(annotation(SMALL) | change), [])


def test_refuses_other_files_and_settings(tmp_path: Path) -> None:
    truth = dataset(annotation(SMALL))
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match=r"a\.json: not a json file"):
        evaluate_masks(tmp_path / "a.json", [])
    (tmp_path / "b.json").write_text(json.dumps({**truth, "categories": []}))
    with pytest.raises(ValueError, match=r"b\.json: no categories"):
        evaluate_masks(tmp_path / "b.json", [])
    with pytest.raises(ValueError, match=r"^my: image_ids names images that the truth does not have: 5"):
        evaluate_masks(truth, [], image_ids=[1, 5], name="my")
    with pytest.raises(ValueError, match="no images"):
        evaluate_masks(truth, [], image_ids=[])
    for size in ({"height": 60}, {"height": 60, "width": 0}, {"height": "sixty", "width": 80}):
        with pytest.raises(ValueError, match="truth: image 1 needs 'height' and 'width' above 0"):
            evaluate_masks({**truth, "images": [{"id": 1, **size}]}, [])
