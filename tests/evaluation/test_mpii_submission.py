"""Predictions on MPII Multi-Person in its toolkit's file: the groups of the release, in its order."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat

from associative_embedding.apps.cli.main import main
from associative_embedding.data.preparation.mpii_file import read_mpii
from associative_embedding.data.settings import SourceConfig
from associative_embedding.evaluation.metrics.mpii import COUNTED, PeopleGroup, head_sizes
from associative_embedding.evaluation.metrics.mpii_coco import evaluate_mpii
from associative_embedding.evaluation.metrics.mpii_groups import evaluated_groups, read_groups
from associative_embedding.evaluation.mpii_submission import FILE
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.known_skeletons import MPII_16
from support.commands import evaluate_command
from support.mpii_oracle import ALL, naive_ap
from support.mpii_release import GROUPS, RELEASE, TEST, TRAIN, name_of, write_release
from support.tiny import tiny_model


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mpii")
    write_release(folder)
    for part in ("train", "test", "all"):
        assert convert(folder, part) == 0
    return folder


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random network, which finds people everywhere."""
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    return tiny_model(path, backbone="mobilenet_v2", skeleton=MPII_16, input_size=96)


def convert(folder: Path, part: str) -> int:
    files = [folder / RELEASE, "--images", folder / "images", "--output", folder / f"{part}.json"]
    return main(["data", "mpii", *map(str, files), "--part", part])


def evaluate(model: str, folder: Path, part: str, *options: object) -> int:
    source = SourceConfig(images=str(folder / "images"), annotations=str(folder / f"{part}.json"))
    return evaluate_command(model, source, "--protocol", "mpii", "--groups", folder / GROUPS, *options)


def predicted(path: Path) -> list[tuple[str, Array]]:
    """Each group's image, and ``(P, 16, 3)`` its people, read as MATLAB's users do."""
    found = []
    for entry in loadmat(path)["pred"][0]:
        people = []
        for person in entry["annorect"].ravel():
            keypoints = np.zeros((16, 3))
            for point in person["annopoints"][0, 0]["point"][0]:
                keypoints[int(point["id"].item())] = [point[key].item() for key in ("x", "y", "score")]
            people.append(keypoints)
        found.append((str(entry["image"][0, 0]["name"][0]), np.reshape(people, (-1, 16, 3))))
    return found


def evaluated(folder: Path, train: bool) -> list[tuple[int, list[int]]]:
    """The image and people of each group, by the rule of the toolkit: nobody of them stands apart."""
    listed = []
    for i, (image, groups) in enumerate(zip(read_mpii(folder / RELEASE), read_groups(folder / GROUPS), strict=True)):
        if image.train == train:
            listed += [(i, g.tolist()) for g in groups if len(g) and not any(image.people[n].single for n in g)]
    return listed


@pytest.mark.slow
def test_the_test_set_gives_a_file_and_no_metrics(
    release: Path, finder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers, folder = tmp_path / "n.json", tmp_path / "method"
    assert evaluate(finder, release, "test", "--submission", folder, "--json", numbers) == 0
    out, err = capsys.readouterr()
    assert f"no labels in {TEST} images, so no metrics -> {folder / FILE}" in out
    assert "undefined" not in err
    assert json.loads(numbers.read_text())["metrics"] == {}
    found = predicted(folder / FILE)
    expected = evaluated(release, train=False)
    assert [name for name, _ in found] == [name_of(i) for i, _ in expected]
    assert len(found) == 2
    assert all(people[..., 2].max() > 0 for _, people in found)

    before = (folder / FILE).read_bytes()  # its own file may be written over, and the same results are the same bytes
    assert evaluate(finder, release, "test", "--submission", folder) == 0
    assert (folder / FILE).read_bytes() == before


@pytest.mark.slow
def test_the_file_has_the_metrics_that_are_printed(release: Path, finder: str, tmp_path: Path) -> None:
    """On training images, whose labels are known: the protocol in loops, on what the toolkit would read."""
    numbers = tmp_path / "n.json"
    assert evaluate(finder, release, "train", "--submission", tmp_path / "a", "--json", numbers) == 0
    images = read_mpii(release / RELEASE)
    groups = []
    for (name, people), (i, members) in zip(predicted(tmp_path / "a" / FILE), evaluated(release, True), strict=True):
        assert name == images[i].file_name
        truth = [images[i].people[n] for n in members]
        sizes = head_sizes(np.array([person.head_box for person in truth]))
        groups.append(PeopleGroup(people, np.stack([person.keypoints for person in truth]), sizes))
    assert len(groups) == 5, "one of them a person alone who does not stand apart"
    metrics = json.loads(numbers.read_text())["metrics"]
    assert (metrics["groups"], metrics["groups_left_out"], metrics["single_people"]) == (5, 0, 3)
    assert {name: metrics[name] for name in ALL} == pytest.approx(naive_ap(groups, 0.5))
    assert sum(len(group.predicted) for group in groups) > 5
    assert {int(k) for group in groups for k in np.nonzero(group.predicted[..., 2])[1]} >= set(COUNTED.tolist())


@pytest.mark.slow
def test_the_results_can_be_scored_again(release: Path, finder: str, tmp_path: Path) -> None:
    results, numbers = tmp_path / "r.json", tmp_path / "n.json"
    assert evaluate(finder, release, "train", "--results", results, "--json", numbers) == 0
    assert evaluate(finder, release, "train", "--results", results) == 0, "its own file may be written over"
    again = evaluate_mpii(release / "train.json", json.loads(results.read_text()), groups=read_groups(release / GROUPS))
    metrics = json.loads(numbers.read_text())["metrics"]
    assert {name: metrics[name] for name in again} == pytest.approx(again)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "options", "message"),
    [
        ("test", [], "no person has labels, as in MPII's test images, so there are no metrics; --submission NAME"),
        ("all", ["--submission", "x"], "all.json: has training and test images, and the toolkit evaluates one part"),
        ("test", ["--submission", "x", "--limit", 1], "MPII's toolkit evaluates all groups: leave --limit out"),
    ],
)
def test_what_the_toolkit_would_refuse_gets_one_line(
    release: Path, finder: str, part: str, options: list[Any], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(finder, release, part, *options) == 1
    assert message in capfd.readouterr().err


@pytest.mark.slow
def test_a_release_with_gaps_is_refused_before_any_prediction(
    release: Path, finder: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The toolkit counts the groups: with one missing, all that follow would be compared with a wrong one."""
    copy = tmp_path / "copy"
    shutil.copytree(release, copy)
    (copy / "images" / name_of(TRAIN)).unlink()
    assert convert(copy, "test") == 0
    assert evaluate(finder, copy, "test", "--submission", copy / "m") == 1
    assert "test.json: lacks 1 image with groups, missing in the folder" in capfd.readouterr().err
    document = json.loads((copy / "train.json").read_text())
    (copy / "old.json").write_text(json.dumps({**document, "info": {}}))
    assert evaluate(finder, copy, "old", "--submission", copy / "m") == 1
    assert "a submission needs the json that 'ae data mpii' of this version writes" in capfd.readouterr().err
    assert not (copy / "m" / FILE).exists()
    groups = ["--protocol", "mpii", "--submission", copy / "m"]
    assert evaluate_command(finder, SourceConfig(images=str(copy), annotations="x"), *groups) == 1
    assert "--submission with --protocol mpii needs --groups" in capfd.readouterr().err


def test_groups_with_people_who_stand_apart_are_not_evaluated() -> None:
    groups = [np.array([0]), np.array([1, 2]), np.array([3]), np.array([4, 5]), np.zeros(0, np.int64)]
    assert evaluated_groups(groups, [0, 5]) == [[1, 2], [3]]
    assert evaluated_groups(groups, None) == [[1, 2], [4, 5]]
