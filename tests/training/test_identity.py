"""A run continues only what has the same meaning: weights never get other names in silence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from associative_embedding.data.settings import SourceConfig
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.train import train
from support.coco_files import box_mask, compressed, document, thing, write
from support.tiny import tiny_recipe

TURNED = ["right_hip", "left_hip", "right_shoulder", "left_shoulder", "nose"]
RENAMED = ["snout", "left_shoulder", "right_shoulder", "left_hip", "right_hip"]


def with_names(folder: Path, source: SourceConfig, names: list[str]) -> SourceConfig:
    """A source whose first category calls its keypoints otherwise."""
    content = json.loads(Path(str(source.annotations)).read_text())
    category = {"id": 1, "name": "figure", "keypoints": names, "skeleton": content["categories"][0]["skeleton"]}
    path = folder / "other.json"
    path.write_text(json.dumps({**content, "categories": [category]}))
    return replace(source, annotations=str(path))


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (TURNED, r"is of another skeleton \(keypoint 1 is nose in it and right_hip in the recipe\); choose another"),
        (RENAMED, r"is of another skeleton \(keypoint 1 is nose in it and snout in the recipe\)"),
    ],
)
@pytest.mark.parametrize("lost", ["", "model.safetensors", "names in the state"])
def test_keypoints_do_not_change(
    tmp_path: Path, source: SourceConfig, names: list[str], message: str, lost: str
) -> None:
    """The state and the model file have the names, so each of them alone refuses another skeleton."""
    run = train(tiny_recipe(tmp_path, source, steps=1)).parent
    if lost == "model.safetensors":
        (run / lost).unlink()
    elif lost:  # as version 0.1 wrote it
        state = torch.load(run / "state.pt", weights_only=True)
        options = {"stacks": 2, "widths": [8, 8, 8], "stem": [8, 8]}
        torch.save({**state, "identity": repr(("hourglass", 2, sorted(options.items()), 0))}, run / "state.pt")
    before = files_of(run)
    with pytest.raises(ValueError, match=message):
        train(tiny_recipe(tmp_path, with_names(tmp_path, source, names), steps=2))
    assert files_of(run) == before
    train(tiny_recipe(tmp_path, source, steps=2, lr=1e-4, batch=1))  # these settings may change
    assert torch.load(run / "state.pt", weights_only=True)["step"] == 2


def test_edges_and_order_of_grouping_may_change(tmp_path: Path, source: SourceConfig) -> None:
    train(tiny_recipe(tmp_path, source, steps=1))
    content = json.loads(Path(str(source.annotations)).read_text())
    other = replace(source, annotations=str(tmp_path / "other.json"))
    category = {**content["categories"][0], "skeleton": [[1, 2]], "group_order": TURNED, "oks_sigmas": [0.1] * 5}
    Path(str(other.annotations)).write_text(json.dumps({**content, "categories": [category]}))
    train(tiny_recipe(tmp_path, other, steps=2))


def masks_recipe(folder: Path, classes: list[str]) -> Recipe:
    content = document(thing(1, compressed(box_mask(5, 6, 7, 8))))
    (folder / "masks").mkdir(exist_ok=True)
    annotations, images = write(folder / "masks", content)
    recipe = tiny_recipe(folder, SourceConfig(images=images, annotations=annotations), steps=1)
    data = replace(recipe.data, skeleton="coco-17", sigma=2.0)
    return replace(recipe, task="segmentation", masks=replace(recipe.masks, classes=classes), data=data)


def test_classes_do_not_change(tmp_path: Path) -> None:
    train(masks_recipe(tmp_path, ["cat", "dog"]))
    with pytest.raises(ValueError, match=r"other classes \(class 1 is cat in it and dog in the recipe\)"):
        train(masks_recipe(tmp_path, ["dog", "cat"]))
    with pytest.raises(ValueError, match=r"other classes \(it has 2, the recipe 3\)"):
        train(masks_recipe(tmp_path, []))


def test_the_task_does_not_change(tmp_path: Path, source: SourceConfig) -> None:
    """Networks for poses and for two masks can have the same shapes."""
    train(masks_recipe(tmp_path, ["cat", "dog"]))
    with pytest.raises(ValueError, match=r"another task \(it has 'segmentation', the recipe 'pose'\)"):
        train(tiny_recipe(tmp_path, source))


@pytest.mark.parametrize("name", ["model.safetensors", "recipe.yaml", "log.jsonl"])
def test_a_file_of_somebody_else_stays(tmp_path: Path, source: SourceConfig, whole: Path, name: str) -> None:
    """A model that was downloaded into the folder, or the recipe that the user wrote there."""
    content: Any = (whole / name).read_bytes() if name == "model.safetensors" else b"# mine\n"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}:? .*choose another output"):
        train(tiny_recipe(tmp_path, source, steps=1))
    assert files_of(tmp_path / "run") == {name: content}
