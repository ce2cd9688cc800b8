"""What is right, and the map that makes scores say so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from associative_embedding.apps.cli.main import main
from associative_embedding.evaluation.calibration import (
    LEAST,
    Judged,
    cross_validated,
    fit_calibration,
    ignored,
    judge,
    right_objects,
    right_people,
)
from associative_embedding.inference.load import load
from associative_embedding.instances import Instances
from associative_embedding.model_files.checkpoint import read_description, read_weights
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.sample import Sample
from support.tiny import FIGURE, photo, tiny_data, tiny_model

PERSON = np.array([[20, 10, 2], [15, 20, 2], [25, 20, 2], [16, 40, 2], [24, 40, 2]], np.float32)
AREA = 900.0


def judged(count: int = 2000, seed: int = 0) -> Judged:
    """Instances that are right as often as the square of their raw score."""
    rng = np.random.default_rng(seed)
    score = rng.random(count)
    return Judged(score, rng.random(count) < score**2)


def people(*keypoints: Array, score: tuple[float, ...]) -> Instances:
    n = len(keypoints)
    return Instances(
        score=np.array(score, np.float32),
        class_id=np.ones(n, np.int64),
        tag=np.zeros((n, 1), np.float32),
        keypoints=np.stack(keypoints).astype(np.float32),
        image_size=(64, 64),
        skeleton=FIGURE,
    )


def truth(ignore: Array | None = None) -> Sample:
    image = np.zeros((64, 64, 3), np.uint8)
    return Sample(image, PERSON[None], np.array([AREA], np.float32), np.ones(5, bool), ignore=ignore)


def test_the_best_scored_of_two_for_one_person_is_right() -> None:
    found = people(PERSON, PERSON, PERSON + np.float32([30, 0, 0]), score=(0.3, 0.6, 0.9))
    assert right_people(truth(), found).tolist() == [False, True, False]


def test_without_people_nobody_is_right() -> None:
    empty = Sample(np.zeros((64, 64, 3), np.uint8), PERSON[None][:0], np.zeros(0, np.float32), np.ones(5, bool))
    assert right_people(empty, people(PERSON, score=(0.5,))).tolist() == [False]


def test_a_person_in_a_crowd_does_not_count() -> None:
    crowd = np.zeros((64, 64), bool)
    crowd[:, 40:] = True
    found = people(PERSON, PERSON + np.float32([30, 0, 0]), score=(0.3, 0.6))
    assert ignored(truth(crowd), found).tolist() == [False, True]
    assert ignored(truth(), found).tolist() == [False, False]


def test_an_object_of_another_class_is_wrong() -> None:
    masks = Masks.from_labels(np.repeat(np.arange(3), 10)[None].repeat(10, axis=0))
    sample = Sample(
        np.zeros((10, 30, 3), np.uint8),
        np.zeros((2, 0, 3), np.float32),
        masks.area.astype(np.float32),
        np.ones(2, bool),
        masks=masks,
        class_id=np.array([0, 1]),
    )
    found = Instances(
        score=np.array([0.9, 0.8], np.float32),
        class_id=np.array([1, 1]),
        tag=np.zeros((2, 1), np.float32),
        keypoints=np.zeros((2, 0, 3), np.float32),
        image_size=(10, 30),
        skeleton=None,
        masks=masks,
    )
    assert right_objects(sample, found).tolist() == [True, False]


def test_calibrated_scores_are_right_as_often_as_they_say() -> None:
    part = judged()
    assert part.error() > 0.1
    assert cross_validated(part).error() < 0.03
    calibration, scores = fit_calibration(part), np.array([0.3, 0.5, 0.7, 0.9])
    assert calibration(scores) == pytest.approx(scores**2, abs=0.05)


def test_few_instances_make_no_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, model = tiny_data(tmp_path, 2), tiny_model(tmp_path / "raw.safetensors", backbone="mobilenet_v2")
    command = ["calibrate", model, "--annotations", str(source.annotations), "--images", source.images]
    assert main([*command, "--output", str(tmp_path / "new.safetensors")]) == 1
    assert "a calibration needs at least 100 instances, and 22 count: use more images" in capsys.readouterr().err
    assert not (tmp_path / "new.safetensors").exists()


def test_who_stands_in_a_crowd_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = np.zeros((64, 64), bool)
    crowd[:, 40:] = True
    found = people(PERSON, PERSON + np.float32([30, 0, 0]), score=(0.3, 0.6))
    samples = [truth(crowd)] * LEAST

    class Data(list[Sample]):
        def read_as(self, reading: object) -> Data:
            return self

    predictor = SimpleNamespace(reading=None, find=lambda image: found)
    judged = judge(predictor, SimpleNamespace(data=Data(samples)))  # type: ignore[arg-type]
    assert len(judged) == LEAST
    assert judged.right.all()


@pytest.mark.parametrize("count", [100, 110, 124])
def test_the_fewest_instances_are_enough_for_their_parts(count: int) -> None:
    """Each map of `cross_validated` is fitted to four fifths of them."""
    assert len(cross_validated(judged(count))) == count


def test_nearly_equal_scores_keep_their_order() -> None:
    rng = np.random.default_rng(0)
    part = Judged(0.5 + 1e-5 * rng.random(1000), rng.random(1000) < 0.5)
    scores = np.linspace(0, 1, 1001)
    assert (np.diff(fit_calibration(part)(scores)) > 0).all()


def test_equal_scores_make_one_point() -> None:
    part = Judged(np.full(300, 0.5), np.arange(300) % 2 == 0)
    assert fit_calibration(part).points == ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0))


def test_a_calibrated_file_shows_other_scores_in_the_same_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tiny_data(tmp_path, 12)
    model, target = tiny_model(tmp_path / "raw.safetensors", backbone="mobilenet_v2"), tmp_path / "new.safetensors"
    command = ["calibrate", model, "--annotations", str(source.annotations), "--images", source.images]
    assert main([*command, "--output", str(target)]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "calibrated" in out
    assert str(target) in out

    before, after = read_weights(model), read_weights(target)
    assert all(np.array_equal(before[0][name], after[0][name]) for name in before[0])
    assert before[1] is not None
    assert after[1] is not None
    assert not before[1].calibration
    assert after[1].task.shown_score == 0.5
    points = after[1].calibration["none"].points

    raw, calibrated = load(model), load(target)
    image = photo(96, 128)
    first, second = raw(image, min_score=0), calibrated(image, min_score=0)
    assert len(first) > 1
    assert second.score == pytest.approx(np.interp(first.score, *np.array(points).T), abs=1e-6)
    assert np.array_equal(first.keypoints, second.keypoints)  # the same order
    assert np.array_equal(raw.find(image).score, calibrated.find(image).score)  # evaluation reads raw scores
    assert np.array_equal(next(iter(calibrated.stream([image], min_score=0))).score, second.score)
    explained = calibrated.explain(image)[0].instances
    assert np.array_equal(explained.score, second.score)
    assert np.array_equal(explained.keypoints, second.keypoints)


def test_a_model_is_not_replaced_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tiny_data(tmp_path, 2)
    model = tiny_model(tmp_path / "raw.safetensors")
    command = ["calibrate", model, "--annotations", str(source.annotations), "--images", source.images]
    assert main([*command, "--output", model]) == 1
    assert "raw.safetensors" in capsys.readouterr().err
    assert read_description(model) is not None


def test_ids_and_held_out_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["calibrate", "person", "--annotations", "a.json", "--ids", "ids.txt", "--held_out", "0.5"]
    assert main([*command, "--output", "new.safetensors"]) == 2
    assert "--ids and --held_out" in capsys.readouterr().err
