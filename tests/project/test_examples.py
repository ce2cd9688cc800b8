"""Scripts of examples/ and experiments/ that make what ships, or numbers of the documents."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch

from associative_embedding.data.readers.coco_records import read_records
from associative_embedding.io.coco_json import load_skeleton
from associative_embedding.model_files.checkpoint import load_model, save_model
from associative_embedding.structures.arrays import Array
from support.paths import ROOT
from support.tiny import photo, tiny_data, tiny_info, tiny_model, tiny_network


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


@pytest.mark.slow
def test_finer_maps_at_first_show_the_same(tmp_path: Path) -> None:
    source, target = tiny_model(tmp_path / "a.safetensors", backbone="mobilenet_v2"), tmp_path / "b.safetensors"
    run("examples/finer_maps.py", source, target)
    (coarse, _), (fine, info) = load_model(source), load_model(target)
    assert (coarse.stride, fine.stride) == (4, 2)
    assert info.options["stride"] == 2
    image = torch.from_numpy(photo(64, 96)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        before, after = coarse.eval()(image)[-1].heatmap, fine.eval()(image)[-1].heatmap
    smaller = torch.nn.functional.avg_pool2d(after, 2)
    assert np.corrcoef(before.flatten(), smaller.flatten())[0, 1] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("only", [(), ("body.encoder", "body.heatmap")])
def test_the_mean_of_some_weights(only: tuple[str, ...], tmp_path: Path) -> None:
    """The others are the last model's."""
    info = tiny_info(backbone="mobilenet_v2")
    files = [tmp_path / f"{seed}.safetensors" for seed in range(2)]
    for seed, file in enumerate(files):
        save_model(file, tiny_network(info, seed), info)
    run("examples/average_models.py", *files, tmp_path / "mean.safetensors", *(["--only", *only] if only else []))
    first, last, mean = (safetensors.torch.load_file(f) for f in (*files, tmp_path / "mean.safetensors"))
    assert mean.keys() == last.keys()
    for name, value in mean.items():
        expected = (first[name] + last[name]) / 2 if name.startswith(only or "") else last[name]
        torch.testing.assert_close(value, expected, msg=name)


@pytest.mark.slow
def test_a_published_model_states_its_looks(tmp_path: Path) -> None:
    source, target = tiny_model(tmp_path / "run.safetensors"), tmp_path / "published.safetensors"
    first, second = ["--scales", 1, 0.5, "--fine-below", 40], ["--refine", "single-person", "--refine-size", 96]
    run("examples/publish.py", source, target, "--input-size", 128, *first, *second)
    _, info = load_model(target)
    assert (info.input_size, info.scales, info.fine_below) == (128, (1.0, 0.5), 40)
    assert (info.refine, info.refine_size) == ("single-person", 96)
    run("examples/publish.py", target, tmp_path / "again.safetensors")
    assert load_model(tmp_path / "again.safetensors")[1] == info


@pytest.mark.slow
def test_the_figure_of_tags_while_training(tmp_path: Path) -> None:
    picture = tmp_path / "tags.png"
    arguments = ["--steps", 6, "--folder", tmp_path / "run", "--output", picture]
    assert run("experiments/tags_while_training.py", *arguments).splitlines()[-1] == f"-> {picture}"
    assert cv2.imread(str(picture)).shape[1] > 800


@pytest.mark.slow
def test_the_sheet_of_failures(tmp_path: Path) -> None:
    """An untrained model misses all of the people who are large enough."""
    source = tiny_data(tmp_path, images=3, size=(128, 160), people=(2, 2))
    model = tiny_model(tmp_path / "m.safetensors", backbone="mobilenet_v2", input_size=96)
    files = ["--annotations", source.annotations, "--images", source.images, "--output", tmp_path / "sheet.png"]
    assert run("examples/failures.py", "--model", model, *files, "--size", 1000).strip() == "0 of 0 people missed"
    assert run("examples/failures.py", "--model", model, *files, "--size", 0).strip() == "6 of 6 people missed"
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (2 * 400, 4 * 400, 3)


def test_labels_are_completed_by_what_was_found(tmp_path: Path) -> None:
    """The labelled person gets a nose, a sure stranger is added, an unsure one and one half known are ignored."""
    skeleton = load_skeleton("coco-17")
    names = ["left_shoulder", "right_shoulder", "left_hip", "right_hip"]
    body = np.array([[60.0, 40, 2], [40, 40, 2], [58, 90, 2], [42, 90, 2]])
    whole = np.zeros((17, 3))
    whole[[skeleton.keypoints.index(name) for name in names]] = body + np.array([1, -1, -1.2])
    whole[skeleton.keypoints.index("nose")] = [50, 20, 0.9]
    whole[skeleton.keypoints.index("left_eye")] = [53, 17, 0.2]  # not sure enough to be taught
    right = np.array([[100.0, 0, 0]]) * (whole[:, 2:] > 0)
    there = np.array([[-1.0, 1, 0]]) * (whole[:, 2:] > 0)  # the labelled person once more: neither added nor ignored
    found = [(0.8, whole), (0.75, whole + there), (0.7, whole + right), (0.3, whole + 2 * right)]

    def person(keypoints: Array, **values: object) -> dict[str, object]:
        return {"image_id": 7, "category_id": 1, "keypoints": keypoints.ravel().tolist(), **values}

    image = {"id": 7, "file_name": "a.jpg", "width": 500, "height": 120}
    labelled = [person(body + np.array([shift, 0, 0]), id=n, area=2000.0) for n, shift in enumerate((0, 350), start=1)]
    category = {"id": 1, "name": "person", "keypoints": names}
    source, results = tmp_path / "labels.json", tmp_path / "found.json"
    source.write_text(json.dumps({"images": [image], "annotations": labelled, "categories": [category]}))
    rows = [person(keypoints, id=n, score=score) for n, (score, keypoints) in enumerate(found, start=1)]
    other = {**image, "id": 1, "file_name": "folder/a.jpg"}
    rows = [{**row, "image_id": 1} for row in rows]
    results.write_text(json.dumps({"images": [other], "annotations": rows, "categories": [skeleton.to_category()]}))

    assert run("experiments/pseudo_labels.py", source, results, tmp_path / "all.json").endswith(
        "5 people and ignored regions\n"
    )
    records, categories, _ = read_records(str(tmp_path / "all.json"), skeleton, {})
    (record,) = records
    assert record.image_id == 7
    assert categories.labelled == list(range(17))
    first, half, added = record.keypoints
    assert first[skeleton.keypoints.index("nose")].tolist() == [50, 20, 2]
    assert first[skeleton.keypoints.index("left_eye"), 2] == 0
    assert np.array_equal(first[[skeleton.keypoints.index(name) for name in names]], body)  # as it was labelled
    assert (half[:, 2] > 0).sum() == 4
    assert (added[:, 2] > 0).sum() == 5
    assert added[0].tolist() == [150, 20, 2]
    unsure, unknown = record.unlabelled
    assert unsure[0] < 240 < 260 < unsure[0] + unsure[2]
    assert np.array_equal(unknown, record.boxes_xywh[1])


def test_hours_of_training_leave_out_breaks(tmp_path: Path) -> None:
    """Two runs: one hour; and half an hour, a night, a quarter, with a validation that does not count either."""
    terms = {"heatmap": 1.0, "pull": 0.1, "push": 0.2}

    def log(name: str, *events: tuple[str, int, float]) -> Path:
        lines = [{"event": event, "step": step, "time": 3600 * hour, **terms} for event, step, hour in events]
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return tmp_path / name

    once = log("once.jsonl", ("start", 0, 2.0), ("train", 50, 2.5), ("train", 100, 3.0))
    resumed = log(
        "resumed.jsonl",
        ("start", 0, 0.0),
        ("train", 50, 0.5),
        ("start", 50, 9.0),
        ("train", 80, 9.25),
        ("val", 80, 9.5),
    )
    output = run("experiments/training_curves.py", once, resumed, "--output", tmp_path / "curves.png")
    assert output.splitlines() == [
        "once: 100 steps, 1.00 hours",
        "resumed: 80 steps, 0.75 hours",
        "all: 1.75 hours",
    ]
    assert cv2.imread(str(tmp_path / "curves.png")) is not None


@pytest.mark.extra
def test_the_photo_of_the_page_is_made_again(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="needs scikit-image")
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    run("examples/page_photo.py", tmp_path / "people.jpg")
    shipped = ROOT / "src" / "associative_embedding" / "apps" / "server" / "page" / "people.jpg"
    new, old = (cv2.imread(str(path)).astype(np.int16) for path in (tmp_path / "people.jpg", shipped))
    assert np.abs(new - old).mean() < 2  # another JPEG library rounds otherwise
