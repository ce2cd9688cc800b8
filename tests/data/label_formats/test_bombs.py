"""Small files of labels that would take gigabytes or hours are refused in one line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.label_data import dataset, person, write_images
from support.memory import measured_command
from support.tiny import FIGURE

MOST = 500  # megabytes of a process that refuses a file; NumPy and OpenCV alone take 100
NAMES = [f"k{i}" for i in range(1000)]
CHAIN = [[i, i + 1] for i in range(999)]


def text(name: str, content: str | bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def xml(inner: str, head: str = "") -> Callable[[Path], Path]:
    return text("annotations.xml", f"{head}<annotations>{inner}</annotations>")


def coco(**changes: Any) -> Callable[[Path], Path]:
    return text("a.json", json.dumps({**dataset(), **changes}))


def yolo(**changes: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_images(folder / "images", dataset(images=1))
        (folder / "labels").mkdir()
        (folder / "labels" / "a0.txt").write_text(changes.pop("labels", ""))
        document = {"train": "images", "kpt_shape": [2, 3], "names": ["a"], **changes}
        (folder / "data.yaml").write_text(json.dumps(document))
        return folder

    return make


def image(inner: str) -> str:
    return f'<image name="a" width="9" height="9">{inner}</image>'


def tasks(*rows: dict[str, Any]) -> Callable[[Path], Path]:
    region = {"original_width": 80, "original_height": 60}
    results = [{"result": [{**region, **row} for row in rows]}]
    return text("a.json", json.dumps([{"id": 1, "data": {"image": "a.png"}, "annotations": results}]))


def tasks_of(address: str) -> Callable[[Path], Path]:
    region = {"original_width": 80, "original_height": 60, **point("a")}
    return text("a.json", json.dumps([{"data": {"image": address}, "annotations": [{"result": [region]}]}]))


def point(label: str) -> dict[str, Any]:
    return {"id": label, "type": "keypointlabels", "value": {"x": 50, "y": 50, "keypointlabels": [label]}}


POINT, BOX = '<points label="a" points="1,2"/>', '<box label="b" xtl="0" ytl="0" xbr="9" ybr="9"/>'
SKELETONS = [FIGURE.to_category(i + 1) | {"name": f"c{i}", "keypoints": NAMES, "skeleton": CHAIN} for i in range(60)]
NESTED = "[" * 100_000
LAUGHS = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(9))

BOMBS: dict[str, tuple[str, Callable[[Path], Path], str]] = {
    "packed json": ("coco", text("a.json.gz", gzip.compress(b"[" + b"[]," * 2**27, 1)), "unpacked it is larger than"),
    "packed tasks": ("label-studio", text("a.json", gzip.compress(bytes(2**29), 1)), "unpacked it is larger than"),
    "packed xml": ("cvat", text("annotations.xml", gzip.compress(bytes(2**20), 1)), "not an XML file"),
    "nested json": ("coco", text("a.json", NESTED), "not a json file"),
    "nested json of Label Studio": ("label-studio", text("a.json", NESTED), "not a json file"),
    "a drawing": ("cvat", xml("<meta><job><labels><label><name>s</name><type>skeleton</type><svg>&lt;circle "
        + "a" * 10**6 + "&gt;</svg></label><label><name>k</name><parent>s</parent></label></labels></job></meta>"),
        "no <image>"),
    "an address": ("label-studio", tasks_of("a/" * 10**5 + "a.png"), ""),
    "a path": ("yolo", yolo(train="a/" * 10**5), "name too long"),
    "nested xml": ("cvat", xml("<a>" * 10**6), "far more elements or attributes"),
    "empty elements": ("cvat", xml("<a/>" * 10**6), "far more elements or attributes"),
    "attributes": ("cvat", xml("<a " + " ".join(f'a{i}=""' for i in range(10**5)) + "/>"), "far more elements"),
    "entities": ("cvat", xml("&l9;", f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]>'), "it has a DOCTYPE"),
    "points and boxes": ("cvat", xml(image(POINT * 9000 + BOX * 9000)), "a has 18000 points and boxes; split it"),
    "skeletons of xml": (
        "cvat",
        xml("<meta><job><labels>" + "<label><type>skeleton</type></label>" * 3000 + "</labels></job></meta>"),
        "keypoint types together",
    ),
    "points in an element": ("cvat", xml(image(f'<points points="{"1,1;" * 10**5}1,1"/>')), "at most 1000 are read"),
    "numbers of many digits": ("coco", coco(images=[{"id": 1, "width": "9" * 10**6}]), "'file_name'"),
    "json of many digits": ("coco", text("a.json", '{"images": ' + "9" * 10**6), "not a json file"),
    "keypoints": ("coco", coco(categories=[{"id": 1, "name": "a", "keypoints": [*NAMES, "a"]}]), "at most 1000"),
    "categories": ("coco", coco(categories=SKELETONS), "60000 keypoint types together"),
    "a large mask": (
        "coco",
        coco(annotations=[{"id": 1, "image_id": 1, "category_id": 1, "segmentation": {
            "size": [10**6, 10**6], "counts": [0, 10**12]}}]),
        "",
    ),
    "runs that wrap around": (
        "coco",
        coco(annotations=[{"id": 1, "image_id": 1, "category_id": 1, "segmentation": {
            "size": [60, 80], "counts": [2**62, 2**62, 2**62, 2**62, 4800]}}]),
        "'bbox' must be a list of 4 numbers",
    ),
    "a run of many bits": (
        "coco",
        coco(annotations=[{"id": 1, "image_id": 1, "category_id": 1, "segmentation": {
            "size": [60, 80], "counts": "o" * 10**6}}]),
        "'bbox' must be a list of 4 numbers",
    ),
    "yolo classes": ("yolo", yolo(names=[f"c{i}" for i in range(600)], kpt_shape=[1000, 2]), "600000 keypoint types"),
    "yolo keypoints": ("yolo", yolo(kpt_shape=[10**9, 2]), "'kpt_shape' must be"),
    "yolo labels": ("yolo", yolo(labels="\n" * (16 * 2**20 + 1)), "16 MB is more than the 16 MB that are read"),
    "csv": ("deeplabcut", text("CollectedData_a.csv", "\n" * (64 * 2**20 + 1)), "64 MB is more than the 64 MB"),
    "a long cell": ("deeplabcut", text("CollectedData_a.csv", "a" * 10**7), "not a csv file"),
    "many cells": ("deeplabcut", text("CollectedData_a.csv", "\n".join(
        f"{head}," + ",".join(f"b{i // 2}" for i in range(10**5)) for head in ("scorer", "bodyparts")
    ) + "\ncoords" + ",x,y" * 50_000 + "\na.png,1,2"), "at most 1000 are read"),
    "labels of one category": ("label-studio", tasks(*(point(f"k{i}") for i in range(5000))), "at most 1000 are read"),
    "a size": ("label-studio", tasks({**point("a"), "original_width": 10**9}), "must be positive integers"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "make", "says"), BOMBS.values(), ids=BOMBS)
def test_bombs(kind: str, make: Callable[[Path], Path], says: str, tmp_path: Path) -> None:
    to = "cvat" if kind == "coco" else "coco"
    command = ["data", "convert", make(tmp_path), "--from", kind, "--to", to, "--output", tmp_path / "out"]
    command += ["--images", tmp_path] if kind == "label-studio" else []
    result = measured_command(*command)
    line = result.errors[-1] if result.errors else ""
    assert says in line
    assert result.status == (1 if says else 0)
    assert len(line) < 1200
    assert result.megabytes < MOST


def test_ordinary_groups_keep_their_boxes(tmp_path: Path) -> None:
    """Two skeletons of one group get a box each, in the order of the file."""
    from associative_embedding.data.label_formats.cvat import read_cvat

    boxes = "".join(f'<box label="b" group_id="1" xtl="{x}" ytl="0" xbr="9" ybr="9"/>' for x in (1, 2))
    skeleton = f'<skeleton label="s" group_id="1">{POINT}</skeleton>'
    document = read_cvat(xml(image(boxes + 2 * skeleton))(tmp_path))
    assert [row["bbox"][0] for row in document["annotations"]] == [1, 2]
    assert person()["bbox"]
