"""Label Studio's labels as it writes them (by its documentation)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from associative_embedding.data.label_formats.label_studio import read_label_studio
from support.label_data import dataset, people_of, write_images


def region(kind: str, label: str, name: str, **more: Any) -> dict[str, Any]:
    place = {"x": 25, "y": 50, "width": 0.5} | ({"height": 25} if kind == "rectanglelabels" else {})
    value = {**place, **more.pop("value", {}), kind: [label]}
    return {"id": name, "type": kind, "original_width": 80, "original_height": 60, "value": value, **more}


def studio(folder: Path, result: list[dict[str, Any]], image: str = "/data/upload/3/1a2b3c4d-a.png") -> dict[str, Any]:
    cancelled = {"was_cancelled": True, "result": [region("keypointlabels", "wrong", "w")]}
    task = {"id": 1, "data": {"image": image}, "annotations": [cancelled, {"result": result}]}
    undone = {"id": 2, "data": {"image": "b.png"}, "annotations": []}
    (folder / "a.json").write_text(json.dumps([task, undone]))
    return read_label_studio(folder / "a.json", folder)


def test_label_studio_relations_and_parents(tmp_path: Path) -> None:
    rows = [
        region("rectanglelabels", "cat", "r1", value={"x": 0, "y": 0, "width": 100, "height": 100}),
        region("keypointlabels", "nose", "p1"),
        region("keypointlabels", "tail", "p2", parentID="r1", meta={"text": ["occluded"]}),
        region("keypointlabels", "nose", "p3", value={"x": 75}),
        region("keypointlabels", "tail", "p4"),
        {"type": "relation", "from_id": "p1", "to_id": "r1", "direction": "right"},
        {"type": "relation", "from_id": "p3", "to_id": "p4", "direction": "bi"},
        {"type": "choices", "value": {"choices": ["good"]}},
    ]
    found = people_of(studio(tmp_path, rows))
    assert found == {
        "1a2b3c4d-a.png": [
            ("cat", {"nose": (20, 30, 2), "tail": (20, 30, 1)}, [0, 0, 80, 60]),
            ("person", {"nose": (60, 30, 2), "tail": (20, 30, 2)}, [20, 30, 40, 0]),
        ]
    }


def test_label_studio_names_of_files(tmp_path: Path) -> None:
    rows = [region("keypointlabels", "nose", "p1")]
    assert list(people_of(studio(tmp_path, rows, "/data/local-files/?d=sub/b%20c.png"))) == ["sub/b c.png"]
    assert list(people_of(studio(tmp_path, rows, "https://example.org/x/b%20c.png?token=1"))) == ["b c.png"]
    write_images(tmp_path, dataset(images=1))
    assert list(people_of(studio(tmp_path, rows, "/data/upload/3/1a2b3c4d-a0.png"))) == ["a0.png"]


def test_label_studio_a_long_chain_of_relations(tmp_path: Path) -> None:
    count = 3000
    rows = [region("keypointlabels", f"k{i}", f"p{i}") for i in range(0, count, 3)]  # a skeleton has 1000 at most
    links = [{"type": "relation", "from_id": f"p{i}", "to_id": f"p{i + 1}"} for i in range(count - 1)]
    assert studio(tmp_path, rows + links)["annotations"][0]["num_keypoints"] == count // 3


def exported(folder: Path, *data: dict[str, Any], images: Path | None = None) -> list[str]:
    """File names of tasks with this data."""
    result = [region("keypointlabels", "nose", "p1")]
    tasks = [{"id": i, "data": d, "annotations": [{"result": result}]} for i, d in enumerate(data)]
    (folder / "a.json").write_text(json.dumps(tasks))
    return [image["file_name"] for image in read_label_studio(folder / "a.json", images)["images"]]


@pytest.mark.parametrize(
    ("addresses", "names"),
    [
        (["s3://bucket/day1/1.jpg", "s3://bucket/day2/1.jpg"], ["day1/1.jpg", "day2/1.jpg"]),
        (["https://x.org/a/b/1.jpg?t=1", "https://x.org/a/c/1.jpg"], ["b/1.jpg", "c/1.jpg"]),
        (["s3://bucket/1.jpg", "s3://bucket/day2/1.jpg"], ["1.jpg", "day2/1.jpg"]),
        (["s3://bucket/day1/1.jpg", "s3://bucket/day2/2.jpg"], ["1.jpg", "2.jpg"]),
        (["/data/local-files/?d=day1/1.jpg", "/data/local-files/?d=day2/1.jpg"], ["day1/1.jpg", "day2/1.jpg"]),
        (["gs://a/day1/1.jpg", "gs://a/day2/1.jpg", "gs://a/day2/2.jpg"], ["day1/1.jpg", "day2/1.jpg", "2.jpg"]),
    ],
)
def test_label_studio_equal_names_keep_their_folders(addresses: list[str], names: list[str], tmp_path: Path) -> None:
    assert exported(tmp_path, *[{"image": address} for address in addresses]) == names


def test_label_studio_one_image_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.json: several images are named 1\.jpg"):
        exported(tmp_path, {"image": "s3://bucket/1.jpg"}, {"image": "s3://bucket/1.jpg"})


def test_label_studio_names_are_those_of_files_in_the_folder(tmp_path: Path) -> None:
    for name in ("day1/1.jpg", "day2/2.jpg", "1a2b3c4d-3.jpg", "3.jpg", "4.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    addresses = ["s3://b/x/day1/1.jpg", "s3://b/x/day2/2.jpg", "/data/upload/1/1a2b3c4d-3.jpg", "/u/1/9a2b3c4d-4.jpg"]
    found = exported(tmp_path, *[{"image": address} for address in addresses], images=tmp_path)
    assert found == ["day1/1.jpg", "day2/2.jpg", "1a2b3c4d-3.jpg", "4.jpg"]


@pytest.mark.parametrize(
    ("data", "name", "says"),
    [
        ({"animal": "rat 7", "photo": "s3://b/1.jpg"}, "1.jpg", ""),
        ({"note": "a/b", "n": 3, "photo": "https://x.org/1.PNG?token=a.b"}, "1.PNG", ""),
        ({"image": "rat 7", "photo": "s3://b/1.jpg"}, "1.jpg", ""),
        ({"thumb": "t.jpg", "image": "1.jpg"}, "1.jpg", ""),
        ({"thumb": "t.jpg", "photo": "1.jpg"}, "t.jpg", "1 task (0): the image is 'thumb', not photo"),
        ({"photo": "/data/local-files/?d=a/1.jpg", "animal": "rat"}, "a/1.jpg", ""),
        ({"photo": "s3://b/without-ending"}, "without-ending", ""),
    ],
)
def test_label_studio_the_column_of_the_image(
    data: dict[str, Any], name: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exported(tmp_path, data) == [name]
    line = capsys.readouterr().err
    assert says in line if says else not line


def test_label_studio_what_is_no_point_or_rectangle_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        region("rectanglelabels", "cat", "r1", value={"x": 0, "y": 0, "width": 50, "height": 100}),
        region("keypointlabels", "nose", "p1"),
        region("keypointlabels", "nose", "p2", value={"x": 90}),
        {**region("keypointlabels", "tail", "p3"), "value": {"x": 1, "y": 1, "keypointlabels": ["tail", "tip"]}},
        {**region("polygonlabels", "cat", "g1"), "value": {"points": [[1, 1], [2, 2]], "polygonlabels": ["cat"]}},
    ]
    assert people_of(studio(tmp_path, rows)) == {"1a2b3c4d-a.png": [("cat", {"nose": (20, 30, 2)}, [0, 0, 40, 60])]}
    _undone, regions, point = capsys.readouterr().err.splitlines()
    assert "2 regions (p3 (keypointlabels), g1 (polygonlabels)): no point or rectangle with one label" in regions
    assert "1 point (nose of 1a2b3c4d-a.png): in no box and no group" in point


def test_label_studio_a_turned_box(tmp_path: Path) -> None:
    """It is turned clockwise about its upper left corner; the result is the box around it."""
    value = {"x": 50, "y": 50, "width": 25, "height": 10, "rotation": 90}
    rows = [region("rectanglelabels", "cat", "r1", value=value), region("keypointlabels", "nose", "p1", parentID="r1")]
    ((_, _, box),) = people_of(studio(tmp_path, rows))["1a2b3c4d-a.png"]
    assert box == pytest.approx([34, 30, 6, 20])


def test_label_studio_tasks_that_are_left_out_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The regions of two images of one task have the sizes and percents of their own images."""
    one = [region("keypointlabels", "nose", "p1", to_name="image")]
    other = [region("keypointlabels", "tail", "p2", to_name="second")]
    tasks = [
        {"id": number, "data": {"image": f"{number}.png"}, "annotations": annotations}
        for number, annotations in enumerate([[{"result": one}], [{"result": one + other}], [], []], start=1)
    ]
    (tmp_path / "a.json").write_text(json.dumps(tasks))
    assert people_of(read_label_studio(tmp_path / "a.json")) == {
        "1.png": [("person", {"nose": (20, 30, 2)}, [20, 30, 0, 0])]
    }
    lines = capsys.readouterr().err
    assert "1 task (2): regions of several images, but one image a task is read; left out" in lines
    assert "2 tasks (3, 4): no finished annotation; left out" in lines
