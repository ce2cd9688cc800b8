"""YOLO's labels as its tools write them (by their documentation)."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from associative_embedding.data.label_formats.yolo import label_of, read_yolo
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.skeleton import Skeleton
from support.label_data import dataset, people_of, write_images


def yolo(folder: Path, text: str, *lines: str, where: str = "images/train") -> Path:
    write_images(folder / where, dataset(images=1))
    label = label_of(folder / where / "a0.png")
    label.parent.mkdir(parents=True, exist_ok=True)
    label.write_text("\n".join(lines))
    (folder / "data.yaml").write_text(text)
    return folder / "data.yaml"


def test_yolo_without_names_and_visibility(tmp_path: Path) -> None:
    """0 0 is not labelled where nothing says so."""
    text = "path: ../elsewhere\ntrain: images/train\nval: images/train\nkpt_shape: [2, 2]\n"
    found = read_yolo(yolo(tmp_path, text, "0 0.5 0.5 0.25 0.5 0.5 0.25 0 0"))
    assert people_of(found) == {"images/train/a0.png": [("person", {"kpt_0": (40, 15, 2)}, [30, 15, 20, 30])]}
    assert found["images"][0]["split"] == "train"
    assert found["categories"][0]["keypoints"] == ["kpt_0", "kpt_1"]


def test_yolo_with_coco_keypoints_has_their_names(tmp_path: Path) -> None:
    """coco-pose.yaml states no names, but 17 keypoints and which is whose mirror."""
    flip = "[0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]"
    text = f"train: images/train\nval: images/train\nkpt_shape: [17, 3]\nflip_idx: {flip}\nnames:\n  0: person\n"
    found = read_yolo(yolo(tmp_path, text, "0 0.5 0.5 0.5 0.5 " + "0.5 0.5 2 " * 17))
    assert Skeleton.from_category(found["categories"][0]).keypoints == COCO_17.keypoints
    assert Skeleton.from_category(found["categories"][0]).edges == COCO_17.edges
    (tmp_path / "a.json").write_text(json.dumps(found))
    assert CocoKeypoints(str(tmp_path / "a.json"), str(tmp_path), COCO_17)[0].labelled.all()


def test_yolo_list_of_files_background_images_and_flat_folders(tmp_path: Path) -> None:
    text = "train: all.txt\nval: []\nkpt_shape: [1, 3]\nkpt_names: {0: [nose], 1: [beak]}\nnames: [cat, bird]\n"
    file = yolo(tmp_path, text, "1 0.5 0.5 0.5 0.5 0.5 0.5 1", where="flat")
    write_images(tmp_path / "flat", dataset(images=2))
    (tmp_path / "all.txt").write_text("flat/a0.png\nflat/a1.png\n")
    found = people_of(read_yolo(file))
    assert found["flat/a0.png"][0][:2] == ("bird", {"beak": (40, 30, 1)})
    assert found["flat/a1.png"] == []


def test_yolo_sizes_are_of_the_image_as_it_is_shown(tmp_path: Path) -> None:
    text = "train: images/train\nval: images/train\nkpt_shape: [1, 3]\n"
    file = yolo(tmp_path, text, "0 0.5 0.5 0.5 0.5 0.25 0.5 2")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 60)).save(tmp_path / "images" / "train" / "a0.png", exif=exif)
    found = read_yolo(file)
    assert (found["images"][0]["width"], found["images"][0]["height"]) == (60, 80)
    assert people_of(found)["images/train/a0.png"][0][1] == {"kpt_0": (15, 40, 2)}


def test_yolo_the_last_images_in_a_path_becomes_labels() -> None:
    assert label_of(Path("images/x/images/a/b.jpg")) == Path("images/x/labels/a/b.txt")
    assert label_of(Path("x/b.jpg")) == Path("x/b.txt")
