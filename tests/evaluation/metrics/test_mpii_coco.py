"""MPII's protocols on COCO files: hand-computed cases, and the same written in loops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.evaluation.ground_truth import truth_for
from associative_embedding.evaluation.metrics.mpii import COLUMNS, PeopleGroup
from associative_embedding.evaluation.metrics.mpii_coco import evaluate_mpii, format_mpii
from associative_embedding.evaluation.metrics.mpii_people import add_head_sizes
from associative_embedding.evaluation.protocols import PROTOCOLS
from associative_embedding.structures.known_skeletons import COCO_17, MPII_16
from associative_embedding.structures.skeleton import Skeleton
from support.mpii_oracle import ALL, naive_ap

PCKH = [f"PCKh {name}" for name in ALL]
HEADS = [MPII_16.index["upper_neck"], MPII_16.index["head_top"]]


def pose(x: float = 0.0, seed: int = 0) -> np.ndarray:
    """(16, 3) labelled keypoints of a person about 200 pixels tall, whose box begins at `x`."""
    xy = np.random.default_rng(seed).uniform(0, [60, 200], (16, 2))
    xy[0], xy[1] = (0, 0), (60, 200)
    return np.concatenate([xy + np.array([x, 0]), np.full((16, 1), 2.0)], axis=1)


def moved(keypoints: np.ndarray, x: float = 0.0, y: float = 0.0, score: float = 0.0) -> np.ndarray:
    return keypoints + np.array([x, y, score])


def row(keypoints: np.ndarray, image_id: int = 1, **changes: Any) -> dict[str, Any]:
    """An annotation whose head size is 20 pixels."""
    x, y = keypoints[:, :2].min(axis=0)
    box = [x, y, *np.ptp(keypoints[:, :2], axis=0)]
    base = {"image_id": image_id, "category_id": 1, "keypoints": keypoints.ravel().tolist(), "bbox": box}
    place = {"objpos": [x + 30, y + 100], "scale": 1.0, "head_box": [0, 0, 20, 80 / 3]}
    return {key: value for key, value in {**base, **place, **changes}.items() if value is not None}


def result(keypoints: np.ndarray, image_id: int = 1, score: float = 0.9) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 1, "keypoints": keypoints.ravel().tolist(), "score": score}


def dataset(*rows: dict[str, Any], skeleton: Skeleton = MPII_16, images: list[dict[str, Any]] | None = None) -> Any:
    entries = images or [{"id": i} for i in sorted({r["image_id"] for r in rows})]
    return {"images": entries, "annotations": list(rows), "categories": [skeleton.to_category()]}


def test_the_truth_itself_is_100() -> None:
    people = [(pose(0), 1), (pose(70, 1), 1), (pose(20, 2), 2)]
    metrics = evaluate_mpii(dataset(*(row(p, i) for p, i in people)), [result(p, i) for p, i in people])
    expected = dict.fromkeys([*ALL, *PCKH], 100.0) | {"groups": 2, "groups_left_out": 0, "single_people": 1}
    assert metrics == pytest.approx(expected)
    assert list(metrics) == [*ALL, *PCKH, "groups", "groups_left_out", "single_people"]


def test_nothing_found() -> None:
    metrics = evaluate_mpii(dataset(row(pose())), [])
    assert [metrics[name] for name in [*ALL, *PCKH]] == [0.0] * 16


@pytest.mark.parametrize(("shift", "expected"), [(9.99, 100.0), (10.01, 0.0)])
@pytest.mark.parametrize("source", ["box", "neck"])
def test_half_of_the_head_size_is_the_limit(shift: float, expected: float, source: str) -> None:
    """0.6 of the head box's diagonal, or 0.75 of the distance from head top to neck: both are 20 here."""
    truth = pose()
    truth[HEADS[0], :2], truth[HEADS[1], :2] = (30, 30), (30 + 16, 30 - 64 / 3)  # 80 / 3 apart
    annotation = row(truth, head_box=None if source == "neck" else [5, 5, 25, 5 + 80 / 3])
    predicted = moved(truth, y=shift)
    metrics = evaluate_mpii(dataset(annotation), [result(predicted)])
    assert (metrics["Total"], metrics["PCKh Total"]) == (pytest.approx(expected), pytest.approx(expected))


def test_mpii_draws_head_top_and_neck_from_the_head_box() -> None:
    """The first training image: points 0.8 diagonals apart, hence the fraction for files without boxes."""
    neck, top, box = (637.0201, 189.8183), (695.9799, 108.1817), (627, 100, 706, 198)
    distance, diagonal = np.hypot(*np.subtract(top, neck)), np.hypot(box[2] - box[0], box[3] - box[1])
    assert 0.75 * distance == pytest.approx(0.6 * diagonal, rel=1e-5)


def test_a_group_without_a_head_size_is_left_out() -> None:
    headless = pose(70, 1)
    headless[HEADS[1], 2] = 0
    truth = dataset(row(pose()), row(headless, head_box=None), row(pose(), 2), row(headless, 3, head_box=None))
    metrics = evaluate_mpii(truth, [result(pose(), 2), result(pose(0, 5), 1)])
    assert (metrics["groups"], metrics["groups_left_out"], metrics["single_people"]) == (1, 2, 1)
    assert metrics["Total"] == pytest.approx(100)


def test_bystanders_do_not_count() -> None:
    far, near = pose(500, 3), pose(50, 3)
    truth = dataset(row(pose()))
    for other, expected in ((far, 100.0), (near, 50.0)):
        metrics = evaluate_mpii(truth, [result(pose(), score=0.5), result(moved(other, score=1))])
        assert metrics["Total"] == pytest.approx(expected)


def test_people_without_labels_are_no_group_of_an_image() -> None:
    nobody = row(np.zeros((16, 3)), bbox=[0, 0, 60, 200])
    crowd = row(pose(70), iscrowd=1)
    metrics = evaluate_mpii(dataset(row(pose()), nobody, crowd), [result(pose())])
    assert (metrics["groups"], metrics["Total"], metrics["single_people"]) == (1, pytest.approx(100), 1)


def with_groups(*groups: list[int]) -> Any:
    """Of three people in the second image of a release; the third is far away."""
    poses = [pose(0), pose(70, 1), pose(800, 2)]
    rows = [row(p, mpii_person=i) for i, p in enumerate(poses)]
    truth = dataset(*rows, images=[{"id": 1, "mpii_index": 1}])
    return truth, [result(p) for p in poses], [[], [np.array(g, dtype=np.int64) for g in groups]]


def test_groups_of_the_release() -> None:
    truth, results, groups = with_groups([0, 1], [2])
    metrics = evaluate_mpii(truth, results, groups=groups)
    assert (metrics["groups"], metrics["Total"]) == (1, pytest.approx(100))
    wrong = [{**r, "keypoints": (np.array(r["keypoints"]) + 300).tolist()} for r in results[2:]]
    assert evaluate_mpii(truth, [*results[:2], *wrong], groups=groups)["Total"] == pytest.approx(100)
    assert evaluate_mpii(truth, results[:1], groups=groups)["Total"] == pytest.approx(50)
    assert evaluate_mpii(truth, results[:1])["Total"] == pytest.approx(100 / 3)


def test_groups_whose_people_are_not_all_there_are_left_out() -> None:
    truth, results, groups = with_groups([0, 5], [1, 2])
    metrics = evaluate_mpii(truth, results, groups=groups)
    assert (metrics["groups"], metrics["groups_left_out"]) == (1, 1)


@pytest.mark.parametrize("index", [None, 2, -1, "1"])
def test_groups_need_the_place_in_the_release(index: Any) -> None:
    truth, results, groups = with_groups([0, 1])
    truth["images"][0]["mpii_index"] = index
    with pytest.raises(ValueError, match=r"^truth: image 1: groups need 'mpii_index', its place in the release"):
        evaluate_mpii(truth, results, groups=groups)


def test_single_people_as_stated_or_alone() -> None:
    poses = [pose(0), pose(600, 1)]
    stated = dataset(row(poses[0], single_person=False), row(poses[1], single_person=True))
    assert evaluate_mpii(stated, [result(poses[1])])["PCKh Total"] == pytest.approx(100)
    together = evaluate_mpii(dataset(*map(row, poses)), [])
    assert (together["single_people"], together["PCKh Total"]) == (0, None)


def test_the_best_scored_prediction_in_the_region_is_the_single_person() -> None:
    wrong = pose(10, 7)
    for score, right in ((0.8, True), (0.95, False)):
        metrics = evaluate_mpii(dataset(row(pose())), [result(wrong, score=score), result(pose(), score=0.9)])
        assert (metrics["PCKh Total"] == pytest.approx(100)) is right
    far = evaluate_mpii(dataset(row(pose())), [result(pose(900), score=1.0), result(pose(), score=0.1)])
    assert far["PCKh Total"] == pytest.approx(100)


def test_keypoints_are_matched_by_name() -> None:
    """Another order, and a name that MPII does not have."""
    names = ["tail", *reversed(MPII_16.keypoints)]
    other = Skeleton.build("person", names)
    spread = np.concatenate([[[5, 5, 2]], pose()[::-1]])
    metrics = evaluate_mpii(dataset(row(spread), skeleton=other), [result(spread)])
    assert metrics["Total"] == pytest.approx(100)


def test_all_categories_with_these_keypoints_count() -> None:
    """The second has another order, the third fewer of MPII's keypoints."""
    names = list(reversed(MPII_16.keypoints))
    more = [Skeleton.build("child", names).to_category(2), Skeleton.build("hand", ["left_wrist"]).to_category(3)]
    reverse = pose(70, 1)[::-1]
    rows = [row(pose()), row(reverse, category_id=2), row(pose(0)[:1], category_id=3)]
    truth = {**dataset(*rows), "categories": [MPII_16.to_category(), *more]}
    metrics = evaluate_mpii(truth, [result(pose()), {**result(reverse), "category_id": 2}])
    assert metrics["Total"] == pytest.approx(100)
    assert evaluate_mpii(truth, [result(pose())])["Total"] == pytest.approx(50)


def test_types_that_a_model_lacks_do_not_count(tmp_path: Path) -> None:
    """COCO's keypoints have no head top and no neck, whose distance is the head size."""
    truth = pose()
    truth[HEADS[0], :2], truth[HEADS[1], :2] = (30, 30), (46, 30 - 64 / 3)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(dataset(row(truth, head_box=None))))
    stripped = truth_for(str(path), COCO_17, {1}, protocol=PROTOCOLS["mpii"])
    predicted = moved(truth, y=9) * (stripped.order >= 0)[:, None]
    metrics = evaluate_mpii(stripped.dataset, [result(predicted)])
    assert (metrics["Head"], metrics["PCKh Head"]) == (None, None)
    assert (metrics["Total"], metrics["PCKh Total"]) == (pytest.approx(100), pytest.approx(100))
    table = format_mpii({**metrics, "people_grouped_right": 0.75})
    assert [line.split()[:3] for line in table.splitlines()] == [
        ["Head", "Shoulder", "Elbow"],
        ["AP", "none", "100.0"],
        ["PCKh", "none", "100.0"],
        ["people_grouped_right"],
        ["0.750"],
    ]
    assert "1 groups, 0 left out" in table
    assert "1 single people" in table


def test_without_position_and_scale_the_box_says(tmp_path: Path) -> None:
    """The centre of the box and its longer side; a margin of 0.25 x 200 pixels."""
    for box in ([0, 0, 60, 200], None):
        annotation = row(pose(), objpos=None, scale=None, bbox=box)
        for shift, expected in ((49, 0.5), (51, 1.0)):
            intruder = moved(pose(0, 9), x=shift, score=1)
            metrics = evaluate_mpii(dataset(annotation), [result(pose()), result(intruder)])
            assert metrics["Hip"] == pytest.approx(100 * expected), (box, shift)


def naive(truth: Any, results: list[Any], margin: float = 0.25) -> dict[str, float | None]:
    """One group an image: the predictions whose box centre is near the box of the positions; then `naive_ap`."""
    groups = []
    for image in truth["images"]:
        rows = [r for r in truth["annotations"] if r["image_id"] == image["id"]]
        xs, ys = zip(*(r["objpos"] for r in rows), strict=True)
        height = 200 * sum(r["scale"] for r in rows) / len(rows)
        inside = []
        for r in results:
            points = [p for p in np.reshape(r["keypoints"], (16, 3)).tolist() if p[2] != 0]
            if r["image_id"] != image["id"] or not points:
                continue
            x = (min(p[0] for p in points) + max(p[0] for p in points)) / 2
            y = (min(p[1] for p in points) + max(p[1] for p in points)) / 2
            outside = max(min(xs) - x, x - max(xs), min(ys) - y, y - max(ys), 0)
            if outside <= margin * height:
                inside.append(np.reshape(r["keypoints"], (16, 3)))
        sizes = [0.6 * np.hypot(b[2] - b[0], b[3] - b[1]) for b in (r["head_box"] for r in rows)]
        people = np.array([np.reshape(r["keypoints"], (16, 3)) for r in rows])
        groups.append(PeopleGroup(np.array(inside).reshape(-1, 16, 3), people, np.array(sizes)))
    return naive_ap(groups, 0.5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_is_the_naive_protocol(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, results = [], []
    for image_id in range(int(rng.integers(1, 4))):
        for _ in range(int(rng.integers(1, 4))):
            person = pose(rng.uniform(0, 200), int(rng.integers(1000)))
            hidden = rng.random(16) < 0.2
            box = [0, 0, *rng.uniform(10, 40, 2)]
            place = {"objpos": rng.uniform(0, 200, 2).tolist(), "scale": rng.uniform(0.3, 1.5)}
            rows.append(row(np.where(hidden[:, None], 0, person), image_id, head_box=box, **place))
            for _ in range(int(rng.integers(0, 3))):
                found = moved(person, *rng.normal(0, 40, 2))
                found[:, :2] += rng.normal(0, 5, (16, 2))
                found[:, 2] = rng.integers(0, 5, 16) / 4
                results.append(result(np.where(found[:, 2:] > 0, found, 0), image_id, rng.random()))
    truth = dataset(*rows)
    mine, loops = evaluate_mpii(truth, results), naive(truth, results)
    for name in ALL:
        assert mine[name] == (None if loops[name] is None else pytest.approx(loops[name])), name


@pytest.mark.parametrize(
    ("truth", "results", "message"),
    [
        (dataset(row(pose()[:14])), [], r"annotation 1 of image 1 has 42 keypoint numbers, not 3 x 16"),
        (dataset(row(pose())), [result(pose()[:14])], "result 0 of image 1 has 42 keypoint numbers, not 3 x 16"),
        (dataset(row(pose())), [result(pose(), 5)], "result 0 of image 5: the truth does not have this image"),
        (dataset(row(pose()), skeleton=Skeleton.build("x", ["a"])), [], "no category has one of MPII's keypoints"),
    ],
)
def test_refuses(truth: Any, results: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_mpii(truth, results)


def test_head_sizes_are_stated_once() -> None:
    stated = add_head_sizes(dataset(row(pose())))
    assert stated["annotations"][0]["head_size"] == pytest.approx(20)
    assert add_head_sizes(stated) == stated
    assert [*COLUMNS, "Total"] == ALL
