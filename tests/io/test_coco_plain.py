"""Entries of COCO jsons as many tools write them, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from associative_embedding.io.coco_json import check_coco
from associative_embedding.io.coco_plain import plain_edges

Document = dict[str, Any]
KEYPOINTS = [10, 12, 2, 30, 32, 1]
NAMES = ["nose", "left_ear", "right_ear", "tail"]


def document(where: str = "", value: Any = None) -> Document:
    """One image with one animal; ``image.width`` and so on may have another value, ... = none."""
    image = {"id": 7, "file_name": "7.png", "width": 40, "height": 30}
    row = {"id": 1, "image_id": 7, "category_id": 4, "keypoints": KEYPOINTS, "num_keypoints": 2}
    row |= {"bbox": [5, 6, 30, 28], "area": 400.5, "iscrowd": 0, "segmentation": [[1, 2, 9, 2, 9, 8]]}
    category = {"id": 4, "name": "rat", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}
    entries = {"image": image, "row": row, "category": category}
    if where:
        entry, key = where.split(".")
        entries[entry][key] = value
        entries[entry] = {k: v for k, v in entries[entry].items() if v is not ...}
    return {"images": [entries["image"]], "annotations": [entries["row"]], "categories": [entries["category"]]}


def test_plain_entries_stay_the_same_objects() -> None:
    content = document()
    plain = check_coco(content, "a.json")
    assert plain == content
    for key in ("images", "annotations", "categories"):
        assert plain[key][0] is content[key][0]


SAME = {
    "image.id": ["7", 7.0],
    "image.width": [40.0, "40"],
    "row.image_id": [7.0, "7", "7.0"],
    "row.category_id": ["4", 4.0],
    "row.num_keypoints": [2.0, "2"],
    "row.iscrowd": [False, "0", 0.0],
    "row.bbox": [["5", "6.0", 30, 28.0], [35, 34, -30, -28]],
    "row.area": ["400.5"],
    "row.keypoints": [["10", 12, 2, 30, "32", 1.0], [[10, 12, 2], [30, 32, 1]]],
    "row.segmentation": [[1, 2, 9, 2, 9, 8], [[1, 2], [9, 2], [9, 8]], [[[1, 2], [9, 2], [9, 8]]]],
    "category.id": ["4", 4.0],
    "category.skeleton": [[[0, 1]], [["nose", "tail"]], [[1.0, "2"]], [(1, 2)]],
}


@pytest.mark.parametrize(("where", "value"), [(where, value) for where, values in SAME.items() for value in values])
def test_other_forms_of_a_value(where: str, value: Any) -> None:
    """The same document, also where the result is read once more."""
    content = document(where, value)
    plain = check_coco(content, "a.json")
    assert plain == document()
    assert check_coco(plain, "a.json") == plain
    assert content == document(where, value)  # unchanged


CHANGED: list[tuple[str, Any, dict[str, Any], str]] = [
    ("row.bbox", [5, None, 30, 28], {"bbox": None}, ""),
    ("row.bbox", [], {"bbox": None}, ""),
    ("row.bbox", [0, 0, 0, 0], {"bbox": None}, ""),
    ("row.keypoints", None, {"keypoints": [], "num_keypoints": 0}, ""),
    ("row.keypoints", [10, 12, 2, None, None, 0], {"keypoints": [10, 12, 2, 0, 0, 0]}, ""),
    (
        "row.keypoints",
        [10, 12, 2, None, 32, 2],
        {"keypoints": [10, 12, 2, 0, 0, 0]},
        "annotation (1): 'keypoints' has NaN or null; such",
    ),
    ("row.keypoints", [10, 12, 2, "nan", "nan", "nan"], {"keypoints": [10, 12, 2, 0, 0, 0]}, "counts as unlabelled"),
    ("row.keypoints", [0, 0, 0, 0, 0, 0], {"num_keypoints": 0}, ""),
    ("row.num_keypoints", 0, {"num_keypoints": 2}, "1 annotation (1): 'num_keypoints' is 0, but"),
    ("row.area", 0, {"area": None}, "1 annotation (1): 'area' is 0, but"),
    ("row.segmentation", [[1, 2, 3, 4]], {"segmentation": None}, "no three corners; the box takes its place"),
    (
        "row.segmentation",
        [[1, 2, 3, 4], [1, 2, 9, 2, 9, 8]],
        {"segmentation": [[1, 2, 9, 2, 9, 8]]},
        "fewer than three corners",
    ),
    ("row.segmentation", "", {"segmentation": None}, "no three corners"),
    ("image.width", 0, {"width": None, "height": None}, ""),
    ("image.height", ..., {"width": None, "height": None}, ""),
    ("category.skeleton", [[1, 3]], {"skeleton": []}, "category 'rat': 'skeleton' has edges that are not pairs"),
    ("category.keypoints", [1, 2], {"keypoints": ["1", "2"]}, ""),
]


@pytest.mark.parametrize(("where", "value", "changes", "says"), CHANGED)
def test_values_that_change(
    where: str, value: Any, changes: dict[str, Any], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{where} {value}.json"  # a line is printed once
    plain = check_coco(document(where, value), name)
    key = {"image": "images", "row": "annotations", "category": "categories"}[where.split(".")[0]]
    assert plain[key] == [document(where, value)[key][0] | changes]
    line = capsys.readouterr().err
    assert (says in line and f"ae: {name}: " in line) if says else not line


def test_image_ids_that_are_texts_are_numbered(capsys: pytest.CaptureFixture[str]) -> None:
    content = document()
    content["images"] = [{**content["images"][0], "id": name, "file_name": f"{name}.png"} for name in ("b", "a", 7)]
    row = content["annotations"][0]
    content["annotations"] = [{**row, "image_id": name} for name in ("a", 7, "c", "b")]
    plain = check_coco(content, "texts.json")
    assert [image["id"] for image in plain["images"]] == [1, 2, 3]
    assert [row["image_id"] for row in plain["annotations"]] == [2, 3, "c", 1]
    assert "texts.json: image ids are texts, such as 'b'; they are numbered from 1 on" in capsys.readouterr().err


def test_objects_without_labels(capsys: pytest.CaptureFixture[str]) -> None:
    """Keypoints may be missing; a box may come from a mask; without all three there is nothing to place."""
    empty = {"keypoints": ..., "bbox": ..., "num_keypoints": ..., "segmentation": ...}
    content = document()
    row = {key: value for key, value in (content["annotations"][0] | empty).items() if value is not ...}
    box = {"bbox": [1, 2, 3, 4]}
    mask = {"segmentation": [[1, 2, 9, 2, 9, 8], [0, 0, 1, 0, 1, 20]]}
    runs = {"segmentation": {"size": [30, 40], "counts": [65, 2, 1133]}}
    content["annotations"] = [{**row, **more, "id": i} for i, more in enumerate([{}, box, mask, runs, {"bbox": None}])]
    found = check_coco(content, "empty.json")["annotations"]
    assert [(r["id"], r.get("bbox")) for r in found] == [(1, [1, 2, 3, 4]), (2, [0, 0, 9, 20]), (3, [2, 5, 1, 2])]
    line = capsys.readouterr().err
    assert line == "ae: empty.json: 2 annotations (0, 4): no labelled keypoint, box or mask; left out\n"


def test_what_cannot_be_understood_stays() -> None:
    """The readers have the messages."""
    for where, value in [
        ("row.image_id", True),
        ("row.bbox", ["a", 1, 2, 3]),
        ("row.keypoints", [1, 2]),
        ("row.area", {}),
    ]:
        assert check_coco(document(where, value), "a.json")["annotations"][0][where.split(".")[1]] == value


def test_several_entries_of_one_file_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    content = document()
    content["images"] += [{**content["images"][0], "id": 8}]
    assert len(check_coco(content, "two.json")["images"]) == 2
    assert "two.json: 1 file (7.png): belongs to several images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("edges", "expected", "says"),
    [
        (None, [], ""),
        ([], [], ""),
        ([[1, 2], [2, 4]], [[1, 2], [2, 4]], ""),
        ([[0, 1], [1, 3]], [[1, 2], [2, 4]], "count from 0"),
        ([["nose", "tail"]], [[1, 4]], ""),
        ([[0, 4]], [], "not pairs of its 4 keypoints"),  # from 0 on or from 1 on, an end is missing
        ([[1, 17]], [], "not pairs"),
        ([[1, 2, 3]], [], "not pairs"),
        ([[1, None]], [], "not pairs"),
        ([["nose", "beak"]], [], "not pairs"),
        ([1, 2], [], "not pairs"),
        ({"a": 1}, [], "not pairs"),
        (5, [], "not pairs"),
    ],
)
def test_edges(edges: Any, expected: list[list[int]], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert plain_edges(edges, NAMES, f"category of {edges}") == expected
    line = capsys.readouterr().err
    assert says in line if says else not line


def test_frames_that_are_not_labelled_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """But not those with annotations, whatever form their ids have."""
    content = document("row.image_id", "7")
    content["images"] = [
        {**content["images"][0], "id": i, "file_name": f"{i}.png", "is_labeled": False} for i in (7, 8)
    ]
    content["images"] += [{"id": 9, "file_name": "9.png", "is_labeled": True}, {"id": 10, "file_name": "10.png"}]
    assert [image["id"] for image in check_coco(content, "track.json")["images"]] == [7, 9, 10]
    assert "track.json: 1 image (8): is not labelled by its 'is_labeled'" in capsys.readouterr().err


def test_a_person_that_is_there_twice_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    content = document()
    (row,) = content["annotations"]
    content["annotations"] += [{**row, "id": 2}, {**row, "id": 3, "keypoints": [11, *KEYPOINTS[1:]]}]
    content["annotations"] += [{**row, "id": number, "keypoints": [0] * 6} for number in (4, 5)]
    content["annotations"] += [{**row, "id": number, "iscrowd": 1} for number in (6, 7)]
    assert len(check_coco(content, "twice.json")["annotations"]) == 7
    line = "twice.json: 1 annotation (2): the same keypoints as another one of its image; both count, remove one\n"
    assert line in capsys.readouterr().err


def test_keypoints_that_are_shares_of_the_image_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    line = "keypoints lie in [0, 1]; they count as pixels, not as shares of the sides of the image"
    for name, keypoints, told in (
        ("shares", [0.25, 0.5, 2, 1.0, 0.125, 1], True),
        ("pixels", [0.25, 0.5, 2, 1.5, 0.125, 1], False),
        ("corner", [0, 0, 2, 1, 1, 1], False),
        ("nobody", [0.25, 0.5, 0, 0, 0, 0], False),
    ):
        check_coco(document("row.keypoints", keypoints), f"{name}.json")
        assert (f"{name}.json: all {line}" in capsys.readouterr().err) == told
    for strange in ([[1], [2], 2, 3, 4, 2], ["a", {}, 2, 3, 4, 2]):
        check_coco(document("row.keypoints", strange), "strange.json")
