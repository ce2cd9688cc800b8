"""The COCO keypoint evaluation: published values, an oracle for the similarity, adversity."""

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

from associative_embedding.evaluation.metrics.coco_eval import indexed
from associative_embedding.evaluation.metrics.oks import (
    KEYPOINT_METRICS,
    SkeletonEval,
    category_sigmas,
    evaluate_crowdpose,
    evaluate_keypoints,
    oks,
)
from support.published import load_metric_cases

COCO_100 = "person_keypoints_val2014_100_reconstructed.json", "person_keypoints_val2014_fakekeypoints100_results.json"
KEYPOINTS_14 = "keypoints14_truth.json", "keypoints14_detections.json"
CROWDPOSE = "example_crowdpose_val.json", "example_crowdpose_preds.json"


def person(seed: int, count: int = 17, size: float = 100.0) -> np.ndarray:
    """(K, 3) labelled keypoints."""
    return np.column_stack([np.random.default_rng(seed).uniform(0, size, (count, 2)), np.full(count, 2)])


def moved(keypoints: np.ndarray, x: float, y: float = 0.0) -> np.ndarray:
    return keypoints + np.array([x, y, 0])


def annotation(keypoints: np.ndarray, **more: Any) -> dict[str, Any]:
    box = {"bbox": [0, 0, 100, 100], "area": 5000.0}
    return {"image_id": 1, "category_id": 1, "keypoints": keypoints.ravel().tolist(), "iscrowd": 0, **box, **more}


def dataset(*annotations: dict[str, Any], count: int = 17) -> dict[str, Any]:
    names = [f"point_{i}" for i in range(count)]
    return {
        "images": [{"id": 1}, {"id": 2}],
        "categories": [{"id": 1, "name": "thing", "keypoints": names}],
        "annotations": [{"id": i, **a} for i, a in enumerate(annotations)],
    }


def result(keypoints: np.ndarray, score: float = 0.5, **more: Any) -> dict[str, Any]:
    return {"image_id": 1, "category_id": 1, "keypoints": keypoints.ravel().tolist(), "score": score, **more}


# published values


def test_coco_100_images(shared: Path) -> None:
    truth, results = COCO_100
    metrics = evaluate_keypoints(shared / "reference/metrics" / truth, load_metric_cases(shared, results))
    stated = (0.372, 0.636, 0.348, 0.384, 0.386, 0.514, 0.734, 0.504, 0.508, 0.522)
    assert metrics == pytest.approx(dict(zip(KEYPOINT_METRICS, stated, strict=True)), abs=5e-4)
    assert tuple(metrics) == KEYPOINT_METRICS


def test_keypoints_14_people(shared: Path) -> None:
    metrics = evaluate_keypoints(*(load_metric_cases(shared, name) for name in KEYPOINTS_14))
    stated = {"AP": 0.504884, "AP50": 0.722772, "AP75": 0.633663, "APM": 0.466337, "APL": 0.750495}
    assert {name: metrics[name] for name in stated} == pytest.approx(stated, abs=1e-6)


def test_crowdpose(shared: Path) -> None:
    metrics = evaluate_crowdpose(*(load_metric_cases(shared, name) for name in CROWDPOSE))
    stated = {"AP": 0.787722, "AP50": 0.9881, "AP75": 0.7314, "AR": 0.8222}
    stated |= {"AP_easy": 1.0, "AP_medium": 0.9802, "AP_hard": 0.4116}
    assert metrics["AP"] == pytest.approx(stated["AP"], abs=1e-6)
    assert {name: metrics[name] for name in stated} == pytest.approx(stated, abs=5e-5)


def test_inputs_are_not_changed_and_nothing_is_printed(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, results = (load_metric_cases(shared, name) for name in KEYPOINTS_14)
    before = copy.deepcopy((truth, results))
    assert evaluate_keypoints(truth, results) == evaluate_keypoints(truth, results)
    assert (truth, results) == before
    assert capsys.readouterr() == ("", "")


def test_image_ids_evaluate_a_subset(shared: Path) -> None:
    truth, results = (load_metric_cases(shared, name) for name in COCO_100)
    ids = sorted(image["id"] for image in truth["images"])[:10]
    metrics = evaluate_keypoints(truth, results, image_ids=ids)
    small = {**truth, "images": [image for image in truth["images"] if image["id"] in ids]}
    assert metrics == evaluate_keypoints(small, [r for r in results if r["image_id"] in ids])
    assert metrics != evaluate_keypoints(truth, results)


# the similarity


def naive_oks(predicted: np.ndarray, truth: np.ndarray, area: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    out = np.zeros((len(predicted), len(truth)))
    for n, p in enumerate(predicted):
        for m, t in enumerate(truth):
            terms = []
            for k, sigma in enumerate(sigmas):
                if t[k, 2] > 0:
                    d2 = (p[k, 0] - t[k, 0]) ** 2 + (p[k, 1] - t[k, 1]) ** 2
                    terms.append(math.exp(-d2 / (2 * (area[m] + np.spacing(1)) * (2 * sigma) ** 2)))
            out[n, m] = sum(terms) / len(terms) if terms else 0.0
    return out


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 4), st.integers(0, 4), st.integers(1, 6), st.integers(0, 10**6))
def test_oks_is_the_naive_loop(n: int, m: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    predicted, truth = rng.uniform(0, 20, (n, k, 3)), rng.uniform(0, 20, (m, k, 3))
    truth[:, :, 2] = rng.integers(0, 3, (m, k))
    area, sigmas = rng.uniform(10, 1000, m), rng.uniform(0.02, 0.2, k)
    np.testing.assert_allclose(
        oks(predicted, truth, area, sigmas), naive_oks(predicted, truth, area, sigmas), atol=1e-12
    )


def test_oks_is_pycocotools(shared: Path) -> None:
    truth, results = (load_metric_cases(shared, name) for name in KEYPOINTS_14)
    results = sorted(results, key=lambda r: -r["score"])[:20]
    sigmas = category_sigmas(truth, None)
    people = indexed(truth)
    evaluation = SkeletonEval(people, people.loadRes(copy.deepcopy(results)), sigmas)
    evaluation._prepare()
    official = evaluation.computeOks(truth["images"][0]["id"], 1)
    annotations = [a for a in truth["annotations"] if a["num_keypoints"]]
    columns = [i for i, a in enumerate(truth["annotations"]) if a["num_keypoints"]]
    predicted, labelled = (
        np.array([r["keypoints"] for r in rows]).reshape(-1, 17, 3) for rows in (results, annotations)
    )
    mine = oks(predicted, labelled, np.array([a["area"] for a in annotations]), sigmas[1])
    assert len(columns) >= 10
    np.testing.assert_allclose(mine, official[:, columns], atol=1e-12)


def test_oks_of_itself_is_one_and_unlabelled_is_zero() -> None:
    truth = np.stack([person(0), person(1) * [1, 1, 0]])
    np.testing.assert_allclose(oks(truth, truth, np.array([100.0, 100.0]), [0.1] * 17), [[1, 0], [0, 0]], atol=1e-9)


def test_oks_refuses_shapes() -> None:
    with pytest.raises(ValueError, match=r"for 16 sigmas, not \(1, 17, 3\)"):
        oks(np.zeros((1, 17, 3)), np.zeros((1, 17, 3)), np.ones(1), [0.1] * 16)
    with pytest.raises(ValueError, match="area"):
        oks(np.zeros((1, 2, 3)), np.zeros((3, 2, 3)), np.ones(1), [0.1] * 2)


# any skeleton, any number of results


@pytest.mark.parametrize("count", [1, 5, 17, 30])
def test_perfect_results_of_any_skeleton(count: int) -> None:
    people = [person(i, count) for i in range(3)]
    metrics = evaluate_keypoints(dataset(*map(annotation, people), count=count), [result(p) for p in people])
    assert [metrics[name] for name in ("AP", "AP50", "AP75", "APM", "AR")] == pytest.approx([1] * 5)
    assert metrics["APL"] is None  # every truth is of medium size
    assert metrics["ARL"] is None


def test_the_first_annotation_id_may_be_zero() -> None:
    """pycocotools takes a match with the id 0 for no match."""
    truth = dataset(annotation(person(0)))
    assert truth["annotations"][0]["id"] == 0
    assert evaluate_keypoints(truth, [result(person(0))])["AP"] == pytest.approx(1)


def test_sigmas_count() -> None:
    truth, off = dataset(annotation(person(0))), result(moved(person(0), 3))
    strict, lax = (evaluate_keypoints(truth, [off], sigmas=[s] * 17)["AP"] for s in (0.001, 1.0))
    assert strict == 0
    assert lax == pytest.approx(1)
    stated = copy.deepcopy(truth)
    stated["categories"][0]["oks_sigmas"] = [1.0] * 17
    assert evaluate_keypoints(stated, [off])["AP"] == pytest.approx(1)


def test_two_categories_of_different_skeletons() -> None:
    truth = dataset(
        annotation(person(0)), annotation(person(1, 4), category_id=7), annotation(person(2), category_id=9)
    )
    truth["categories"] += [{"id": 7, "name": "fly", "keypoints": list("abcd")}, {"id": 9, "name": "no keypoints"}]
    found = [result(person(0)), result(person(1, 4), category_id=7)]
    assert evaluate_keypoints(truth, found)["AP"] == pytest.approx(1)
    assert evaluate_keypoints(truth, found[1:])["AP"] == pytest.approx(0.5)


def test_no_results_score_zero() -> None:
    metrics = evaluate_keypoints(dataset(annotation(person(0)), annotation(person(1), area=1e5)), [])
    assert metrics == dict.fromkeys(KEYPOINT_METRICS, 0.0)


def test_no_truth_is_undefined() -> None:
    for found in ([], [result(person(0))]):
        metrics = evaluate_keypoints(dataset(), found)
        assert metrics == dict.fromkeys(KEYPOINT_METRICS)
        assert json.loads(json.dumps(metrics)) == metrics


def test_people_without_keypoints_are_ignored_regions() -> None:
    """A result inside of such a person is neither right nor wrong; elsewhere it is wrong."""
    unlabelled = annotation(np.zeros((17, 3)), bbox=[500, 500, 100, 100])
    bare = {key: value for key, value in unlabelled.items() if key != "keypoints"}
    inside, elsewhere = result(moved(person(3), 500, 500), 0.9), result(moved(person(3), 2000, 500), 0.9)
    for person_without in (unlabelled, bare):
        truth = dataset(annotation(person(0)), person_without)
        assert evaluate_keypoints(truth, [result(person(0)), inside])["AP"] == pytest.approx(1)
        assert evaluate_keypoints(truth, [result(person(0)), elsewhere])["AP"] == pytest.approx(0.5, abs=0.01)


def test_use_area_false_takes_the_box() -> None:
    people = annotation(person(0), area=1e9)
    assert evaluate_keypoints(dataset(people), [])["APL"] == 0
    boxed = evaluate_keypoints(dataset(people), [], use_area=False)
    assert boxed["APM"] == 0  # 0.53 x 100 x 100
    assert boxed["APL"] is None
    del people["area"]
    assert evaluate_keypoints(dataset(people), [], use_area=False) == boxed


def test_a_truth_without_area_has_that_of_its_box() -> None:
    """As training takes it; without a box, that of the keypoints."""
    stated, boxed, bare = annotation(person(0), area=1e4), annotation(person(0)), annotation(person(0))
    del boxed["area"], bare["area"], bare["bbox"]
    off = result(moved(person(0), 6))
    expected = evaluate_keypoints(dataset(stated), [off])
    assert evaluate_keypoints(dataset(boxed), [off]) == expected
    (width, height) = np.ptp(person(0)[:, :2], axis=0)
    stated["area"] = float(width * height)
    assert evaluate_keypoints(dataset(bare), [off]) == evaluate_keypoints(dataset(stated), [off])


# adversity


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 3}, "result 1 of image 3: the truth does not have this image"),
        ({"image_id": "1"}, "result 1 of image '1': the truth does not have this image"),
        ({"category_id": 2}, "the truth has no category 2 with keypoints"),
        ({"keypoints": [1.0] * 50}, r"result 1 of image 1 has 50 keypoint numbers, not 3 x 17"),
        ({"keypoints": None}, "has no keypoints"),
        ({"score": None}, "has no score"),
        ({"score": math.nan}, "not finite"),
        ({"keypoints": [math.inf] * 51}, "not finite"),
        ({"bbox": [0, 0, 1, 1]}, "result 0 of image 1 has no bbox"),
    ],
)
def test_refuses_results(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_keypoints(dataset(annotation(person(0))), [result(person(0)), result(person(0)) | change])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("keypoints", [0] * 6, "has 6 keypoint numbers, not 3 x 17"),
        ("image_id", None, "has no 'image_id'|it has no 'image_id'"),
    ],
)
def test_refuses_truths(key: str, value: Any, message: str) -> None:
    truth = dataset(annotation(person(0)))
    truth["annotations"][0].pop(key)
    truth["annotations"][0] |= {key: value} if value else {}
    with pytest.raises(ValueError, match=message):
        evaluate_keypoints(truth, [])


def test_a_box_is_needed_only_where_it_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    labelled, unlabelled = annotation(person(0)), annotation(np.zeros((17, 3)))
    del labelled["bbox"], unlabelled["bbox"]
    assert evaluate_keypoints(dataset(labelled), [result(person(0))])["AP"] == pytest.approx(1)
    assert evaluate_keypoints(dataset(unlabelled), [])["AP"] is None
    assert "no labelled keypoint, box or mask; left out" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no 'bbox', which is needed for its area"):
        evaluate_keypoints(dataset(labelled), [], use_area=False)


@pytest.mark.parametrize("change", [{"num_keypoints": 0}, {"area": 0}, {"num_keypoints": 17.0}, {"area": "4000"}])
def test_a_wrong_count_or_area_takes_nobody_out(change: dict[str, Any]) -> None:
    """pycocotools ignores a person with 0 keypoints, and never finds one of area 0."""
    truth = dataset({**annotation(person(0)), **change})
    assert evaluate_keypoints(truth, [result(person(0))])["AP"] == pytest.approx(1)


@pytest.mark.parametrize("offset", [2**63, -(2**70), 10**30])
def test_ids_of_any_length(offset: int) -> None:
    """pycocotools would round them, and lose their images."""
    truth = dataset(annotation(person(0)))
    found = result(person(0))
    for entry in truth["images"]:
        entry["id"] += offset
    for row in [*truth["annotations"], found]:
        row["image_id"] += offset
    truth["images"] += [{"id": 5}]  # beside a short id NumPy makes floats of long ones
    assert evaluate_keypoints(truth, [found])["AP"] == pytest.approx(1)


def test_refuses_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(ValueError, match=r"a\.json: not a json file"):
        evaluate_keypoints(tmp_path / "a.json", [])
    with pytest.raises(ValueError, match=r"b\.json: needs a list of objects 'images'"):
        evaluate_keypoints(str(tmp_path / "b.json"), [])
    with pytest.raises(ValueError, match=r"c\.json: cannot read the annotations \(No such file"):
        evaluate_keypoints(tmp_path / "c.json", [])


def test_complaints_name_the_file(tmp_path: Path) -> None:
    truth = dataset(annotation(person(0)) | {"keypoints": [0] * 6})
    (tmp_path / "a.json").write_text(json.dumps(truth))
    with pytest.raises(ValueError, match=r"a\.json: annotation 0 of image 1 has 6 keypoint numbers"):
        evaluate_keypoints(tmp_path / "a.json", [])
    with pytest.raises(ValueError, match=r"^my\.json: annotation 0 of image 1"):
        evaluate_keypoints(truth, [], name="my.json")


def test_refuses_settings() -> None:
    truth = dataset(annotation(person(0)))
    with pytest.raises(ValueError, match="images that the truth does not have: 5"):
        evaluate_keypoints(truth, [], image_ids=[1, 5])
    with pytest.raises(ValueError, match="no images"):
        evaluate_keypoints(truth, [], image_ids=[])
    with pytest.raises(ValueError, match="'thing' needs 17 positive oks_sigmas"):
        evaluate_keypoints(truth, [], sigmas=[0.1] * 14)
    with pytest.raises(ValueError, match="no category with 'keypoints'"):
        evaluate_keypoints({**truth, "categories": [{"id": 1, "name": "thing"}]}, [])
    some = {**truth, "images": [*truth["images"], {"id": 2, "crowdIndex": 0.5}]}
    with pytest.raises(ValueError, match="image 1 has no 'crowdIndex', but others have one"):
        evaluate_crowdpose(some, [])


def test_crowdpose_without_levels() -> None:
    metrics = evaluate_crowdpose(dataset(annotation(person(0))), [result(person(0))])
    assert metrics["AP"] == pytest.approx(1)
    assert metrics["AP_easy"] is metrics["AP_medium"] is metrics["AP_hard"] is None
