"""YOLO's labels as its tools write them (by their documentation)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from associative_embedding.data.label_formats.yolo import read_yolo
from associative_embedding.data.label_formats.yolo_files import label_of
from associative_embedding.data.label_formats.yolo_write import write_yolo, yaml_content
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


def test_yolo_without_mirror_indices_has_unknown_sides(tmp_path: Path) -> None:
    """Ultralytics' default is an empty list, and it then mirrors no image; so do we, and the next data.yaml says it."""
    for flip, known in (("", False), ("flip_idx: []\n", False), ("flip_idx: [0, 1]\n", True)):
        text = f"train: images/train\nval: images/train\nkpt_shape: [2, 3]\n{flip}names:\n  0: worm\n"
        found = read_yolo(yolo(tmp_path / str(len(flip)), text, "0 0.5 0.5 0.5 0.5 " + "0.5 0.5 2 " * 2))
        skeleton = Skeleton.from_category(found["categories"][0])
        assert skeleton.sides_known == known
        assert ("flip_idx" in yaml_content(["worm"], skeleton, {"train"})) == known


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


LINE = "0 0.5 0.5 0.5 0.5 0.25 0.5 2"
FOUND = {"cat": [("cat", {"kpt_0": (20, 30, 2)}, [20, 15, 40, 30])]}
HEAD = "kpt_shape: [1, 3]\nnames: [cat]\n"


def layout(folder: Path, text: str, *images: str, labels: bool = True) -> Path:
    """A dataset in a folder ``set``, with a label file for each image, and its yaml."""
    root = folder / "set"
    for image in images:
        write_images((root / image).parent, {"images": [{"file_name": Path(image).name, "width": 80, "height": 60}]})
        label = label_of(root / image)
        label.parent.mkdir(parents=True, exist_ok=True)
        if labels:
            label.write_text(LINE)
    (root / "data.yaml").write_text(HEAD + text)
    return root / "data.yaml"


@pytest.mark.parametrize(
    ("text", "images"),
    [
        # Roboflow: beside the yaml, not above it
        ("train: ../train/images\nval: ../valid/images\n", ["train/images/a.png", "valid/images/b.png"]),
        ("train: ../train/images\nvalid: ../valid/images\n", ["train/images/a.png", "valid/images/b.png"]),
        # notebooks
        (
            "train: /content/datasets/x/train/images\nval: C:\\x\\val\\images",
            ["train/images/a.png", "val/images/b.png"],
        ),
        ("path: /content/x\ntrain: images/train\nval: images/val\n", ["images/train/a.png", "images/val/b.png"]),
        ("path: ../datasets/set\ntrain: images\nvalidation: more/images", ["images/a.png", "more/images/b.png"]),
        ("path: set\ntrain: set/images\nval: ./val/images\n", ["images/a.png", "val/images/b.png"]),
        ("train: [images/a, images/b]\nval: images/b\n", ["images/a/a.png", "images/b/b.png"]),
        ("train: .\n", ["a.png", "sub/b.png"]),
        ("train: images\nval: {}\n", ["images/a.png", "images/b.png"]),
    ],
)
def test_yolo_layouts(text: str, images: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = read_yolo(layout(tmp_path, text, *images))
    assert people_of(found) == dict.fromkeys(images, FOUND["cat"])
    # with the folder, however it is given
    assert read_yolo(tmp_path / "set", tmp_path / "set") == found
    assert not capsys.readouterr().err


@pytest.mark.parametrize("line", ["data/{}", "./{}", "{}", "{root}/{}", "/home/me/set/{}", "C:\\me\\set\\{}", "set/{}"])
def test_yolo_lists(line: str, tmp_path: Path) -> None:
    images = ["images/train/a.png", "images/train/b.png"]
    file = layout(tmp_path, "train: lists/train.txt\n", *images)
    (tmp_path / "set" / "lists").mkdir()
    lines = [line.format(image, root=tmp_path / "set") for image in images]
    (tmp_path / "set" / "lists" / "train.txt").write_text("\n".join(lines))
    assert people_of(read_yolo(file)) == dict.fromkeys(images, FOUND["cat"])


def test_yolo_names_in_a_list_may_be_relative_to_it(tmp_path: Path) -> None:
    file = layout(tmp_path, "train: images/train.txt\n", "images/a.png")
    (tmp_path / "set" / "images" / "train.txt").write_text("./a.png\n")
    assert people_of(read_yolo(file)) == {"images/a.png": FOUND["cat"]}


def test_yolo_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "train: train.txt\nval: ../val/images\ntest: ''\n"
    file = layout(tmp_path, text, "images/a.png", "images/b.png", "images/c.png")
    (tmp_path / "set" / "train.txt").write_text("images/a.png\nimages/b.png\nimages/c.png\nimages/d.png\n")
    (tmp_path / "set" / "labels" / "b.txt").unlink()
    (tmp_path / "set" / "images" / "c.png").write_text("no image")
    (tmp_path / "set" / "images" / "._a.png").touch()
    assert people_of(read_yolo(file)) == {"images/a.png": FOUND["cat"], "images/b.png": []}
    says = [line.split("data.yaml: ")[1] for line in capsys.readouterr().err.splitlines()]
    assert says == [
        f"1 image (images/d.png): not in {tmp_path / 'set'}; left out",
        f"1 part (val: ../val/images): no images in {tmp_path / 'set'}",
        "1 image (images/b.png): no label file, so it counts as an image without objects",
        "1 file (images/c.png): cannot be read as an image; left out",
    ]


def test_yolo_keypoints_in_pixels_are_refused(tmp_path: Path) -> None:
    text = "train: images/train\nval: images/train\nkpt_shape: [2, 3]\nnames: [rat]\n"
    for keypoints, points in (
        ("1.02 0.5 2 -0.1 0.5 1", {"kpt_0": (81.6, 30, 2), "kpt_1": (-8, 30, 1)}),  # outside, as tools write them
        ("20 30 0 0.5 0.5 2", {"kpt_1": (40, 30, 2)}),
        ("20 30 2 40 30 2", None),
    ):
        file = yolo(tmp_path / keypoints, text, f"0 0.5 0.5 0.25 0.5 {keypoints}")
        if points is None:
            with pytest.raises(ValueError, match=r"line 1: kpt_0 must be relative to the image, in 0..1, not 20 30"):
                read_yolo(file)
        else:
            assert people_of(read_yolo(file))["images/train/a0.png"][0][1] == points


def test_yolo_lines_twice_and_files_of_several_images_and_of_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "train: images/train\nval: images/train\nkpt_shape: [2, 3]\nnames: [rat]\n"
    line = "0 0.5 0.5 0.25 0.5 0.5 0.5 2 0 0 0"
    file = yolo(tmp_path, text, line, line.replace(" ", "  "), line.replace("2 0", "1 0"))
    Image.open(tmp_path / "images/train/a0.png").save(tmp_path / "images/train/a0.bmp")
    for name in ("gone", "classes"):
        (tmp_path / "labels/train" / f"{name}.txt").write_text("")
    found = read_yolo(file)
    assert len(found["annotations"]) == 4
    lines = capsys.readouterr().err
    assert "2 lines (images/train/a0.bmp 2, images/train/a0.png 2): the same as another one of its file; left" in lines
    assert "1 file (a0.txt): the labels of several images, whose names differ in their endings alone" in lines
    assert "1 file (gone.txt): labels of no image of 'train', 'val' or 'test'; left out" in lines


def test_yolo_labels_beside_images_in_a_folder_images(tmp_path: Path) -> None:
    file = layout(tmp_path, "train: images\n", "images/a.png", labels=False)
    (tmp_path / "set" / "images" / "a.txt").write_text(LINE)
    assert people_of(read_yolo(file)) == {"images/a.png": FOUND["cat"]}


@pytest.mark.parametrize(
    ("line", "points", "says"),
    [
        ("0 0.5 0.5 0.5 0.5", {}, "1 line (images/a.png 1): a box without keypoints"),
        ("0 0.5 0.5 0.5 0.5 0.25 0.5 0.87", {"kpt_0": (20, 30, 2)}, "visibilities are no 0, 1 and 2"),
        ("0 0.5 0.5 0.5 0.5 0.25 0.5 2 0.93", {"kpt_0": (20, 30, 2)}, "one number more, the confidence"),
        ("0 0.5 0.5 0.5 0.5 0.25 0.5 1.000", {"kpt_0": (20, 30, 1)}, ""),
        ("0 0.5 0.5 0.5 0.5 0 0 0.0", {}, "no object has a labelled keypoint"),
        ("0.0 0.5 0.5 0.5 0.5 0.25 0.5 2", {"kpt_0": (20, 30, 2)}, ""),
    ],
)
def test_yolo_lines(
    line: str, points: dict[str, Any], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = layout(tmp_path, "train: images\n", "images/a.png")
    (tmp_path / "set" / "labels" / "a.txt").write_text(line)
    assert people_of(read_yolo(file)) == {"images/a.png": [("cat", points, [20, 15, 40, 30])]}
    note = capsys.readouterr().err
    assert says in note if says else not note


@pytest.mark.parametrize(
    ("text", "category", "edges"),
    [
        ("names: {'0': cat}\nskeleton: [[0, 1]]", "cat", [[1, 2]]),
        ("names: [7]\nskeleton: [[1, 2]]", "7", [[1, 2]]),  # counts from 1
        ("nc: 1\nskeleton: [[0, 2]]", "person", []),
        ("nc: 2\nskeleton: [0]", "class_0", []),
    ],
)
def test_yolo_names_and_edges(text: str, category: str, edges: list[list[int]], tmp_path: Path) -> None:
    file = layout(tmp_path, "train: images\n", "images/a.png")
    file.write_text(f"kpt_shape: [2, 3]\ntrain: images\n{text}\n")
    (tmp_path / "set" / "labels" / "a.txt").write_text(LINE + " 0 0 0")
    first = read_yolo(file)["categories"][0]
    assert (first["name"], first["skeleton"]) == (category, edges)


def test_yolo_written_labels_lie_where_ultralytics_reads_them(tmp_path: Path) -> None:
    """A folder `images` in a name would be the last one, which becomes `labels`."""
    found = read_yolo(layout(tmp_path, "train: ../train/images\n", "train/images/a.png"))
    made = write_yolo(found, tmp_path / "new", tmp_path / "set")
    assert people_of(read_yolo(made)) == {"images/train/train/a.png": FOUND["cat"]}
    assert label_of(tmp_path / "new" / "images/train/train/a.png").is_file()
