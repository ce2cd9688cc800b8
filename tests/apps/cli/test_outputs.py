"""Every output of every command: it replaces its own files, and keeps a file of anybody else byte by byte."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from scipy.io import savemat

from associative_embedding.apps.cli.main import main
from associative_embedding.networks.efficientnet_lite import EfficientNetLite0
from associative_embedding.tasks.segmentation.settings import MaskDecodeConfig
from associative_embedding.tasks.segmentation.task import SegmentationTask
from associative_embedding.training.run_folder import plain
from support.tiny import photo, tiny_data, tiny_model, tiny_recipe
from support.video_files import write

pytestmark = pytest.mark.extra

MODEL = ("--model", "model.safetensors", "--device", "cpu", "--refine", "none")
DATA = ("--annotations", "data/annotations.json", "--images", "data/images")
CONVERT = ("data", "convert", "data/annotations.json", "--from", "coco", "--to")
FOREIGN = b'{"images": [], "annotations": [], "categories": []}'

# command -> its arguments; what it writes is found by running it
COMMANDS: dict[str, tuple[str, ...]] = {
    "pictures": ("predict", "data/images/000001.jpg", "a.png", *MODEL, "--output", "out"),
    "results": ("predict", "data/images/000001.jpg", *MODEL, "--show", "nothing", "--json", "found.json"),
    "resumed": ("predict", "data/images/000001.jpg", *MODEL, "--show", "nothing", "--resume"),
    "tif": ("predict", "a.png", "--model", "masks.safetensors", "--device", "cpu", "--show", "nothing"),
    "png": ("predict", "a.png", "--model", "masks.safetensors", "--device", "cpu", "--labels", "png"),
    "video": ("predict", "a.mp4", *MODEL, "--track", "--formats", "mp4", "jsonl", "csv", "mot", "--min-score", "0"),
    "evaluate": ("evaluate", *MODEL, *DATA, "--limit", "2", "--json", "metrics.json", "--results", "results.json"),
    "export": ("export", "model.safetensors"),
    "openvino": ("export", "model.safetensors", "--format", "openvino", "--output", "out/m.xml"),
    "weights": ("convert", "lite0.pth", "--from", "efficientnet-lite0"),
    "info": ("info", "model.safetensors", "--json", "info.json"),
    "synthetic": ("data", "synthetic", "drawn", "--images", "2", "--size", "32"),
    "moving": ("data", "synthetic", "drawn", "--images", "1", "--frames", "2", "--size", "32"),
    "mpii": ("data", "mpii", "mpii.mat", "--images", ".", "--output", "mpii.json"),
    "split": ("data", "split", "data/annotations.json", "--output", ".", "--last", "0.4"),
    "coco": (*CONVERT, "coco", "--output", "labels.json"),
    "cvat": (*CONVERT, "cvat", "--output", "labels.xml"),
    "label-studio": (*CONVERT, "label-studio", "--output", "tasks.json"),
    "yolo": (*CONVERT, "yolo", "--output", "yolo", "--images", "data/images"),
    "shard": ("data", "shard", "data/annotations.json", "--images", "data/images", "--output", "shards"),
    "train": ("train", "recipe.yaml"),
}
ONCE = {"yolo": "labels already", "shard": "shards already"}  # each has a folder of its own, and refuses a full one


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the commands read."""
    folder = tmp_path_factory.mktemp("inputs")
    source = tiny_data(folder, images=5)
    tiny_model(folder / "model.safetensors")
    masks = SegmentationTask(("thing",), MaskDecodeConfig())
    tiny_model(folder / "masks.safetensors", task=masks)
    cv2.imwrite(str(folder / "a.png"), photo())
    write(folder / "a.mp4", frames=2)
    recipe = plain(tiny_recipe(Path("."), source, steps=1))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    torch.save(efficientnet(), folder / "lite0.pth")
    mpii = {"annolist": {"image": {"name": "a.png"}, "annorect": []}, "img_train": 1, "single_person": []}
    savemat(folder / "mpii.mat", {"RELEASE": mpii})
    return folder


def efficientnet() -> dict[str, torch.Tensor]:
    """The weights of an EfficientNet-Lite0 by their published names."""
    layers = {
        "stem": "_conv_stem",
        "expand": "_expand_conv",
        "depthwise": "_depthwise_conv",
        "project": "_project_conv",
    }
    norms = {"stem": "_bn0", "expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
    state = {}
    for name, value in EfficientNetLite0().state_dict().items():
        *block, layer, kind, leaf = name.split(".")
        prefix = "".join(f"{part}." for part in block).replace("blocks.", "_blocks.")
        state[f"{prefix}{(layers if kind == 'conv' else norms)[layer]}.{leaf}"] = value
    return state


@pytest.fixture
def place(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a copy of the inputs."""
    shutil.copytree(inputs, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_own_files_are_replaced_and_foreign_files_are_kept(
    name: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, before = COMMANDS[name], content(place)
    assert main(list(command)) == 0
    after = content(place)
    written = sorted(set(after) - set(before))
    assert written
    assert {path: data for path, data in after.items() if path in before} == before
    assert main(list(command)) == (1 if name in ONCE else 0)
    assert ONCE.get(name, "") in capsys.readouterr().err
    for path in written:
        for other in written:
            (place / other).unlink(missing_ok=True)
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(FOREIGN)
        assert main(list(command)) == 1, path
        error = capsys.readouterr().err
        assert (error.count("ae: error: ") == 1 and Path(path).name in error) or name in ONCE, error
        assert content(place) == {**before, path: FOREIGN}, f"{path}: something was written"


INPUT_AS_OUTPUT: dict[str, tuple[str, ...]] = {
    "results over the image": ("predict", "a.png", *MODEL, "--show", "nothing", "--json", "a.png"),
    "results over the model": ("predict", "a.png", *MODEL, "--show", "nothing", "--json", "model.safetensors"),
    "metrics over the truth": ("evaluate", *MODEL, *DATA, "--json", "data/annotations.json"),
    "results over the truth": ("evaluate", *MODEL, *DATA, "--results", "data/annotations.json"),
    "info over the model": ("info", "model.safetensors", "--json", "model.safetensors"),
    "weights over weights": ("convert", "lite0.pth", "--from", "efficientnet-lite0", "--output", "lite0.pth"),
    "a drawing over its skeleton": ("data", "synthetic", "data", "--skeleton", "data/annotations.json"),
    "mpii over its file": ("data", "mpii", "mpii.mat", "--images", ".", "--output", "mpii.mat"),
    "labels over labels": (*CONVERT, "coco", "--output", "data/annotations.json"),
    "tasks over labels": (*CONVERT, "label-studio", "--output", "data/annotations.json"),
    "shards over labels": ("data", "shard", "data/annotations.json", "--images", "data/images", "--output", "data"),
}


@pytest.mark.parametrize("name", INPUT_AS_OUTPUT)
def test_an_input_is_no_output(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(place)
    assert main(list(INPUT_AS_OUTPUT[name])) == 1
    assert "choose another output" in capsys.readouterr().err
    assert content(place) == before


@pytest.mark.parametrize("command", ["split", "coco"])
def test_an_own_file_is_no_output_where_it_is_the_input(command: str, place: Path) -> None:
    """Also by a link: ``train.json`` of an earlier split is split again in its own folder."""
    assert main(list(COMMANDS[command])) == 0
    path = place / ("train.json" if command == "split" else "labels.json")
    before = path.read_bytes()
    (place / "link.json").symlink_to(path)
    arguments = list(COMMANDS[command])
    for source in (path.name, "link.json"):
        arguments[2] = source
        assert main(arguments) == 1
        assert path.read_bytes() == before


def test_metrics_and_results_are_two_files(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *MODEL, *DATA, "--json", "a.json", "--results", "./a.json"]) == 1
    assert "two outputs" in capsys.readouterr().err
    assert not (place / "a.json").exists()


def test_results_of_another_tool_are_kept(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """COCO's results have no place for a mark: the form of the first row and the end of the file must be ours."""
    row = {"image_id": 1, "category_id": 1, "keypoints": [1.0, 2.0, 0.5] * 5, "score": 0.5}
    command = ["evaluate", *MODEL, *DATA, "--limit", "1", "--results", "results.json"]
    others = [json.dumps([row]), json.dumps([row], indent=1) + "\n", json.dumps([{**row, "id": 1}]) + "\n"]
    for text in others:
        (place / "results.json").write_text(text)
        assert main(command) == 1
        assert (place / "results.json").read_text() == text
    (place / "results.json").write_text(json.dumps([row]) + "\n")
    assert main(command) == 0


def test_an_image_of_the_same_name_is_kept_by_yolo(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = place / "yolo" / "images" / "train" / "000002.jpg"
    target.parent.mkdir(parents=True)
    target.write_bytes(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    before = content(place)
    assert main(list(COMMANDS["yolo"])) == 1
    assert "000002.jpg exists" in capsys.readouterr().err
    assert content(place) == before
