"""Evaluation: the numbers are the official ones of what the predictor finds, whatever the truth's skeleton."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from associative_embedding.apps.cli import evaluate as run_evaluate
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.settings import SourceConfig
from associative_embedding.evaluation import poses
from associative_embedding.evaluation.ground_truth import truth_for, truth_of_source
from associative_embedding.evaluation.metrics.oks import KEYPOINT_METRICS, evaluate_keypoints
from associative_embedding.evaluation.poses import coco_results, evaluate_samples
from associative_embedding.inference.load import load
from associative_embedding.io import files as output
from associative_embedding.training.validation import build_validation
from support.commands import evaluate_command
from support.perfect import Perfect
from support.tiny import FIGURE, tiny_recipe


def test_the_truth_itself_has_ap_1(source: SourceConfig) -> None:
    """Through targets, decode, results and pycocotools: an error of half a pixel anywhere would show."""
    data = CocoKeypoints(source.annotations, source.images, FIGURE)
    samples = [data[i] for i in range(len(data))]
    truth = truth_of_source(source, FIGURE, set(data.image_ids))
    numbers = evaluate_samples(Perfect(samples), ((s, truth[s.image_id]) for s in samples), count=len(samples))
    assert numbers["AP"] == pytest.approx(1.0)
    assert numbers["AR75"] == pytest.approx(1.0)
    assert numbers["keypoints_grouped_right"] == numbers["people_grouped_right"] == 1


def test_the_command_prints_and_writes_the_official_numbers(
    model: str, source: SourceConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers, results = tmp_path / "out.json", tmp_path / "results.json"
    options = ["--scales", 1, 0.5, "--flip", "--decode", "{tag_threshold: 2.0}", "--limit", 4]
    assert evaluate_command(model, source, "--json", numbers, "--results", results, *options) == 0
    names, values = capsys.readouterr().out.splitlines()
    assert names.split()[:10] == list(KEYPOINT_METRICS)
    assert len(values.split()) == len(names.split()) == 13
    document = json.loads(numbers.read_text())
    assert document.keys() == {"written_by", "metrics", "model", "settings"}
    assert document["model"] == model
    settings = document["settings"]
    assert (settings["scales"], settings["flip"], settings["images"]) == ([1.0, 0.5], True, 4)
    assert settings["decode"]["tag_threshold"] == 2.0
    again = evaluate_keypoints(str(source.annotations), json.loads(results.read_text()), image_ids=[1, 2, 3, 4])
    assert again == {name: document["metrics"][name] for name in KEYPOINT_METRICS}
    assert json.loads(results.read_text())


def test_a_list_of_ids_chooses_the_images(
    model: str, source: SourceConfig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ids, results, numbers = tmp_path / "ids.txt", tmp_path / "results.json", tmp_path / "out.json"
    ids.write_text("4\n2\n")
    files = ["--ids", ids, "--results", results, "--json", numbers]
    assert evaluate_command(model, source, *files, "--decode", "{threshold: 0.01}") == 0
    assert {row["image_id"] for row in json.loads(results.read_text())} == {2, 4}
    settings = json.loads(numbers.read_text())["settings"]
    assert (settings["ids"], settings["images"]) == (str(ids), 2)
    assert evaluate_command(model, source, "--ids", ids, "--truth-detections", "--json", numbers) == 0
    rows = json.loads(numbers.read_text())["settings"].values()
    assert [row["images"] for row in rows] == [2, 2, 2]
    capfd.readouterr()

    ids.write_text("2\n99\n")
    assert evaluate_command(model, source, "--ids", ids) == 1
    assert "1 of 2 image ids are not in" in capfd.readouterr().err
    assert evaluate_command(model, source, "--ids", ids, "--held-out", 0.5) == 2
    assert evaluate_command(model, source, "--ids", ids, "--json", ids) == 1, "an input is not written over"
    assert ids.read_text() == "2\n99\n"


def test_more_scales_give_other_numbers(model: str, source: SourceConfig, tmp_path: Path) -> None:
    for name, options in (("a", []), ("b", ["--scales", "1.0"]), ("c", ["--flip"]), ("d", ["--input-size", "128"])):
        assert evaluate_command(model, source, "--results", tmp_path / name, *options) == 0
    results = {name: (tmp_path / name).read_bytes() for name in "abcd"}
    assert results["a"] == results["b"]
    assert len(set(results.values())) == 3


def with_keypoints(source: SourceConfig, folder: Path, names: list[str], order: list[int]) -> SourceConfig:
    """The same data with other keypoint names in another order (-1 = one that nobody has labelled)."""
    document = json.loads(Path(str(source.annotations)).read_text())
    document["categories"][0] |= {"keypoints": names, "skeleton": [], "id": 7}
    for key in ("oks_sigmas", "group_order", "flip_pairs"):
        document["categories"][0].pop(key, None)
    for row in document["annotations"]:
        old = np.array(row["keypoints"]).reshape(-1, 3)
        row["keypoints"] = np.where(np.array(order)[:, None] >= 0, old[order], 0).ravel().tolist()
        row["category_id"] = 7
    path = folder / "other.json"
    path.write_text(json.dumps(document))
    return replace(source, annotations=str(path))


def test_keypoints_are_matched_by_name(model: str, source: SourceConfig, tmp_path: Path) -> None:
    """The order in the file does not matter."""
    names = list(FIGURE.keypoints)
    other = with_keypoints(source, tmp_path, names[::-1], [4, 3, 2, 1, 0])
    for name, data in (("a", source), ("b", other)):
        assert evaluate_command(model, data, "--json", tmp_path / name, "--results", tmp_path / f"{name}.results") == 0
    a, b = (json.loads((tmp_path / name).read_text())["metrics"] for name in "ab")
    assert a == pytest.approx(b)
    (row_a, *_), (row_b, *_) = (json.loads((tmp_path / f"{name}.results").read_text()) for name in "ab")
    assert np.reshape(row_b["keypoints"], (-1, 3))[::-1].ravel().tolist() == row_a["keypoints"]
    assert (row_a["category_id"], row_b["category_id"]) == (1, 7)


def test_keypoints_that_only_one_side_has_do_not_count(source: SourceConfig, tmp_path: Path) -> None:
    other = with_keypoints(source, tmp_path, ["tail", "nose", "left_hip"], [1, 0, 3])
    assert other.annotations is not None
    truth = truth_for(other.annotations, FIGURE, {1, 2})
    assert truth.category_id == 7
    assert truth.order.tolist() == [-1, 0, 3]
    assert {row["image_id"] for row in truth.dataset["annotations"]} <= {1, 2}
    for row in truth.dataset["annotations"]:
        keypoints = np.reshape(row["keypoints"], (-1, 3))
        assert (keypoints[0] == 0).all()
        assert row["num_keypoints"] == (keypoints[:, 2] > 0).sum()


def test_results_of_a_type_that_the_model_lacks_are_zero(model: str, source: SourceConfig) -> None:
    data = CocoKeypoints(source.annotations, source.images, FIGURE)
    people = load(model)(data[0].image)
    rows = coco_results([(5, people)], category_id=7, order=np.array([-1, 2]))
    assert {row["image_id"] for row in rows} == {5}
    for row, person in zip(rows, people.keypoints, strict=True):
        assert row["keypoints"][:3] == [0, 0, 0]
        np.testing.assert_allclose(row["keypoints"][3:], person[2], atol=1e-3)


def test_an_error_in_between_does_not_lose_the_results(
    model: str, source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    original, seen = poses.find_people, []

    def interrupting(*arguments: Any) -> Any:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(poses, "find_people", interrupting)
    assert evaluate_command(model, source, "--results", tmp_path / "r.json") == 130
    assert capsys.readouterr().err == f"ae: interrupted; 2 of 5 images are in {tmp_path / 'r.json'}\n"
    assert {row["image_id"] for row in json.loads((tmp_path / "r.json").read_text())} == {1, 2}


def test_results_are_written_while_it_runs(
    model: str, source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that even kill -9 keeps them."""
    now, kept, original = [0.0], [], poses.find_people

    def slow(*arguments: Any) -> Any:
        now[0] += 20
        path = tmp_path / "r.json"
        kept.append(len({row["image_id"] for row in json.loads(path.read_text())}) if path.exists() else 0)
        return original(*arguments)

    monkeypatch.setattr(poses, "find_people", slow)
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    assert evaluate_command(model, source, "--results", tmp_path / "r.json", "--decode", "{min_keypoints: 0}") == 0
    assert kept == [0, 1, 1, 3, 3]


@pytest.mark.parametrize("option", ["--results", "--json"])
def test_a_file_that_cannot_be_written_is_noticed_before_the_work(
    option: str, model: str, source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(poses, "find_people", lambda *_: pytest.fail("it worked in vain"))
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "r.json"):
        assert evaluate_command(model, source, option, path) == 1
        assert capsys.readouterr().err.startswith(f"ae: error: cannot write {path}: ")


def test_the_table_is_printed_even_if_nothing_can_be_written(
    model: str, source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def full(path: Any, document: Any) -> None:
        raise OSError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(run_evaluate, "write_metrics", full)
    assert evaluate_command(model, source, "--json", tmp_path / "out.json") == 1
    assert "AP50" in capsys.readouterr().out


def test_validation_in_training_is_evaluate(model: str, source: SourceConfig, tmp_path: Path) -> None:
    """Crowds and people without labels are ignored by both, and images without people count in both."""
    document = json.loads(Path(str(source.annotations)).read_text())
    first, second, third, *rest = document["annotations"]
    first |= {"iscrowd": 1, "keypoints": [0] * 15, "num_keypoints": 0, "bbox": [0, 0, 160, 128]}
    second |= {"keypoints": [0] * 15, "num_keypoints": 0}
    del third["area"]
    document["annotations"] = [first, second, third, *(row for row in rest if row["image_id"] != 5)]
    path = tmp_path / "crowd.json"
    path.write_text(json.dumps(document))
    changed = replace(source, annotations=str(path))
    assert evaluate_command(model, changed, "--json", tmp_path / "out.json") == 0
    recipe = tiny_recipe(tmp_path, changed, validate=True)
    validate = build_validation(recipe)
    predictor = load(model)
    assert validate is not None
    numbers = validate(predictor.network, predictor.info)
    metrics = json.loads((tmp_path / "out.json").read_text())["metrics"]
    assert numbers.keys() - metrics.keys() == {"PCK", "pixel_error"}  # what training shows besides
    assert {name: numbers[name] for name in metrics} == pytest.approx(metrics)


def test_people_found_in_ignored_regions_are_no_mistakes(source: SourceConfig, tmp_path: Path) -> None:
    """A perfect predictor finds a crowd and an unlabelled person too."""
    data = CocoKeypoints(source.annotations, source.images, FIGURE)
    document = json.loads(Path(str(source.annotations)).read_text())
    ids = [row["image_id"] for row in document["annotations"]]
    several = next(i for i, image_id in enumerate(ids) if ids.count(image_id) > 1)
    document["annotations"][several] |= {"keypoints": [0] * 15, "num_keypoints": 0}
    document["annotations"][several + 1] |= {"keypoints": [0] * 15, "num_keypoints": 0, "iscrowd": 1}
    (tmp_path / "crowd.json").write_text(json.dumps(document))
    truth = truth_of_source(replace(source, annotations=str(tmp_path / "crowd.json")), FIGURE, set(data.image_ids))
    samples = [data[i] for i in range(len(data))]
    numbers = evaluate_samples(Perfect(samples), ((s, truth[s.image_id]) for s in samples))
    assert numbers["AP"] == pytest.approx(1.0)
    missing = {key: [row for row in rows if row["num_keypoints"]] for key, rows in truth.items()}
    assert evaluate_samples(Perfect(samples), ((s, missing[s.image_id]) for s in samples))["AP"] < 0.95


@pytest.mark.slow
def test_the_shipped_model_on_real_photos(shared: Path, tmp_path: Path) -> None:
    """COCO's skeleton, and MPII's by name: a floor far below what the model reaches."""
    for name, floor in (("coco", 0.1), ("mpii", 0.2)):
        folder = shared / "data" / "pose" / name
        source = SourceConfig(images=str(folder / "images"), annotations=str(folder / "annotations.json"))
        assert evaluate_command("person", source, "--limit", "8", "--json", tmp_path / name) == 0
        metrics = json.loads((tmp_path / name).read_text())["metrics"]
        assert metrics["AP"] > floor
        assert metrics["keypoints_grouped_right"] > 0.5


def test_interrupted_without_a_results_file(
    model: str, source: SourceConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupting(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(poses, "find_people", interrupting)
    assert evaluate_command(model, source) == 130
    assert capsys.readouterr().err == "ae: interrupted; 0 of 5 images were done; --results would have kept them\n"
