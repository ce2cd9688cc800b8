"""Results for COCO's server: images without annotations, and the official file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from associative_embedding.data.settings import SourceConfig
from associative_embedding.evaluation.metrics.oks import evaluate_keypoints
from associative_embedding.evaluation.submission import keypoints_of_results, submission_path
from associative_embedding.structures.known_skeletons import SKELETONS
from support.commands import evaluate_command

FIND = ["--decode", "{threshold: 0.01}"]


@pytest.fixture
def unlabelled(source: SourceConfig, tmp_path: Path) -> SourceConfig:
    """The images of a source as those of test-dev: no annotations, ids that are not 1, 2, 3."""
    document = json.loads(Path(str(source.annotations)).read_text())
    images = [{**image, "id": image["id"] * 1000 + 7} for image in document["images"]]
    path = tmp_path / "image_info_test-dev2017.json"
    path.write_text(json.dumps({"info": {}, "images": images, "licenses": [], "categories": document["categories"]}))
    return SourceConfig(images=source.images, annotations=str(path))


def test_the_official_name_follows_the_test_set() -> None:
    assert submission_path("a/image_info_test-dev2017.json", "hg4") == "person_keypoints_test-dev2017_hg4_results.zip"
    path = submission_path("person_keypoints_val2017.json.gz", "runs/hg-4.1")
    assert path == str(Path("runs") / "person_keypoints_val2017_hg-4.1_results.zip")
    with pytest.raises(ValueError, match=r"x\.json: a submission is named after its test set"):
        submission_path("x.json", "hg4")
    for name in ("", "runs/", "a b", "..", "ä", "x" * 3 + "\n"):
        with pytest.raises(ValueError, match="the submission's name must be"):
            submission_path("image_info_test-dev2017.json", name)


def test_images_without_annotations_give_the_official_file(
    model: str, source: SourceConfig, unlabelled: SourceConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same results as of the labelled images, under the ids of the json."""
    numbers = tmp_path / "run.json"
    assert evaluate_command(model, unlabelled, "--submission", tmp_path / "tiny", "--json", numbers, *FIND) == 0
    path = tmp_path / "person_keypoints_test-dev2017_tiny_results.zip"
    assert f"images without annotations -> {path}" in capsys.readouterr().out
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["person_keypoints_test-dev2017_tiny_results.json"]
        rows = json.loads(archive.read(archive.namelist()[0]))
    assert {tuple(row) for row in rows} == {("image_id", "category_id", "keypoints", "score")}
    labelled = tmp_path / "labelled.json"
    assert evaluate_command(model, source, "--results", labelled, *FIND) == 0
    assert rows == [{**row, "image_id": row["image_id"] * 1000 + 7} for row in json.loads(labelled.read_text())]
    assert rows
    document = json.loads(numbers.read_text())
    assert document["metrics"] == {}
    assert document["settings"]["images"] == 5

    # Its own file may be written over, the same results are the same bytes, and ids choose images here, too.
    before = path.read_bytes()
    assert evaluate_command(model, unlabelled, "--submission", tmp_path / "tiny", *FIND) == 0
    assert path.read_bytes() == before
    (tmp_path / "ids.txt").write_text("3007\n")
    some = tmp_path / "some.json"
    assert evaluate_command(model, unlabelled, "--results", some, "--ids", tmp_path / "ids.txt", *FIND) == 0
    assert json.loads(some.read_text()) == [row for row in rows if row["image_id"] == 3007]


def test_an_empty_list_of_annotations_is_none(model: str, unlabelled: SourceConfig, tmp_path: Path) -> None:
    """Some tools write one into COCO's lists of images, whose categories have no keypoints."""
    document = json.loads(Path(str(unlabelled.annotations)).read_text())
    document |= {"annotations": [], "categories": CLASSES}
    Path(str(unlabelled.annotations)).write_text(json.dumps(document))
    assert evaluate_command(model, unlabelled, "--results", tmp_path / "r.json", *FIND) == 0
    assert json.loads((tmp_path / "r.json").read_text())


def test_labelled_images_give_metrics_and_the_same_file(
    model: str, source: SourceConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled = tmp_path / "person_keypoints_val2017.json"
    labelled.write_bytes(Path(str(source.annotations)).read_bytes())
    named, numbers = SourceConfig(images=source.images, annotations=str(labelled)), tmp_path / "n.json"
    assert evaluate_command(model, named, "--submission", tmp_path / "tiny", "--json", numbers, *FIND) == 0
    path = tmp_path / "person_keypoints_val2017_tiny_results.zip"
    assert capsys.readouterr().out.splitlines()[-1] == f"-> {path}"
    with zipfile.ZipFile(path) as archive:
        rows = json.loads(archive.read("person_keypoints_val2017_tiny_results.json"))
    metrics = json.loads(numbers.read_text())["metrics"]
    official = evaluate_keypoints(str(source.annotations), rows)
    assert official == {name: metrics[name] for name in official}


def test_results_without_truth_need_a_file_and_no_rules(
    model: str, unlabelled: SourceConfig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "theirs.zip"
    with zipfile.ZipFile(theirs, "w") as archive:
        archive.writestr("a.json", "[]")
    for options, status, message in (
        ([], 1, "has no annotations, so there are no metrics; --submission NAME"),
        (["--results", theirs], 1, "theirs.zip exists and was not written by ae"),
        (["--results", tmp_path / "r.json", "--protocol", "crowdpose"], 1, "leave out --protocol and --groups"),
        (
            ["--results", tmp_path / "r.mat"],
            1,
            "r.mat: --results writes json; --submission NAME writes the file of MPII's",
        ),
        (["--results", "r.json", "--submission", "x"], 2, "are two names of one file"),
        (["--submission", "x", "--ablation"], 2, "leave --submission out"),
        (["--submission", "x", "--track"], 2, "--submission has no effect with --track"),
        (["--truth_detections"], 1, "has no annotations to score: evaluate each row by itself, with --submission"),
    ):
        assert evaluate_command(model, unlabelled, *options) == status, options
        assert message in capfd.readouterr().err
    assert not (tmp_path / "r.json").exists()


def test_what_is_done_is_kept(
    model: str, source: SourceConfig, unlabelled: SourceConfig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A damaged image stops the work, as results of a part are no submission; those before it are in the file."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i, path in enumerate(sorted(Path(source.images).iterdir())):
        (folder / path.name).write_bytes(path.read_bytes() if i != 3 else b"no image")
    broken, results = SourceConfig(images=str(folder), annotations=unlabelled.annotations), tmp_path / "r.json"
    assert evaluate_command(model, broken, "--results", results, *FIND) == 1
    assert {row["image_id"] for row in json.loads(results.read_text())} == {1007, 2007, 3007}
    (folder / sorted(path.name for path in folder.iterdir())[0]).unlink()
    assert evaluate_command(model, broken, "--results", tmp_path / "s.json") == 1
    assert not (tmp_path / "s.json").exists()
    capfd.readouterr()


CLASSES = [{"id": 3, "name": "car"}, {"id": 1, "name": "person", "supercategory": "person"}]


def test_cocos_own_categories_have_no_keypoints() -> None:
    """`image_info_test-dev2017.json` lists classes of objects: results have COCO's 17 keypoints, by name."""
    number, order = keypoints_of_results("a.json", CLASSES, SKELETONS["coco-17"])
    assert (number, order.tolist()) == (1, list(range(17)))
    crowd = SKELETONS["crowdpose-14"]
    number, order = keypoints_of_results("a.json", CLASSES, crowd)
    names = SKELETONS["coco-17"].keypoints
    assert [crowd.keypoints[i] for i in order if i >= 0] == [name for name in names if name in crowd.keypoints]
    assert np.flatnonzero(order < 0).tolist() == [0, 1, 2, 3, 4], "no face: zeros"


@pytest.mark.parametrize("categories", [[], CLASSES[:1]])
def test_categories_without_people_get_one_line(categories: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"a\.json: no category with 'keypoints'"):
        keypoints_of_results("a.json", categories, SKELETONS["coco-17"])
