"""CVAT's labels as CVAT writes them (by its documentation)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from associative_embedding.data.label_formats.cvat import read_cvat
from associative_embedding.structures.skeleton import Skeleton
from support.label_data import people_of

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><{job}><labels>
<label><name>cat</name><color>#fff</color><type>skeleton</type><attributes></attributes>
<svg>&lt;line x1="1" y1="1" x2="2" y2="2" data-type="edge" data-node-from="1" data-node-to="2"&gt;&lt;/line&gt;
&lt;circle r="1" data-element-id="1" data-node-id="1" data-label-name="nose"&gt;&lt;/circle&gt;
&lt;circle r="1" data-element-id="2" data-node-id="2" data-label-name="tail"&gt;&lt;/circle&gt;</svg></label>
<label><name>nose</name><type>points</type><parent>cat</parent></label>
<label><name>tail</name><type>points</type><parent>cat</parent></label>
<label><name>rectangle</name><type>rectangle</type></label>
</labels></{job}></meta>
<image id="0" name="sub/a.png" width="80" height="60">
<skeleton label="cat" source="manual" z_order="0" group_id="3">
<points label="tail" source="manual" outside="0" occluded="1" points="10.50,20.25"></points>
<points label="nose" source="manual" outside="1" occluded="0" points="1.00,1.00"></points></skeleton>
<skeleton label="cat" source="manual" z_order="0">
<points label="nose" source="manual" outside="0" occluded="0" points="30,31"></points></skeleton>
<box label="rectangle" group_id="3" xtl="5" ytl="6" xbr="25" ybr="46" occluded="0"></box>
<box label="rectangle" xtl="50" ytl="50" xbr="60" ybr="60" occluded="0"></box>
<polygon label="x" points="1,1;2,2;3,3"></polygon>
</image></annotations>"""


@pytest.mark.parametrize("job", ["task", "job", "project"])
def test_cvat_skeletons(job: str, tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text(CVAT.format(job=job))
    found = read_cvat(tmp_path)
    assert people_of(found) == {
        "sub/a.png": [
            ("cat", {"tail": (10.5, 20.25, 1)}, [5, 6, 20, 40]),
            ("cat", {"nose": (30, 31, 2)}, [30, 31, 0, 0]),
        ]
    }
    skeleton = Skeleton.from_category(found["categories"][0])
    assert (skeleton.keypoints, skeleton.edges) == (("nose", "tail"), (("nose", "tail"),))


def test_labels_without_any_keypoint_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A task that nobody has labelled yet: its skeleton is declared, so it is no other kind of file."""
    file = tmp_path / "annotations.xml"
    file.write_text(CVAT.format(job="task").replace('outside="0"', 'outside="1"'))
    assert people_of(read_cvat(file)) == {"sub/a.png": [("cat", {}, [5, 6, 20, 40])]}
    assert f"{file}: no object has a labelled keypoint, so the result teaches nothing" in capsys.readouterr().err


def cvat(folder: Path, inner: str) -> dict[str, Any]:
    image = f'<image id="0" name="a.png" width="80" height="60">{inner}</image>'
    (folder / "annotations.xml").write_text(f"<annotations>{image}</annotations>")
    return people_of(read_cvat(folder))["a.png"]  # type: ignore[return-value]


def test_cvat_points_of_a_group_are_an_object(tmp_path: Path) -> None:
    inner = "".join(
        f'<points label="{name}" group_id="{group}" points="{x},5"/>'
        for name, group, x in [("nose", 1, 10), ("tail", 1, 20), ("nose", 2, 30)]
    )
    found = cvat(tmp_path, inner + '<box label="cat" group_id="1" xtl="0" ytl="0" xbr="25" ybr="9"/>')
    assert {(category, *points) for category, points, _ in found} == {("cat", "nose", "tail"), ("object", "nose")}


def test_cvat_points_in_boxes(tmp_path: Path) -> None:
    """The smaller of two boxes around a point is the one that it belongs to."""
    inner = (
        '<box label="cat" xtl="0" ytl="0" xbr="70" ybr="50"/><box label="cat" xtl="10" ytl="10" xbr="20" ybr="20"/>'
        '<points label="nose" points="15,15"/><points label="nose" points="40,15"/>'
    )
    assert [points for _, points, _ in cvat(tmp_path, inner)] == [{"nose": (40, 15, 2)}, {"nose": (15, 15, 2)}]


def test_cvat_points_whose_object_is_not_clear(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More points than boxes: the rest is read."""
    inner = (
        '<box label="cat" xtl="0" ytl="0" xbr="20" ybr="20"/><box label="cat" xtl="40" ytl="0" xbr="60" ybr="20"/>'
        '<points label="nose" points="5,5"/><points label="nose" points="79,59"/>'
        '<points label="nose" points="45,5"/><points label="nose" points="46,5"/><polygon points="1,1;2,2;3,3"/>'
    )
    found = cvat(tmp_path, inner)
    assert found == [("cat", {"nose": (5, 5, 2)}, [0, 0, 20, 20]), ("cat", {}, [40, 0, 20, 20])]
    polygon, point, twice = capsys.readouterr().err.splitlines()
    assert polygon.endswith("1 shape (polygon): neither a skeleton nor points or a box; left out")
    assert point.endswith("1 point (nose of a.png): in no box and no group, so its object is not clear; left out")
    assert "1 image (a.png): nose occurs twice in one object, which is kept without labels; group" in twice


@pytest.mark.parametrize(
    ("shapes", "skeletons"),
    [
        ('<points label="food" points="50,30"/>', 2),
        ('<points label="food" points="50,30"/><points label="food" points="60,30"/>', 2),
        ('<points label="food" points="50,30;60,30"/>', 2),
        ('<box label="cat box" xtl="0" ytl="0" xbr="80" ybr="60"/><points label="food" points="50,30"/>', 3),
    ],
)
def test_cvat_points_that_are_no_keypoints(
    shapes: str, skeletons: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A label of its own beside a skeleton is none of the skeleton's keypoints."""
    text = CVAT.format(job="task").replace('<polygon label="x" points="1,1;2,2;3,3"></polygon>', shapes)
    (tmp_path / "annotations.xml").write_text(text.replace("rectangle", "cat"))
    found = read_cvat(tmp_path)
    assert [category["keypoints"] for category in found["categories"]] == [["nose", "tail"]]
    assert len(found["annotations"]) == skeletons + 1  # the box without group is an object, too
    assert "(food" in capsys.readouterr().err


def test_cvat_points_of_another_category_beside_skeletons(tmp_path: Path) -> None:
    shapes = '<box label="bowl" xtl="40" ytl="20" xbr="60" ybr="40"/><points label="food" points="50,30"/>'
    text = CVAT.format(job="task").replace('<polygon label="x" points="1,1;2,2;3,3"></polygon>', shapes)
    (tmp_path / "annotations.xml").write_text(text)
    assert people_of(read_cvat(tmp_path))["sub/a.png"][-1] == ("bowl", {"food": (50, 30, 2)}, [40, 20, 20, 20])


def test_cvat_a_turned_box(tmp_path: Path) -> None:
    box = '<box label="cat" xtl="10" ytl="10" xbr="30" ybr="20" rotation="90"/><points label="nose" points="20,15"/>'
    ((_, _, found),) = cvat(tmp_path, box)
    assert found == pytest.approx([15, 5, 10, 20])


def test_cvat_many_points_in_one(tmp_path: Path) -> None:
    ((category, points, _),) = cvat(tmp_path, '<points label="cat" points="1,2;3,4"/>')
    assert (category, points) == ("object", {"kpt_0": (1, 2, 2), "kpt_1": (3, 4, 2)})
