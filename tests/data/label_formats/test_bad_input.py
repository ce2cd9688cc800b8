"""Broken labels of other tools: one line that says what, where and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from associative_embedding.apps.cli.data_commands import build_convert
from associative_embedding.apps.cli.main import main
from associative_embedding.data.label_formats import reading as files
from associative_embedding.data.label_formats.convert import READERS, WRITERS
from support.label_data import dataset, person, write_images
from support.tiny import FIGURE

YAML = "train: images\nval: images\nkpt_shape: [2, 3]\nnames: [cat]\n"
LINE = "0 0.5 0.5 0.5 0.5 0.4 0.4 2 0.6 0.6 2"
IMAGE = '<image id="0" name="a.png" width="80" height="60">{}</image>'


def yolo(folder: Path, text: str = YAML, line: str = LINE) -> Path:
    write_images(folder / "images", dataset(images=1))
    (folder / "labels").mkdir()
    (folder / "labels" / "a0.txt").write_text(line)
    (folder / "data.yaml").write_text(text)
    return folder


def unlabelled(folder: Path) -> Path:
    (folder / "labels" / "a0.txt").unlink()
    return folder


def elsewhere(folder: Path) -> Path:
    (folder / "b.png").touch()
    (folder / "set").mkdir()
    (folder / "set" / "all.txt").write_text("../b.png\n")
    (folder / "set" / "data.yaml").write_text(YAML.replace("images", "all.txt"))
    return folder / "set"


def broken(folder: Path) -> Path:
    (folder / "images" / "a0.png").write_text("no image")
    return folder


def xml(folder: Path, inner: str, head: str = "") -> Path:
    path = folder / "annotations.xml"
    path.write_text(f"{head}<annotations><version>1.1</version>{inner}</annotations>")
    return path


def tasks(folder: Path, *rows: dict[str, Any], **task: Any) -> Path:
    path = folder / "tasks.json"
    result = [{"original_width": 80, "original_height": 60, **row} for row in rows]
    path.write_text(json.dumps([{"id": 7, "data": {"image": "a.png"}, "annotations": [{"result": result}], **task}]))
    return path


def point(label: str = "nose", **changes: Any) -> dict[str, Any]:
    value = {"x": 50, "y": 50, "width": 1, "keypointlabels": [label]}
    return {"id": label, "type": "keypointlabels", "value": value | changes}


def csv(folder: Path, *lines: str) -> Path:
    path = folder / "CollectedData_me.csv"
    path.write_text("\n".join(lines))
    return path


HEAD = ("scorer,me,me", "bodyparts,nose,nose", "coords,x,y")
BAD: list[tuple[str, Any, str]] = [
    ("yolo", lambda f: yolo(f, "names: [cat]"), "no 'kpt_shape'"),
    ("yolo", lambda f: yolo(f, "kpt_shape: [2, 4]"), "'kpt_shape' must be [number of keypoints, 2 or 3], not [2, 4]"),
    ("yolo", lambda f: yolo(f, "kpt_shape: ["), "not a YAML file"),
    ("yolo", lambda f: yolo(f, YAML + "flip_idx: [0, 0]"), "'flip_idx' must name each of the 2 keypoints' partner"),
    ("yolo", lambda f: yolo(f, YAML + "flip_idx: [0, x]"), "'flip_idx' must be a list of numbers"),
    ("yolo", lambda f: yolo(f, YAML + "kpt_names: [a]"), "'kpt_names' must be 2 texts"),
    ("yolo", lambda f: yolo(f, YAML + "kpt_names: [a, a]"), "names a keypoint twice"),
    ("yolo", lambda f: yolo(f, YAML.replace("[cat]", "{1: cat}")), "'names' must be a list, or a mapping of 0, 1"),
    ("yolo", lambda f: yolo(f, YAML.replace("images", "pictures")), "no images in"),
    ("yolo", lambda f: yolo(f, YAML, "0 0.5 0.5 0.5"), "a0.txt: line 1: has 4 values, not the 11"),
    ("yolo", lambda f: yolo(f, YAML, "\n" + LINE.replace("0.6", "x")), "line 2: a value must be a number, not 'x'"),
    ("yolo", lambda f: yolo(f, YAML, LINE.replace("0.6", "nan")), "must be a number, not 'nan'"),
    ("yolo", lambda f: yolo(f, YAML, "1" + LINE[1:]), "class 1 is none of the 1 in 'names'"),
    ("yolo", lambda f: yolo(f, YAML, LINE.replace(" 0.5", " 40", 1)), "must be relative to the image"),
    ("yolo", lambda f: yolo(f, YAML, LINE[:-1] + "3"), "visibility of kpt_1 must be 0, 1 or 2, not 3"),
    ("yolo", lambda f: unlabelled(yolo(f)), "no label file for any of its 1 images"),
    ("yolo", lambda f: elsewhere(yolo(f)), "b.png is outside of"),
    ("yolo", lambda f: broken(yolo(f)), "none of its 1 images can be read"),
    ("yolo", lambda f: f, "has 0 .yaml files"),
    ("cvat", lambda f: xml(f, ""), "no <image>; export the task from CVAT as 'CVAT for images 1.1'"),
    ("cvat", lambda f: xml(f, "<a>"), "not an XML file"),
    ("cvat", lambda f: xml(f, "<track/>"), "no <image>"),
    ("cvat", lambda f: xml(f, "&x;", '<!DOCTYPE a [<!ENTITY x "y">]>'), "DOCTYPE"),
    ("cvat", lambda f: xml(f, "&x;", '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "DOCTYPE"),
    ("cvat", lambda f: xml(f, '<image id="0" name="a.png" width="0" height="9"/>'), "must be positive integers"),
    ("cvat", lambda f: xml(f, '<image id="0" width="8" height="9"/>'), "has no 'name'"),
    ("cvat", lambda f: xml(f, IMAGE.format("")), "no keypoints are labelled"),
    ("cvat", lambda f: xml(f, IMAGE.format('<points label="nose" points="1"/>')), "points 'nose' must be x,y;x,y"),
    (
        "cvat",
        lambda f: xml(f, IMAGE.format('<points label="nose" points="1,inf"/>')),
        "'a.png': a coordinate of 'nose'",
    ),
    ("cvat", lambda f: xml(f, IMAGE.format('<points label="nose" points="1,2"/>') * 2), "images are named a.png"),
    ("cvat", lambda f: xml(f, IMAGE.format('<box xtl="1"/>')), "'ytl' of a box must be a number, not None"),
    ("label-studio", lambda f: tasks(f, point(x="a")), "region 'nose': 'x' must be a number, not 'a'"),
    ("label-studio", lambda f: tasks(f, point(keypointlabels=[])), "no keypoints are labelled"),
    ("label-studio", lambda f: tasks(f, point(), {"original_width": 5}), "different sizes"),
    ("label-studio", lambda f: tasks(f, point() | {"image_rotation": 90}), "turned images are not read"),
    ("label-studio", lambda f: tasks(f, point(), annotations=None), "needs 'data' and 'annotations'"),
    ("label-studio", lambda f: tasks(f, point(), annotations=[{"result": 1}]), "'result' must be a list"),
    ("label-studio", lambda f: tasks(f, point(), data={}), "'data' names no image (it is empty)"),
    ("label-studio", lambda f: tasks(f, point(), data={"a": "b", "c": "d"}), "'data' names no image (a, c)"),
    (
        "label-studio",
        lambda f: tasks(f, point(), data={"image": "http://[a.png"}),
        "task 7: 'http://[a.png' is no address",
    ),
    ("label-studio", lambda f: csv(f, "{}"), "must be a list of tasks"),
    ("label-studio", lambda f: csv(f, "{"), "not a json file"),
    ("deeplabcut", lambda f: csv(f, "a,b"), "does not begin with the rows scorer"),
    ("deeplabcut", lambda f: csv(f, *HEAD, "a.png,1,z"), "line 4: y of nose must be a number, not 'z'"),
    ("deeplabcut", lambda f: csv(f, *HEAD[:2], "coords,x,likelihood"), "has the column 'likelihood'; only labels"),
    ("deeplabcut", lambda f: csv(f, *HEAD[:2], "coords,x"), "does not begin with the rows"),
    ("deeplabcut", lambda f: csv(f).rename(f / "a.h5"), "give the CollectedData_....csv"),
    ("deeplabcut", lambda f: f, "no CollectedData_....csv"),
    ("coco", lambda f: csv(f, "[]"), "needs a list of objects 'images'"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "make", "says"), BAD, ids=[f"{kind}-{n}" for n, (kind, _, _) in enumerate(BAD)])
def test_bad_input_is_one_line(
    kind: str, make: Any, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make(tmp_path)
    if kind == "deeplabcut" and source == tmp_path:
        (tmp_path / "labeled-data").mkdir()
    output = tmp_path / "out" / "a.json"
    assert main(["data", "convert", str(source), "--from", kind, "--to", "coco", "--output", str(output)]) == 1
    *remarks, line = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert str(tmp_path) in line
    assert all(remark.startswith(f"ae: {tmp_path}") for remark in remarks)
    assert not output.exists()


WRITE: list[tuple[str, dict[str, Any], str]] = [
    ("yolo", dataset([person(keypoints=[1])]), "annotation 1: 'keypoints' must be a list of 15"),
    ("yolo", dataset([person(keypoints=[0] * 15, bbox=[1])]), "'bbox' must be a list of 4 finite numbers"),
    ("yolo", {**dataset(), "categories": [{"id": 1, "name": "a"}]}, "no category with 'keypoints'"),
    ("cvat", {**dataset(), "categories": [FIGURE.to_category(), FIGURE.to_category(2)]}, "same name or id"),
    ("cvat", dataset([person(keypoints=[3] * 15)]), "visibility must be 0, 1 or 2, not 3"),
    ("label-studio", dataset([person(image_id=9)]), "'image_id' 9 is not in 'images'"),
]


@pytest.mark.parametrize(("to", "document", "says"), WRITE)
def test_what_cannot_be_written(to: str, document: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as error:
        WRITERS[to](document, tmp_path / "out" / "x.xml", None)
    assert says in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "C:\\a.png", "..\\a.png", ""])
def test_no_file_outside_of_the_folder(name: str, tmp_path: Path) -> None:
    document = dataset()
    document["images"][0]["file_name"] = name
    with pytest.raises(ValueError, match="must be inside of the folder"):
        WRITERS["yolo"](document, tmp_path / "set", None)


def test_two_images_with_one_label_file(tmp_path: Path) -> None:
    document = dataset()
    document["images"][1]["file_name"] = "a0.jpg"
    with pytest.raises(ValueError, match=r"a0.png and a0.jpg would have the same label file"):
        WRITERS["yolo"](document, tmp_path / "set", None)


def test_labels_that_are_there_are_not_mixed(tmp_path: Path) -> None:
    WRITERS["yolo"](dataset(), tmp_path, None)
    with pytest.raises(ValueError, match="has labels already"):
        WRITERS["yolo"](dataset(), tmp_path, None)


@pytest.mark.parametrize("to", ["yolo", "cvat", "label-studio"])
def test_a_size_that_is_not_known(to: str, tmp_path: Path) -> None:
    document = dataset()
    del document["images"][0]["width"], document["images"][0]["height"]
    with pytest.raises(ValueError, match=r"the size of a0.png is not known; give the folder of the images"):
        WRITERS[to](document, tmp_path / "out", None)
    write_images(tmp_path / "images", dataset())
    assert WRITERS[to](document, tmp_path / "out", tmp_path / "images").is_file()


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split it"):
        files.read_bytes(xml(tmp_path, ""), limit=10)


def test_sources_and_folders_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["data", "convert", str(tmp_path / "no"), "--from", "yolo", "--output", str(tmp_path / "a.json")]
    assert main(command) == 1
    assert "no such file or folder" in capsys.readouterr().err
    command[2] = str(tmp_path)
    assert main([*command, "--images", str(tmp_path / "no")]) == 1
    assert "no such folder of images" in capsys.readouterr().err
    assert main([*command[:4], "nobody", *command[5:]]) == 2


def test_the_command_knows_all_readers_and_writers() -> None:
    from jsonargparse import ArgumentParser

    parser = build_convert(ArgumentParser(exit_on_error=False))
    text = parser.format_help()
    assert "{" + ",".join(READERS) + "}" in text
    assert "{" + ",".join(WRITERS) + "}" in text
