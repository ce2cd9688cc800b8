"""The ground truth of files with several categories: evaluation compares with what training reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.settings import SourceConfig
from associative_embedding.evaluation.ground_truth import truth_for, truth_of_source
from associative_embedding.evaluation.poses import evaluate_pose_model, evaluate_samples, open_pose_test_set
from support.perfect import Perfect
from support.tiny import FIGURE

Document = dict[str, Any]


def as_category(row: Document, number: int, order: list[int]) -> None:
    """Moves an annotation to another category, with its keypoints in another order."""
    row |= {"category_id": number, "keypoints": np.reshape(row["keypoints"], (-1, 3))[order].ravel().tolist()}


def two(document: Document) -> None:
    """Every second figure has a category of the same names in another order."""
    names = list(FIGURE.keypoints)[::-1]
    document["categories"].append({"id": 2, "name": "other", "keypoints": names})
    for row in document["annotations"][::2]:
        as_category(row, 2, [4, 3, 2, 1, 0])


def many(document: Document) -> None:
    """54 categories with the same names, as AP-10K has; the first in the file is none of the first id."""
    names = list(FIGURE.keypoints)
    document["categories"] = [{"id": 60 - i, "name": f"c{i}", "keypoints": names} for i in range(54)]
    for i, row in enumerate(document["annotations"]):
        row["category_id"] = 60 - i % 54


def foreign(document: Document) -> None:
    """One more category has other names: its objects do not count, in training and in evaluation."""
    two(document)
    document["categories"].append({"id": 9, "name": "hand", "keypoints": ["nose", "thumb"]})
    row = document["annotations"][0]
    document["annotations"].append({**row, "id": 999, "category_id": 9, "keypoints": [5, 5, 2, 9, 9, 2]})


CHANGES = (two, many, foreign)


def changed(source: SourceConfig, folder: Path, change: Callable[[Document], None]) -> SourceConfig:
    document = json.loads(Path(str(source.annotations)).read_text())
    change(document)
    path = folder / "several.json"
    path.write_text(json.dumps(document))
    return replace(source, annotations=str(path))


@pytest.mark.parametrize("change", CHANGES)
def test_all_categories_that_training_reads_count(
    source: SourceConfig, tmp_path: Path, change: Callable[[Document], None], capsys: pytest.CaptureFixture[str]
) -> None:
    several = changed(source, tmp_path, change)
    data = CocoKeypoints(several.annotations, several.images, FIGURE)
    samples = [data[i] for i in range(len(data))]
    rows = truth_of_source(several, FIGURE, set(data.image_ids))
    assert evaluate_samples(Perfect(samples), ((s, rows[s.image_id]) for s in samples))["AP"] == pytest.approx(1)

    test_set = open_pose_test_set(str(several.annotations), several.images, FIGURE)
    results = tmp_path / "results.json"
    metrics, _ = evaluate_pose_model(Perfect(samples), test_set, results_path=str(results))
    assert metrics["AP"] == pytest.approx(1)
    assert test_set.truth.category_id == (60 if change is many else 1)
    assert {row["category_id"] for row in json.loads(results.read_text())} == {test_set.truth.category_id}
    remarks = capsys.readouterr().err
    assert remarks.count("are read as one category") == 1, "said once, though three readers read the file"
    assert ("hand (1) are left out" in remarks) == (change is foreign)
    assert sum(test_set.settings["categories"].values()) == sum(len(s.keypoints) for s in samples)
    assert test_set.settings["categories_left_out"] == ({"hand": 1} if change is foreign else {})


def test_keypoints_that_only_a_later_category_has_are_added(source: SourceConfig, tmp_path: Path) -> None:
    """Both categories have four of the five keypoints, so training reads both, and teaches the three in common."""

    def change(document: Document) -> None:
        names = list(FIGURE.keypoints)
        document["categories"] = [
            {"id": 4, "name": "a", "keypoints": ["tail", *names[:4]], "oks_sigmas": [0.1] * 5},
            {"id": 5, "name": "b", "keypoints": names[1:]},
        ]
        for i, row in enumerate(document["annotations"]):
            old = row["keypoints"]
            row |= {"category_id": 4 + i % 2, "keypoints": old[3:] if i % 2 else [1, 1, 2, *old[:12]]}

    several = changed(source, tmp_path, change)
    truth = truth_for(str(several.annotations), FIGURE, {1, 2, 3, 4, 5})
    assert truth.order.tolist() == [-1, 0, 1, 2, 3, 4]
    (category,) = truth.dataset["categories"]
    assert category["keypoints"] == ["tail", *FIGURE.keypoints]
    assert category["oks_sigmas"] == [*[0.1] * 5, FIGURE.oks_sigmas[4]]
    original = json.loads(Path(str(source.annotations)).read_text())["annotations"]
    for i, (row, before) in enumerate(zip(truth.dataset["annotations"], original, strict=True)):
        expected = np.reshape(before["keypoints"], (-1, 3))
        expected[0 if i % 2 else 4] = 0
        np.testing.assert_array_equal(np.reshape(row["keypoints"], (-1, 3)), [[0, 0, 0], *expected])
        assert row["category_id"] == 4
    samples = CocoKeypoints(several.annotations, several.images, FIGURE)
    metrics, _ = evaluate_pose_model(
        Perfect([samples[i] for i in range(5)]), open_pose_test_set(str(several.annotations), several.images, FIGURE)
    )
    assert metrics["AP"] == pytest.approx(1)


# ---- annotations that lack something


def each(change: Callable[[Document], object]) -> Callable[[Document], None]:
    def change_all(document: Document) -> None:
        for row in document["annotations"]:
            change(row)

    return change_all


def with_ids(kind: Callable[[int], Any]) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        for row in document["annotations"]:
            row["image_id"] = kind(row["image_id"])
        for image in document["images"]:
            image["id"] = kind(image["id"])

    return change


SCORED: dict[str, Callable[[Document], None]] = {
    "no area": each(lambda row: row.pop("area")),
    "no box": each(lambda row: row.pop("bbox")),
    "neither": each(lambda row: (row.pop("area"), row.pop("bbox"))),
    "area of null": each(lambda row: row.update(area=None)),
    "area of 0": each(lambda row: row.update(area=0)),
    "area and box of 0": each(lambda row: row.update(area=0, bbox=[3, 3, 0, 0])),
    "area of 0, no box": each(lambda row: (row.update(area=0), row.pop("bbox"))),
    "no number of keypoints": each(lambda row: row.pop("num_keypoints", None)),
    "0 keypoints": each(lambda row: row.update(num_keypoints=0)),
    "one annotation id": each(lambda row: row.update(id=0)),
    "no annotation id": each(lambda row: row.pop("id")),
    "image ids of digits": with_ids(str),
    "image ids as floats": with_ids(float),
    "long image ids": with_ids(lambda number: number * 10**20),
}


@pytest.mark.parametrize("change", SCORED.values(), ids=SCORED)
def test_annotations_that_lack_something_are_scored(
    source: SourceConfig, tmp_path: Path, change: Callable[[Document], None]
) -> None:
    """The truth itself has AP 1, in all of these files."""
    file = changed(source, tmp_path, change)
    data = CocoKeypoints(source.annotations, source.images, FIGURE)
    test_set = open_pose_test_set(str(file.annotations), file.images, FIGURE, limit=99)
    metrics, _ = evaluate_pose_model(Perfect([data[i] for i in range(len(data))]), test_set)
    assert metrics["AP"] == pytest.approx(1)


REMARKED: dict[str, tuple[Callable[[Document], None], str]] = {
    "nobody": (
        lambda document: document.update(annotations=[]),
        "no person to find has a labelled keypoint (images: 5)",
    ),
    "crowds": (each(lambda row: row.update(iscrowd=1)), "no person to find has a labelled keypoint (images: 5)"),
    "one keypoint without an area": (
        each(lambda row: (row.update(keypoints=[5, 5, 2] + [0] * 12), row.pop("bbox"), row.pop("area"))),
        "people with an area of 0, which counts as missed",
    ),
}


@pytest.mark.parametrize(("change", "line"), REMARKED.values(), ids=REMARKED)
def test_what_cannot_be_found_is_said(
    source: SourceConfig,
    tmp_path: Path,
    change: Callable[[Document], None],
    line: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = changed(source, tmp_path, change)
    open_pose_test_set(str(file.annotations), file.images, FIGURE)
    assert capsys.readouterr().err.count(line) == 1


def test_refused_in_one_line(source: SourceConfig, tmp_path: Path) -> None:
    """Numbers on a part of the images would be other numbers."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "000001.jpg").write_bytes(b"")
    path = str(source.annotations)
    for images, options, message in (
        (tmp_path / "images", {}, r"is missing in .*images; 4 of 5 images have no file"),
        (
            source.images,
            {"held_out_share": 1e-7},
            "no image to evaluate on, held_out: 1e-07 keeps none of the 5 images",
        ),
        (source.images, {"limit": -1}, "the limit 0 or more, not 0.0, -1"),
    ):
        with pytest.raises(ValueError, match=message):
            open_pose_test_set(path, str(images), FIGURE, **options)  # type: ignore[arg-type]


def test_ids_that_are_texts_are_numbered(
    source: SourceConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = changed(source, tmp_path, with_ids("img{}".format))
    open_pose_test_set(str(text.annotations), text.images, FIGURE)
    assert "image ids are texts, such as 'img1'; they are numbered from 1 on" in capsys.readouterr().err
