"""Labels as the tools themselves write them (by their documentation), read into one COCO dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from associative_embedding.data.label_formats.cvat import read_cvat
from associative_embedding.data.label_formats.deeplabcut import read_deeplabcut
from associative_embedding.data.label_formats.label_studio import read_label_studio
from associative_embedding.data.label_formats.yolo import label_of, read_yolo
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.skeleton import Skeleton
from support.label_data import dataset, people_of, write_images

# ---- YOLO


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


# ---- CVAT

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
    with pytest.raises(ValueError, match=r"point 'nose' is in no box and no group"):
        cvat(tmp_path, inner + '<points label="nose" points="79,59"/>')


def test_cvat_many_points_in_one(tmp_path: Path) -> None:
    ((category, points, _),) = cvat(tmp_path, '<points label="cat" points="1,2;3,4"/>')
    assert (category, points) == ("object", {"kpt_0": (1, 2, 2), "kpt_1": (3, 4, 2)})


# ---- Label Studio


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
    rows = [region("keypointlabels", f"k{i}", f"p{i}") for i in range(count)]
    links = [{"type": "relation", "from_id": f"p{i}", "to_id": f"p{i + 1}"} for i in range(count - 1)]
    assert studio(tmp_path, rows + links)["annotations"][0]["num_keypoints"] == count


# ---- DeepLabCut


def deeplabcut(folder: Path, text: str, config: str | None = None) -> Path:
    video = folder / "labeled-data" / "film"
    video.mkdir(parents=True)
    (video / "CollectedData_me.csv").write_text(text)
    cv2.imwrite(str(video / "img0.png"), np.zeros((60, 80, 3), np.uint8))
    if config is not None:
        (folder / "config.yaml").write_text(config)
    return folder


def test_deeplabcut_one_animal(tmp_path: Path) -> None:
    """Whole coordinates are the centres of pixels there."""
    text = "scorer,me,me,me,me\nbodyparts,nose,nose,tail,tail\ncoords,x,y,x,y\nlabeled-data\\film\\img0.png,10,20.5,,\n"
    folder = deeplabcut(tmp_path, text, "skeleton:\n- - nose\n  - tail\n- - nose\n  - wing\n")
    found = read_deeplabcut(folder)
    assert people_of(found) == {"labeled-data/film/img0.png": [("animal", {"nose": (10.5, 21, 2)}, [10.5, 21, 0, 0])]}
    assert (found["images"][0]["width"], found["images"][0]["height"]) == (80, 60)
    skeleton = Skeleton.from_category(found["categories"][0])
    assert (skeleton.keypoints, skeleton.edges) == (("nose", "tail"), (("nose", "tail"),))
    (tmp_path / "a.json").write_text(json.dumps(found))
    assert len(CocoKeypoints(str(tmp_path / "a.json"), str(folder), skeleton)) == 1


def test_deeplabcut_several_animals_and_what_is_of_none(tmp_path: Path) -> None:
    text = (
        "scorer,,,me,me,me,me,me,me\nindividuals,,,a,a,b,b,single,single\nbodyparts,,,nose,nose,nose,nose,door,door\n"
        "coords,,,x,y,x,y,x,y\nlabeled-data,film,img0.png,1,2,3,4,5,6\nlabeled-data,film,img1.png,,,7,8,NaN,nan\n"
    )
    found = read_deeplabcut(deeplabcut(tmp_path, text) / "labeled-data" / "film" / "CollectedData_me.csv")
    assert people_of(found) == {
        "labeled-data/film/img0.png": [
            ("animal", {"nose": (1.5, 2.5, 2)}, [1.5, 2.5, 0, 0]),
            ("animal", {"nose": (3.5, 4.5, 2)}, [3.5, 4.5, 0, 0]),
            ("single", {"door": (5.5, 6.5, 2)}, [5.5, 6.5, 0, 0]),
        ],
        "labeled-data/film/img1.png": [("animal", {"nose": (7.5, 8.5, 2)}, [7.5, 8.5, 0, 0])],
    }
    assert "width" not in found["images"][1]  # it is not there
