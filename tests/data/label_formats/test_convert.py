"""COCO -> YOLO, CVAT, Label Studio -> COCO: everybody is still who and where they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from associative_embedding.apps.cli.main import main
from associative_embedding.data.label_formats.convert import READERS, WRITERS
from associative_embedding.data.preparation.write_shards import write_shards
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.evaluation.metrics.oks import evaluate_keypoints
from associative_embedding.io.coco_json import load_skeleton
from associative_embedding.structures.known_skeletons import COCO_17, MPII_16
from support.label_data import Document, H, W, assert_same, dataset, documents, person, write_images
from support.tiny import FIGURE

OUTPUT = {"yolo": "set", "cvat": "annotations.xml", "label-studio": "tasks.json", "coco": "a.json"}
BOTH = sorted(set(READERS) & set(WRITERS))
WITHIN = {"yolo": 1e-3, "cvat": 1e-3, "label-studio": 1e-3, "coco": 0.0}


def there_and_back(document: Document, kind: str, folder: Path, images: str | None = None) -> Document:
    made = WRITERS[kind](document, folder / OUTPUT[kind], images)
    return READERS[kind](made, folder / "set" if kind == "yolo" else images)


@pytest.fixture
def images(tmp_path: Path) -> str:
    return write_images(tmp_path / "images", dataset())


def prefix(kind: str) -> str:
    return "images/train/" if kind == "yolo" else ""


@pytest.mark.parametrize("kind", BOTH)
def test_everybody_comes_back(kind: str, tmp_path: Path, images: str) -> None:
    people = [person(), person(bbox=[0, 0, 20.5, 30]), person(image_id=2), person(image_id=2, keypoints=[0] * 15)]
    document = dataset(people)
    back = there_and_back(document, kind, tmp_path, images)
    assert_same(document, back, WITHIN[kind], prefix(kind))
    assert [(i["width"], i["height"]) for i in back["images"]] == [(W, H)] * 2
    (category,) = back["categories"]
    if kind != "label-studio":  # it has no edges, and the order of keypoints is that in which they occur
        assert category == FIGURE.to_category()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents())
@pytest.mark.parametrize("kind", BOTH)
def test_any_dataset_comes_back(kind: str, document: Document, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    back = there_and_back(document, kind, folder, write_images(folder / "images", document))
    assert_same(document, back, WITHIN[kind], prefix(kind))


@pytest.mark.parametrize("kind", [kind for kind in BOTH if kind != "coco"])
def test_a_second_trip_changes_nothing(kind: str, tmp_path: Path, images: str) -> None:
    once = there_and_back(dataset([person(), person(image_id=2)]), kind, tmp_path / "1", images)
    root = str(tmp_path / "1" / "set") if kind == "yolo" else images
    again = there_and_back(once, kind, tmp_path / "2", root)
    assert_same(once, again, 1e-4)
    assert once["categories"] == again["categories"]


@pytest.mark.parametrize("kind", [kind for kind in BOTH if kind != "coco"])
def test_what_was_converted_can_be_trained_on(kind: str, tmp_path: Path, images: str) -> None:
    """By commands, from a COCO json to another tool's and back, into the reader of ``ae train``."""
    source = tmp_path / "a.json"
    source.write_text(json.dumps(dataset([person(), person(image_id=2)])))
    there, back = tmp_path / OUTPUT[kind], tmp_path / "back.json"
    command = ["data", "convert", str(source), "--from", "coco", "--to", kind, "--output", str(there)]
    assert main([*command, "--images", images]) == 0
    assert main(["data", "convert", str(there), "--from", kind, "--output", str(back)]) == 0
    data = CocoKeypoints(str(back), str(there) if kind == "yolo" else images, FIGURE)
    original = CocoKeypoints(str(source), images, FIGURE)
    assert len(data) == len(original) == 2
    for i in range(2):
        np.testing.assert_allclose(data[i].keypoints, original[i].keypoints, atol=1e-3)
        assert data[i].labelled.all()
        assert data[i].ignore is None


@pytest.mark.parametrize(("folder", "skeleton"), [("coco", COCO_17), ("mpii", MPII_16)])
@pytest.mark.parametrize("kind", [kind for kind in BOTH if kind != "coco"])
def test_real_data_come_back(kind: str, folder: str, skeleton: Any, tmp_path: Path, shared: Path) -> None:
    """60 images each of COCO and MPII, as the reader sees them: coordinates to a thousandth of a pixel."""
    root = shared / "data" / "pose" / folder
    document = json.loads((root / "annotations.json").read_text())
    document["images"] = document["images"][:60]
    ids = {image["id"] for image in document["images"]}
    document["annotations"] = [a for a in document["annotations"] if a["image_id"] in ids]
    (tmp_path / "a.json").write_text(json.dumps(document))
    back = there_and_back(document, kind, tmp_path, str(root / "images"))
    (tmp_path / "b.json").write_text(json.dumps(back))
    before = CocoKeypoints(str(tmp_path / "a.json"), str(root / "images"), skeleton)
    after_root = tmp_path / "set" if kind == "yolo" else root / "images"
    after = CocoKeypoints(str(tmp_path / "b.json"), str(after_root), skeleton)
    assert len(before) == len(after) > 30
    for i in range(len(before)):
        a, b = before[i], after[i]
        visible = a.keypoints[..., 2:] > 0
        np.testing.assert_allclose(b.keypoints * visible, a.keypoints * visible, atol=2e-3, rtol=0)
        assert a.file_name == b.file_name.removeprefix("images/train/")


def test_crowds_are_ignored_regions_afterwards(tmp_path: Path, images: str) -> None:
    crowd = {"iscrowd": 1, "bbox": [0, 0, 30, 30], "segmentation": [[0, 0, 30, 0, 30, 30]]}
    document = dataset([person(), crowd])
    for kind in ("cvat", "label-studio"):
        back = there_and_back(document, kind, tmp_path / kind, images)
        assert [a["num_keypoints"] for a in back["annotations"]] == [4, 0]
    back = there_and_back(document, "yolo", tmp_path / "yolo", images)  # which has no crowds: they are left out
    assert [a["num_keypoints"] for a in back["annotations"]] == [4]


def test_what_was_found_becomes_a_pre_annotation(tmp_path: Path, images: str) -> None:
    found = person(keypoints=[40, 10, 0.7, 30, 20, 0.2, 50, 20.5, 0.9, 0, 0, 0, 45, 40, 1.0], score=0.6)
    document = dataset([found])
    for image in document["images"]:
        image["file_name"] = str(Path(images) / image["file_name"])  # as `ae predict` has them
    (tmp_path / "predictions.json").write_text(json.dumps(document))
    command = ["data", "convert", str(tmp_path / "predictions.json"), "--from", "coco", "--to", "label-studio"]
    assert main([*command, "--output", str(tmp_path / "tasks.json"), "--images", images]) == 0
    first, second = json.loads((tmp_path / "tasks.json").read_text())
    assert "annotations" not in first
    assert first["data"]["image"] == "/data/local-files/?d=a0.png"
    assert first["predictions"][0]["score"] == 0.6
    assert [row["type"] for row in first["predictions"][0]["result"]] == ["rectanglelabels", *["keypointlabels"] * 4]
    assert second["predictions"] == [{"result": [], "model_version": "associative-embedding", "score": 0.0}]


def test_what_yolo_cannot_hold_is_said(tmp_path: Path, images: str, capsys: pytest.CaptureFixture[str]) -> None:
    crowd = person(iscrowd=1, keypoints=[0] * 15, num_keypoints=0)
    far = person(keypoints=[140, 10, 2, 30, 20, 1, 50, 20.5, 2, 0, 0, 0, 45.25, 40, 2])
    point = person(keypoints=[40, 10, 2] + [0] * 12, bbox=None)
    back = there_and_back(dataset([person(), crowd, far, point]), "yolo", tmp_path, images)
    assert [row["num_keypoints"] for row in back["annotations"]] == [4, 3]
    says = [line.split("dataset: ")[1] for line in capsys.readouterr().err.splitlines()]
    assert says == [
        "1 object (a0.png): crowds are left out",
        "1 keypoint (nose of a0.png): outside of the image, so it becomes unlabelled",
        "1 object (a0.png): the box has no area inside of the image; left out",
    ]


@pytest.mark.parametrize("kind", [kind for kind in BOTH if kind != "coco"])
def test_an_image_of_a_wrong_size_is_left_out(
    kind: str, tmp_path: Path, images: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Coordinates relative to it would be wrong."""
    document = dataset()
    document["images"][1]["width"] = W + 1
    back = there_and_back(document, kind, tmp_path, images)
    assert [image["file_name"] for image in back["images"]] == [f"{prefix(kind)}a0.png"]
    assert f"1 image (a1.png): the annotations say {W + 1}x{H}, but" in capsys.readouterr().err
    document["images"][0]["height"] = 5
    with pytest.raises(ValueError, match="no image has the size that the annotations say"):
        WRITERS[kind](document, tmp_path / "out", images)


@pytest.mark.parametrize("kind", [kind for kind in BOTH if kind != "coco"])
def test_two_images_of_one_name_are_refused(kind: str, tmp_path: Path) -> None:
    document = dataset()
    document["images"][1]["file_name"] = "a0.png"
    with pytest.raises(ValueError, match=r"several images are named a0.png"):
        WRITERS[kind](document, tmp_path / "out", None)


def test_categories_without_keypoints_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = dataset()
    document["categories"] += [{"id": 5, "name": "car"}]
    document["annotations"] += [{"id": 9, "image_id": 1, "category_id": 5, "bbox": [1, 1, 5, 5]}]
    WRITERS["yolo"](document, tmp_path / "out", None)
    assert "1 annotation (car): the category has no keypoints; left out" in capsys.readouterr().err


ODD_FORMS: dict[str, dict[str, Any]] = {
    "texts": {"image_id": "1", "category_id": "1", "bbox": ["25", "5", "30", "40"], "num_keypoints": "4"},
    "floats": {"image_id": 1.0, "category_id": 1.0, "num_keypoints": 4.0, "iscrowd": 0.0},
    "missing": {"bbox": None, "area": None, "num_keypoints": None, "iscrowd": None, "segmentation": []},
    "wrong": {"bbox": [0, 0, 0, 0], "area": 0, "num_keypoints": 0, "segmentation": [[]], "iscrowd": False},
    "ids": {"id": 2**80, "track_id": "a-b"},
}


@pytest.mark.parametrize("form", ODD_FORMS)
def test_training_evaluation_shards_and_conversion_agree(form: str, tmp_path: Path, images: str) -> None:
    document = dataset([{**person(), **ODD_FORMS[form]}])
    document["categories"][0]["skeleton"] = [[0, 1], [1, 3]]
    document["images"][0]["file_name"] = ".\\a0.png"
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document), encoding="utf-8-sig")
    write_shards(str(path), images, str(tmp_path / "shards"), 5)
    WRITERS["yolo"](READERS["coco"](path, images), tmp_path / "yolo", images)
    WRITERS["coco"](READERS["yolo"](tmp_path / "yolo", None), tmp_path / "b.json", None)
    expected = dataset([person()])["annotations"][0]["keypoints"]
    for labels, folder in [
        (path, images),
        (tmp_path / "shards" / "annotations.json", tmp_path / "shards"),
        (tmp_path / "b.json", tmp_path / "yolo"),
    ]:
        skeleton = load_skeleton(str(labels))
        assert len(skeleton.edges) == 2
        (keypoints,) = CocoKeypoints(str(labels), str(folder), skeleton)[0].keypoints
        np.testing.assert_allclose(keypoints.ravel(), expected, atol=1e-3)
    result = {"image_id": 1, "category_id": 1, "keypoints": expected, "score": 1.0}
    assert evaluate_keypoints(path, [result])["AP"] == pytest.approx(1)
