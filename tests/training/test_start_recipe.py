"""The recipe that ``ae train --data`` writes: it can be read, follows from the data, and replaces nobody's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from associative_embedding.apps.cli.commands import build_recipe
from associative_embedding.apps.cli.main import main, parse
from associative_embedding.data.synthetic.videos import write_moving_dataset
from associative_embedding.training.batches import build_stream, build_task
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.start_recipe import name_of_data, write_start_recipe
from associative_embedding.training.validation import build_validation
from support.coco_files import box_mask, compressed, document, thing, write
from support.tiny import FIGURE, log_of, tiny_data
from support.voc_tree import tree


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def read(path: Path) -> Recipe:
    """Reads a recipe as ``ae train`` does, and opens its data."""
    recipe = build_recipe(parse(["train", str(path)]).train)
    build_stream(recipe.data, build_task(recipe), seed=0)
    build_validation(recipe)
    return recipe


def test_poses(tmp_path: Path) -> None:
    source = tiny_data(tmp_path, images=60, size=(96, 128))
    path = write_start_recipe(None, str(source.annotations), None, None)
    assert path == Path(f"{tmp_path.name}-pose.yaml")
    recipe = read(path)
    assert (recipe.task, recipe.output) == ("pose", f"runs/{path.stem}")
    assert recipe.data.skeleton == source.annotations
    assert recipe.data.validation[0].held_out == recipe.data.sources[0].held_out > 0
    assert recipe.data.sources[0].overlap > 0  # several people in an image
    assert recipe.train.validate_every
    assert "60 images of about 128 pixels" in path.read_text()
    assert "5 keypoints" in path.read_text()


def test_few_images_are_all_trained_on(tmp_path: Path) -> None:
    recipe = read(write_start_recipe("pose", str(tiny_data(tmp_path, images=6).annotations), None, "runs/few"))
    assert recipe.data.validation == []
    assert recipe.train.validate_every == 0


@pytest.mark.parametrize(("turn", "rotation"), [(False, 30), (True, 180)])
def test_animals_from_above_are_turned_in_any_direction(tmp_path: Path, turn: bool, rotation: int) -> None:
    source = tiny_data(tmp_path, images=12, size=(128, 128))
    content = json.loads(Path(str(source.annotations)).read_text())
    for i, row in enumerate(content["annotations"]):
        keypoints = np.reshape(row["keypoints"], (-1, 3)).astype(float)
        angle = i * 2.4 if turn else 0.0
        matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        middle = keypoints[:, :2].mean(axis=0)
        keypoints[:, :2] = (keypoints[:, :2] - middle) @ matrix + middle
        row["keypoints"] = keypoints.ravel().tolist()
    Path(str(source.annotations)).write_text(json.dumps(content))
    assert read(write_start_recipe("pose", str(source.annotations), None, "o")).data.augment.rotation == rotation


def test_small_animals_in_large_images_are_looked_for(tmp_path: Path) -> None:
    source = tiny_data(tmp_path, images=10, size=(64, 64), people=(1, 1))
    folder = tmp_path / "large"
    folder.mkdir()
    content = json.loads(Path(str(source.annotations)).read_text())
    for image in content["images"]:
        canvas = np.zeros((600, 900, 3), np.uint8)
        canvas[:64, :64] = cv2.imread(str(Path(source.images) / image["file_name"]))
        cv2.imwrite(str(folder / image["file_name"]), canvas)
        image["width"], image["height"] = 900, 600
    (tmp_path / "large.json").write_text(json.dumps(content))
    recipe = read(write_start_recipe("pose", str(tmp_path / "large.json"), str(folder), None))
    assert recipe.output == "runs/large-pose"
    assert recipe.data.validation_size == 640
    assert recipe.data.augment.on_object == 0.8


def test_tracks_and_poses_of_a_video_are_tested_on_its_last_frames(tmp_path: Path) -> None:
    annotations = str(write_moving_dataset(tmp_path / "film", FIGURE, 2, frames=10, size=(64, 64)))
    for task, name in (("tracks", "tracking"), ("pose", "pose")):
        recipe = read(write_start_recipe(task, annotations, None, None))  # type: ignore[arg-type]
        assert recipe.task == name
        assert recipe.data.sources[0].annotations == f"runs/film-{task}-data/train.json"
        assert recipe.data.validation[0].annotations == f"runs/film-{task}-data/test.json"
    still = str(tiny_data(tmp_path / "still").annotations)
    with pytest.raises(ValueError, match=r"tracks need a 'track_id' in every annotation; without them train --task po"):
        write_start_recipe("tracks", still, None, None)


def test_masks_of_several_classes_are_seen_as_whole_images(tmp_path: Path) -> None:
    annotations, images = write(tmp_path, document(thing(1, compressed(box_mask(5, 6, 9, 9)))))
    recipe = read(write_start_recipe(None, annotations, images, "runs/things"))
    assert recipe.task == "segmentation"
    assert recipe.network.start == "nuclei"
    assert (recipe.data.zoom, recipe.data.augment.scale_of) == (0.0, "image")
    assert recipe.masks.classes == ["cat", "tree", "dog"]


def test_cells_are_enlarged_to_the_size_that_the_shipped_weights_know(tmp_path: Path) -> None:
    labels = np.zeros((128, 128), np.uint16)
    labels[20:32, 30:42], labels[60:72, 40:52] = 1, 2
    for folder, picture in (("masks", labels), ("images", (labels * 90).astype(np.uint8))):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), picture)
    recipe = read(write_start_recipe(None, str(tmp_path / "masks"), None, "runs/cells"))
    assert (recipe.data.zoom, recipe.data.augment.scale_of) == (3.0, "pixel")  # 12 pixels become 36


def test_a_voc_tree_is_trained_on_train_and_tested_on_val(tmp_path: Path) -> None:
    tree(tmp_path / "VOC2012")
    recipe = read(write_start_recipe(None, str(tmp_path / "VOC2012"), None, None))
    assert recipe.output == "runs/VOC2012-masks"
    assert [recipe.data.sources[0].split, recipe.data.validation[0].split] == ["train", "val"]


def test_no_file_of_others_and_no_change_is_lost(tmp_path: Path) -> None:
    arguments: tuple[Any, ...] = ("pose", str(tiny_data(tmp_path).annotations), None, "runs/mine")
    path = Path("mine.yaml")
    path.write_text("output: runs/other\n")
    with pytest.raises(ValueError, match=r"mine\.yaml exists and was not written by ae train --data; choose another"):
        write_start_recipe(*arguments)
    assert path.read_text() == "output: runs/other\n"
    path.unlink()
    first = write_start_recipe(*arguments).read_text()
    assert write_start_recipe(*arguments).read_text() == first  # the same command continues a run
    path.write_text(first.replace("batch: 8", "batch: 4"))
    with pytest.raises(
        ValueError, match=r"mine\.yaml was changed since ae wrote it: train with it, ae train mine\.yam"
    ):
        write_start_recipe(*arguments)


@pytest.mark.parametrize("name", ["a b", "a: b # c", "q\"uo'te", "{x}OVERLAP", "ü-日本", "-x", "a\\n\nb"])
def test_any_name_of_a_folder_can_be_read(tmp_path: Path, name: str) -> None:
    source = tiny_data(tmp_path / name)
    recipe = read(write_start_recipe("pose", str(source.annotations), None, f"runs/{name}"))
    assert (recipe.data.sources[0].images, recipe.output) == (source.images, f"runs/{name}")


def test_names_of_runs() -> None:
    names = ["my/annotations.json", "/x/mouse.json", "my/labels/train.json", "VOC2012", "/annotations.json", "a b.json"]
    assert [name_of_data(name) for name in names] == ["my", "mouse", "my", "VOC2012", "own", "a-b"]


@pytest.mark.slow
def test_one_command_trains(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = tiny_data(tmp_path, images=30)
    command = ["train", "--data", str(source.annotations), "--images", source.images, "--task", "pose", "--output"]
    settings = [
        "--time",
        "1h",
        "--train.steps=2",
        "--train.batch=2",
        "--data.validation_size",
        "64",
        "--data.workers=0",
    ]
    assert main([*command, "runs/one", *settings, "--data.input_size=64", "--train.device=cpu"]) == 0
    assert [line["event"] for line in log_of(Path("runs/one"))] == ["start", "train", "validation"]
    assert Path("runs/one/report.html").stat().st_size > 10_000
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "ae: wrote one.yaml; to change a setting, edit it and run: ae train one.yaml"
    assert any("at most 1h" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "none.json"], "none.json: cannot read the annotations"),
        (["--data"], "argument --data: expected one argument"),
        (["--data", "x.json", "--task", "single-person"], "must be one of pose, masks, tracks, not 'single-person'"),
        (["--images", "x"], "without a recipe: ae train --data annotations.json"),
    ],
)
def test_wrong_options_get_one_line(arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *arguments]) in (1, 2)
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line
