"""The second look in predictors and commands: which model, which rule and which views."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from associative_embedding.apps.cli.main import main
from associative_embedding.data.settings import SourceConfig
from associative_embedding.inference.load import crop_size, load
from associative_embedding.inference.options import Options
from associative_embedding.inference.pipeline import WORTH_A_LOOK
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.refiner import Changes, Refiner
from associative_embedding.io.images import read_image
from associative_embedding.model_files.checkpoint import load_model, save_model
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.calibration import Calibration
from associative_embedding.tasks.single_person.settings import RefineConfig
from associative_embedding.tasks.single_person.task import SinglePersonTask
from support.tiny import FIGURE, tiny_info, tiny_model, tiny_network


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> str:
    config = RefineConfig(threshold=1e-6, agree=0, duplicate_oks=1)  # believe everything, even of random weights
    path = tmp_path_factory.mktemp("refine") / "single.safetensors"
    return tiny_model(path, task=SinglePersonTask(FIGURE, config), tag_size=0)


def test_a_predictor_refines_what_it_found(model: str, second: str, source: SourceConfig) -> None:
    image = sorted(Path(source.images).iterdir())[0]
    plain, refined = load(model)(image, min_score=0), load(model, refine=second)(image, min_score=0)
    assert len(plain) == len(refined) > 0
    assert (np.diff(refined.score) <= 0).all()
    assert sorted(plain.tag.tolist()) == sorted(refined.tag.tolist())
    assert not np.array_equal(np.sort(plain.keypoints, axis=0), np.sort(refined.keypoints, axis=0))
    decoded, _, _ = load(model, refine=second).explain(image)
    tags = decoded.groups.tag[decoded.group].astype(np.float32)
    assert np.array_equal(tags, decoded.instances.tag)  # who is dropped or changes places takes its group along
    other = load(model, refine=second).with_decode(top_k=30)
    assert np.array_equal(other(image, min_score=0).keypoints, refined.keypoints)


def test_a_model_can_have_a_second_look_of_its_own(
    model: str, second: str, source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file names a shipped model, so it cannot make a user's computer read any other file."""
    network, info = load_model(model)
    save_model(tmp_path / "with.safetensors", network, replace(info, refine="second"))
    save_model(tmp_path / "astray.safetensors", network, replace(info, refine=second))
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    shutil.copy(second, shipped / "second.safetensors")
    digest = hashlib.sha256(Path(second).read_bytes()).hexdigest()
    (shipped / "SHA256SUMS").write_text(f"{digest}  second.safetensors\n")
    monkeypatch.setattr("associative_embedding.model_files.find.WEIGHTS", shipped)

    image = sorted(Path(source.images).iterdir())[0]
    own = load(tmp_path / "with.safetensors")
    assert own.refiner is not None
    assert own.refiner.name == "second"
    assert np.array_equal(own(image).keypoints, load(model, refine=second)(image).keypoints)
    assert load(tmp_path / "with.safetensors", refine="none").refiner is None
    assert load(model).refiner is None
    with pytest.raises(ValueError, match=r"names '.*' as its refiner, which is not shipped"):
        load(tmp_path / "astray.safetensors")
    assert len(load(tmp_path / "astray.safetensors", refine="none")(image)) > 0


def test_evaluation_counts_what_changed(
    model: str, second: str, source: SourceConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--annotations", str(source.annotations), "--images", source.images, "--model", model]
    numbers, results = tmp_path / "numbers.json", tmp_path / "results.json"
    assert main(["evaluate", *files, "--refine", second, "--json", str(numbers), "--results", str(results)]) == 0
    printed = capsys.readouterr().out.splitlines()[-1]
    document = json.loads(numbers.read_text())
    counted = Changes(**document["refined"])
    assert printed == f"refined by {second}: {counted}"
    assert document["settings"]["refine"] == second
    assert counted.people == len(json.loads(results.read_text()))
    assert counted.moved + counted.filled > 0
    assert main(["evaluate", *files, "--json", str(numbers), "--results", str(tmp_path / "plain.json")]) == 0
    assert "refined" not in json.loads(numbers.read_text())
    assert (tmp_path / "plain.json").read_bytes() != results.read_bytes()


def test_prediction_by_command(model: str, second: str, source: SourceConfig, tmp_path: Path) -> None:
    command = ["predict", source.images, "--model", model, "--min_score", "0", "--show", "nothing", "--output"]
    assert main([*command, str(tmp_path / "a")]) == main([*command, str(tmp_path / "b"), "--refine", second]) == 0
    plain, refined = (json.loads((tmp_path / name / "predictions.json").read_text())["annotations"] for name in "ab")
    assert len(plain) == len(refined)
    assert [row["keypoints"] for row in plain] != [row["keypoints"] for row in refined]


def test_the_published_rule_is_one_setting(model: str, second: str, source: SourceConfig, tmp_path: Path) -> None:
    image = sorted(Path(source.images).iterdir())[0]
    plain, refined = load(model)(image, min_score=0), load(model, refine=second, refine_rule="published")
    found = refined(image, min_score=0)
    assert np.array_equal(found.score, plain.score)
    assert not np.array_equal(found.keypoints, plain.keypoints)
    assert refined.settings["refine_rule"] == "published"
    files = ["--annotations", str(source.annotations), "--images", source.images, "--model", model]
    numbers = tmp_path / "numbers.json"
    options = ["--refine", second, "--refine_rule", "published", "--json", str(numbers)]
    assert main(["evaluate", *files, *options]) == 0
    assert json.loads(numbers.read_text())["settings"]["refine_rule"] == "published"
    for stated in ({"refine_rule": "published"}, {"refine_views": "one"}, {"refine_size": 64}):
        with pytest.raises(ValueError, match=f"{next(iter(stated))}: this model has no refiner; name one with refine"):
            load(model, **stated)
        with pytest.raises(ValueError, match=f"{next(iter(stated))}: nobody is refined; leave it out"):
            load(model, refine="none", **stated)
    with pytest.raises(ValueError, match=r"refine\.rule must be one of 'agreement', 'published', not 'paper'"):
        RefineConfig(rule="paper")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--refine", "{model}"], "refine: people are refined by a model of the task single-person, not pose"),
        (["--refine", "nothing"], "refine: model 'nothing' is neither a shipped model"),
        (["--refine", "nothing"], "nor one of ae info --published; 'none' = no refinement"),
        (["--model", "{second}", "--refine", "{second}"], "only a model of the task pose can be refined"),
        (["--model", "{second}", "--show", "tags"], "the model finds a single person and predicts no tags"),
    ],
)
def test_mistakes_get_one_line(
    options: list[str],
    message: str,
    model: str,
    second: str,
    source: SourceConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [option.format(model=model, second=second) for option in options]
    assert main(["predict", source.images, "--model", model, "--output", str(tmp_path), *given]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_broken_weights_are_named_with_their_image(
    model: str, source: SourceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = load(model)
    info = tiny_info(task=SinglePersonTask(FIGURE), tag_size=0)
    network = tiny_network(info)
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)
    broken = Predictor(predictor.network, predictor.info, refiner=Refiner(network, info, FIGURE))
    image = sorted(Path(source.images).iterdir())[0]
    with pytest.raises(ValueError, match=f"{image.name}: the network's output contains NaN"):
        broken(image)


@pytest.mark.parametrize("views", ["both", 2])
def test_other_views_are_refused(model: str, second: str, views: Any) -> None:
    with pytest.raises(ValueError, match=f"refine: views must be one of all, sizes, one, not {views!r}"):
        load(model, refine=second, refine_views=views)


def test_views_are_a_setting(model: str, second: str, source: SourceConfig, tmp_path: Path) -> None:
    command = ["predict", source.images, "--model", model, "--refine", second, "--min_score", "0", "--show", "nothing"]
    assert main([*command, "--refine_views", "all", "--output", str(tmp_path / "all")]) == 0
    assert main([*command, "--output", str(tmp_path / "one")]) == 0  # the default
    several, one = (json.loads((tmp_path / views / "predictions.json").read_text()) for views in ("all", "one"))
    assert several["annotations"] != one["annotations"]
    assert [load(model, refine=second, refine_views=views).settings["refine_views"] for views in (None, "all")] == [
        "one",
        "all",
    ]


def test_the_size_of_crops_is_a_setting(model: str, second: str, source: SourceConfig, tmp_path: Path) -> None:
    """It replaces the refiner's own size; a model file may state it for its own refiner."""
    image = sorted(Path(source.images).iterdir())[0]
    usual, small = load(model, refine=second), load(model, refine=second, refine_size=32)
    assert usual.settings["refine_size"] == load_model(second)[1].input_size == 64
    assert small.settings["refine_size"] == 32
    assert not np.array_equal(usual(image, min_score=0).keypoints, small(image, min_score=0).keypoints)
    command = ["predict", str(image), "--model", model, "--refine", second, "--min_score", "0", "--show", "nothing"]
    assert main([*command, "--refine_size", "32", "--output", str(tmp_path / "small")]) == 0
    (found, *_) = json.loads((tmp_path / "small" / "predictions.json").read_text())["annotations"]
    assert found["keypoints"] == small(image, min_score=0).to_coco(1)[0]["keypoints"]
    for side in (0, 31, 5000):
        with pytest.raises(ValueError, match=rf"refine_size {side} is not within 32\.\.1024 pixels"):
            load(model, refine=second, refine_size=side)


def test_a_model_file_states_the_size_for_its_own_refiner(model: str, second: str, tmp_path: Path) -> None:
    network, info = load_model(model)
    file = tmp_path / "own.safetensors"
    save_model(file, network, replace(info, refine="person-fast", refine_size=32))
    assert load_model(file)[1].refine_size == 32
    with pytest.raises(ValueError, match="task single-person, not pose"):
        load(file)
    own = load_model(file)[1]
    assert crop_size(own, Options()) == 32
    assert crop_size(own, Options(refine_size=96)) == 96
    assert crop_size(own, Options(refine=second)) == 0  # the size suits the file's own refiner
    assert crop_size(info, Options()) == 0


def test_the_models_of_a_person_can_be_evaluated_as_crops_only(
    second: str, source: SourceConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--annotations", str(source.annotations), "--images", source.images]
    assert main(["evaluate", *files, "--model", second]) == 1
    assert "a model of the task single-person does not find the people of an image" in capsys.readouterr().err


def test_who_cannot_be_shown_is_not_looked_at_again(
    model: str, second: str, tmp_path: Path, source: SourceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Doubtful people would cost a crop each. `min_score=0`, as in evaluation, looks at all of them."""
    image = read_image(sorted(Path(source.images).iterdir())[0])
    first = load(model).find(image).score
    # shown scores are ranks, so that a half of the lowest shown score is in the middle of the people
    order = np.unique(first)
    points = ((0.0, 0.0), *((float(s), (i + 1) / (len(order) + 1)) for i, s in enumerate(order)), (1.0, 1.0))
    network, info = load_model(model)
    path = tmp_path / "ranks.safetensors"
    save_model(path, network, replace(info, calibration={"none": Calibration(points)}))
    predictor = load(path, refine=second)
    crops: list[int] = []
    assert predictor.refiner is not None
    look = predictor.refiner.keypoints_in

    def counted(image: Array, boxes: Array) -> Array:
        crops.append(len(boxes))
        return look(image, boxes)

    monkeypatch.setattr(predictor.refiner, "keypoints_in", counted)
    for min_score in (0, 0.5, 1.0):
        predictor(image, min_score=min_score)
    share = predictor.calibration_with("none")(first)
    assert crops == [len(first), *(int((share >= WORTH_A_LOOK * least).sum()) for least in (0.5, 1.0))]
    assert len(first) > crops[1] > crops[2] > 0
    assert len(predictor.find(image)) == len(first)
    (streamed,) = predictor.stream([image], min_score=0.5)
    assert streamed.to_coco(0) == predictor(image, min_score=0.5).to_coco(0)
    decoded, _, _ = predictor.explain(image, min_score=0.5)
    assert len(decoded.instances) == crops[1]
