"""The command line: what it accepts, and the one line it says to a mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import yaml

from associative_embedding import __version__
from associative_embedding.apps.cli import main as cli
from associative_embedding.apps.cli.commands import build_recipe
from associative_embedding.apps.cli.data_commands import DATA_BUILDERS
from associative_embedding.apps.cli.main import main
from associative_embedding.apps.cli.options import BUILDERS
from associative_embedding.apps.cli.plain_values import new_parser
from associative_embedding.training.run_folder import plain
from support.tiny import FIGURE, tiny_data, tiny_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(plain(tiny_recipe(tmp_path, tiny_data(tmp_path), steps=2))))
    return path


def test_the_whole_chain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Data, training, evaluation and prediction of a new skeleton, by commands alone."""
    skeleton = tmp_path / "skeleton.json"
    skeleton.write_text(json.dumps({"categories": [FIGURE.to_category()]}))
    data = tmp_path / "data"
    options = ["--images", "4", "--size", "64", "--people", "1", "2", "--skeleton", str(skeleton)]
    assert main(["data", "synthetic", str(data), *options]) == 0
    truth = capsys.readouterr().out.strip()
    source = tiny_data(tmp_path / "unused", images=1)
    recipe = plain(tiny_recipe(tmp_path, source, steps=3, save_every=2))
    recipe["data"]["sources"] = [{"annotations": truth, "images": str(data / "images")}]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["train", str(tmp_path / "recipe.yaml"), "--decode.threshold", "0.01"]) == 0
    model = capsys.readouterr().out.strip()
    common = ["--model", model, "--device", "cpu"]
    assert main(["evaluate", *common, "--annotations", truth, "--images", str(data / "images")]) == 0
    assert capsys.readouterr().out.split()[0] == "AP"
    assert main(["predict", str(data / "images"), *common, "--output", str(tmp_path / "out")]) == 0
    document = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert len(document["images"]) == 4
    assert document["categories"][0]["keypoints"] == list(FIGURE.keypoints)


# --- recipes


def test_settings_after_the_recipe_override_it(recipe: Path) -> None:
    options = cli.parse(["train", str(recipe), "--train.lr", "1e-4", "--loss.heatmap=focal", "--train.drops", "[3, 5]"])
    built = build_recipe(options.train)
    original = tiny_recipe(recipe.parent, tiny_data(recipe.parent), steps=2)
    assert (built.train.lr, built.loss.heatmap, built.train.drops) == (1e-4, "focal", (3, 5))
    assert built.train.ema == original.train.ema
    assert built.data == original.data
    assert built.network == original.network


def test_a_recipe_written_by_a_run_is_the_run(recipe: Path) -> None:
    assert main(["train", str(recipe)]) == 0
    again = build_recipe(cli.parse(["train", str(recipe.parent / "run" / "recipe.yaml")]).train)
    assert again == build_recipe(cli.parse(["train", str(recipe)]).train)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trian: {lr: 1}", "unknown setting 'trian'; did you mean 'train'?"),
        ("train: {lrr: 1}", "unknown setting 'train.lrr'; did you mean 'train.lr'?"),
        (
            "train: {learning_rate: 1}",
            "unknown setting 'train.learning_rate'; known are steps, ",
        ),
        ("data: {sources: [{imags: x}]}", "unknown setting 'data.sources.imags'; did you mean 'data.sources.images'?"),
        ("data: {augment: {rotations: 3}}", "did you mean 'data.augment.rotation'?"),
        ("", "the recipe is empty"),
        ("# nothing", "the recipe is empty"),
        ("- 1", "the recipe must be a mapping of settings, not [1]"),
        ("train: 3", "'train' must be a mapping of settings, not 3"),
        ("train: [", "not a YAML file"),
        ("train: {lr: fast}", "train.lr: must be float, not 'fast'"),
        ("train: {steps: 1.5}", "train.steps: must be int, not '1.5'"),
        ("train: {optimizer: sgd}", "train.optimizer: must be one of 'adam', 'adamw', not 'sgd'"),
        ("data: {sources: [{images: x, weight: heavy}]}", "data.sources: weight: must be float, not 'heavy'"),
        ("data: {sources: 3}", "data.sources: must be list, not '3'"),
        ("data: {sources: [3]}", "'data.sources' must be a mapping of settings, not 3"),
        ("train: {lr: -1}", "train.lr must be positive, not -1"),
        ("train: {batch: 0}", "train.batch must be at least 1, not 0"),
        ("decode: {nms: 4}", "decode.nms must be odd and positive, not 4"),
        ("train: {batch: null}", "train.batch must be a whole number, not None"),
        ("train: {optimizer: null}", "train.optimizer must be one of 'adam', 'adamw', not None"),
        ("train: {lr_factors: {encoder: -1}}", "train.lr_factors: encoder must be a number of at least 0, not -1"),
        ("train: {ema: 1}", "train.ema must be at least 0 and below 1, not 1"),
        ("train: {clip: -1}", "train.clip must be at least 0, not -1"),
        ("loss: {pull: null}", "loss.pull must be a number, not None"),
        ("data: {input_size: 100}", "data.input_size must be a multiple of 32 within 32..4096, not 100"),
        ("data: {input_size: 4128}", "data.input_size must be a multiple of 32 within 32..4096, not 4128"),
        ("data: {more_sizes: [128, 100]}", "data.more_sizes must be multiples of 32 within 32..4096, not [128, 100]"),
        ("data: {more_sizes: [0]}", "data.more_sizes must be multiples of 32 within 32..4096, not [0]"),
        (
            "data: {more_sizes: [3200000000]}",
            "data.more_sizes must be multiples of 32 within 32..4096, not [3200000000]",
        ),
        (
            "data: {input_size: 128, more_sizes: [128]}",
            "data.more_sizes must differ from data.input_size, 128, and from each other, not [128]",
        ),
        ("data: {more_sizes: [128, 128]}", "and from each other, not [128, 128]"),
        ("data: {sources: [{images: x, held_out: 1}]}", "held_out must be at least 0 and below 1, not 1"),
    ],
)
def test_a_wrong_recipe_gets_one_line(
    text: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    assert main(["train", str(path)]) == 2
    captured = capfd.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("ae: error: ")
    assert message in line
    assert captured.out == ""


def test_a_missing_recipe_or_a_folder_gets_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for path, message in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        assert main(["train", str(path)]) == 2
        assert capfd.readouterr().err == f"ae: error: {path}: cannot read the recipe ({message})\n"


# --- the other commands

EVALUATE = ["evaluate", "--annotations", "a", "--images", "b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which command? one of predict,train,evaluate,"),
        (["trian", "x"], "invalid choice: 'trian' (choose from 'predict', 'train'"),
        (["train"], "the recipe comes first: ae train RECIPE.yaml"),
        (["train", "--train.lr", "1", "r.yaml"], "the recipe comes first"),
        (["predict"], "the following arguments are required: sources"),
        (["predict", "a.jpg", "--scals", "1"], "unknown option 'scals'; did you mean 'scales'?"),
        (["predict", "a.jpg", "--scales", "big"], "scales element 1: must be float, not 'big'"),
        (["predict", "a.jpg", "--show", "all"], "show: must be one of 'found', 'people', 'tags', 'nothing', not 'all'"),
        (["predict", "a.jpg", "--labels", "jpg"], "labels: must be one of 'tif', 'png', 'none', not 'jpg'"),
        (["predict", "a.jpg", "--min-score", "2"], "min_score must be in [0, 1], not 2"),
        (["predict", "a.jpg", "--input-size", "big"], "input_size: must be int, not 'big'"),
        (["evaluate", "--images", "b"], "the following arguments are required: annotations"),
        (["evaluate", "--annotations", "a", "--images", "b", "--decode", "{x: 1"], "decode: must be dict, not '{x: 1'"),
        (["convert"], "the following arguments are required: file"),
        (
            ["convert", "x", "--from", "y"],
            "from: must be one of 'pose-ae', 'higherhrnet', 'mmpose', 'litepose', 'swahr', 'movenet', "
            "'efficientnet-lite0', 'hrnet-imagenet', not 'y'",
        ),
        (["predict", "a.jpg", "--conf", "0.3"], "unknown option 'conf'; here it is --min_score"),
        (["predict", "--source", "a.jpg"], "sources have no option: ae predict photo.jpg folder/"),
        (["predict", "a.jpg", "--imgsz=640"], "unknown option 'imgsz'; here it is --input_size"),
        ([*EVALUATE, "--weights", "x"], "unknown option 'weights'; here it is --model"),
        ([*EVALUATE, "--protocol", "x"], "protocol: must be one of 'coco', 'crowd"),
        ([*EVALUATE, "--groups", "g.mat"], "--groups needs --protocol mpii, not coco"),
        ([*EVALUATE, "--ablation", "--truth-detections"], "--ablation and --truth_detections are two experiments"),
        ([*EVALUATE, "--ablation", "--results", "r"], "leave --results out"),
        (["data"], "which kind? one of synthetic,mpii,split,convert,shard"),
        (["data", "voc"], "invalid choice: 'voc' (choose from 'synthetic', 'mpii', 'split', 'convert', 'shard')"),
        (["data", "synthetic", "x", "y"], "unexpected argument 'y'"),
        (["data", "synthetic", "x", "--imags", "1"], "unknown option 'imags'; did you mean 'images'?"),
        (["data", "mpii", "a.mat"], "the following arguments are required: images, output"),
        (["data", "mpii", "a.mat", "--part", "val"], "part: must be one of 'train', 'test', 'all', not 'val'"),
    ],
)
def test_a_wrong_command_line_gets_one_line(
    arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capfd.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("ae: error: ")
    assert message in line
    assert captured.out == ""


def test_an_override_that_does_not_exist_gets_one_line(recipe: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for argument, message in (
        ("--train.lrr=1", "unknown option 'train.lrr'; did you mean 'train.lr'?"),
        ("--train.lr=fast", "train.lr: must be float, not 'fast'"),
        ("extra", "unexpected argument 'extra'"),
    ):
        assert main(["train", str(recipe), argument]) == 2
        assert capfd.readouterr().err == f"ae: error: {message}\n"


@pytest.mark.parametrize("command", ["predict", "evaluate", "serve"])
def test_every_command_that_runs_a_model_takes_the_scales_of_tags(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "--tag_scales" in capsys.readouterr().out


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "usage: ae" in text
    assert "<function" not in text
    assert command == "train" or "null" not in text  # a default that explains nothing


@pytest.mark.parametrize("build", [*BUILDERS.values(), *DATA_BUILDERS.values()])
def test_every_option_has_a_text(build: Any) -> None:
    for action in build(new_parser())._actions:
        assert action.help or action.dest == "kind", action.dest


# --- the process


def test_the_installed_command_starts_anew_with_its_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda *a: started.append(a))
    monkeypatch.setattr(cli, "main", lambda: 0)
    monkeypatch.setattr(sys, "argv", ["ae", "predict", "a.jpg"])
    monkeypatch.setattr(sys, "platform", "linux")
    for name in cli.ALLOCATOR:  # set first, so that monkeypatch restores what script() changes
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for _ in range(2):  # the second time the settings are there
        with pytest.raises(SystemExit):
            cli.script()
    assert started == [(sys.executable, [sys.executable, "-P", "-m", "associative_embedding", "predict", "a.jpg"])]
    assert all(os.environ[name] == value for name, value in cli.ALLOCATOR.items())


def test_the_command_is_light_until_it_works() -> None:
    """``ae --version`` and mistakes do not wait for torch."""
    code = (
        "import sys; from associative_embedding.apps.cli.main import main; print('jsonargparse' in sys.modules); "
        "main(['predict']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nFalse\n"
    version = subprocess.run(
        [sys.executable, "-m", "associative_embedding", "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout.strip() == f"associative-embedding {__version__}"


def fail(error: type[BaseException]) -> None:
    raise error("out\nof memory")


@pytest.mark.parametrize(
    ("run", "status", "line"),
    [
        (lambda _: signal.raise_signal(signal.SIGTERM), 130, "ae: terminated"),
        (lambda _: fail(torch.OutOfMemoryError), 1, "ae: error: out of memory"),
        (lambda _: fail(RecursionError), 1, "ae: error: out of memory"),
        (lambda _: fail(cv2.error), 1, "ae: error: out of memory"),
    ],
)
def test_whatever_ends_it_is_one_line(
    run: Any, status: int, line: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setitem(cli.COMMANDS, "predict", run)
    assert main(["predict", "a.jpg"]) == status
    assert capfd.readouterr().err == f"{line}\n"
    assert signal.getsignal(signal.SIGTERM) == handler
