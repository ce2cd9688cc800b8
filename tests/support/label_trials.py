"""Labels in every format and layout, as the tools that write them lay them out, and what comes of each."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from associative_embedding.data.label_formats.convert import READERS
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.structures.skeleton import Skeleton
from support.label_data import people_of, write_images
from support.sleap_files import build
from support.trials import Trial, attempt_in_folder

Document = dict[str, Any]
Check = Callable[[Path], bool]
NOSE = (20, 30, 2)  # x, y, visibility in an image of 80 x 60
CAT = Skeleton.build("cat", ["nose", "tail"], [("nose", "tail")])


def pictures(folder: Path, *names: str) -> None:
    for name in names:
        entry = {"file_name": Path(name).name, "width": 80, "height": 60}
        write_images((folder / name).parent, {"images": [entry]})


def noses(kind: str, source: Path, images: Path | None = None) -> dict[str, list[Any]]:
    """File name -> the first keypoint of everybody."""
    people = people_of(READERS[kind](source, images))
    return {name: [next(iter(points.values()), None) for _, points, _ in found] for name, found in people.items()}


# ---- COCO

ROW = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [20, 30, 2, 0, 0, 0], "num_keypoints": 1}
ROW |= {"bbox": [10, 20, 30, 30], "area": 900, "iscrowd": 0}


def coco_document(**changes: Any) -> Document:
    """One image with one animal; ``annotation=``, ``image=`` and ``category=`` change the entries."""
    category = {"id": 1, "name": "cat", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}
    entries = {"image": {"id": 1, "file_name": "a.png", "width": 80, "height": 60}, "annotation": ROW}
    entries["category"] = category
    rows = {key: [{**entry, **changes.get(key, {})}] for key, entry in entries.items()}
    return {"images": rows["image"], "annotations": rows["annotation"], "categories": rows["category"]}


def coco_file(data: bytes, folder: Path) -> bool:
    pictures(folder, "a.png")
    (folder / "a.json").write_bytes(data)
    samples = CocoKeypoints(str(folder / "a.json"), str(folder), CAT)
    return len(samples) == 1 and samples[0].keypoints.tolist() == [[list(NOSE), [0, 0, 0]]]


def coco(folder: Path, /, **changes: Any) -> bool:
    return coco_file(json.dumps(coco_document(**changes)).encode(), folder)


PLAIN = json.dumps(coco_document()).encode()
COCO: dict[str, Check] = {
    "keypoints": coco,
    "byte order mark": partial(coco_file, b"\xef\xbb\xbf" + PLAIN),
    "UTF-16": partial(coco_file, PLAIN.decode().encode("utf-16")),
    "gzip": partial(coco_file, gzip.compress(PLAIN)),
    "ids and counts as floats": partial(coco, annotation={"image_id": 1.0, "category_id": 1.0, "num_keypoints": 1.0}),
    "numbers as texts": partial(coco, annotation={"image_id": "1", "bbox": ["10", "20", "30", "30"]}),
    "keypoints as triples": partial(coco, annotation={"keypoints": [[20, 30, 2], [0, 0, 0]]}),
    "keypoints with NaN": partial(coco, annotation={"keypoints": [20, 30, 2, float("nan"), 5, 2]}),
    "keypoints with infinity": partial(coco, annotation={"keypoints": [20, 30, 2, float("inf"), 5, 2]}),
    "a box with NaN": partial(coco, annotation={"bbox": [10, float("nan"), 30, 30]}),
    "`num_keypoints` 0 beside labels": partial(coco, annotation={"num_keypoints": 0}),
    "edges that count from 0": partial(coco, category={"skeleton": [[0, 1]]}),
    "edges of another skeleton": partial(coco, category={"skeleton": [[16, 14]]}),
    "a name with backslashes": partial(coco, image={"file_name": ".\\a.png"}),
    "a name with the folders of another machine": partial(coco, image={"file_name": "/home/me/data/a.png"}),
    "ids of 20 digits": partial(coco, image={"id": 10**19}, annotation={"image_id": 10**19}),
    "an image id that is a text": partial(coco, image={"id": "a"}, annotation={"image_id": "a"}),
    "an annotation of an image that is not listed": partial(coco, annotation={"image_id": 2}),
    "visibility 3": partial(coco, annotation={"keypoints": [20, 30, 3, 0, 0, 0]}),
    "a name outside of the folder": partial(coco, image={"file_name": "../a.png"}),
    "cut off": partial(coco_file, PLAIN[:200]),
}

# ---- YOLO

LINE = "0 0.5 0.5 0.5 0.5 0.25 0.5 2 0 0 0"


def yolo(text: str, images: tuple[str, ...], folder: Path, line: str = LINE, labels: bool = True) -> bool:
    pictures(folder, *images)
    for name in images if labels else ():
        head, _, rest = f"/{name}".rpartition("/images/")
        label = folder / (f"{head}/labels/{rest}" if rest and head + rest != f"/{name}" else name).lstrip("/")
        label = label.with_suffix(".txt")
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(line)
    (folder / "data.yaml").write_text(f"kpt_shape: [2, 3]\nnames: [cat]\n{text}\n")
    return noses("yolo", folder / "data.yaml") == {name: [NOSE] for name in images}


def yolo_list(line: str, folder: Path) -> bool:
    (folder / "train.txt").write_text(line)
    return yolo("train: train.txt", ("images/train/a.png",), folder)


FLAT = ("images/train/a.png",)
YOLO: dict[str, Check] = {
    "Ultralytics: `images/train`, `labels/train`": partial(yolo, "train: images/train\nval: images/train", FLAT),
    "Roboflow: `../train/images`": partial(yolo, "train: ../train/images", ("train/images/a.png",)),
    "a `path` of another machine": partial(yolo, "path: /content/x\ntrain: images/train", FLAT),
    "CVAT: a list with `data/`": partial(yolo_list, "data/images/train/a.png\n"),
    "a list of absolute names": partial(yolo_list, "/home/me/set/images/train/a.png\n"),
    "a list of Windows": partial(yolo_list, "C:\\me\\set\\images\\train\\a.png\r\n"),
    "a confidence at the end": partial(yolo, "train: images/train", FLAT, line=f"{LINE} 0.93"),
    "visibilities that a model predicted": partial(
        yolo, "train: images/train", FLAT, line=LINE.replace("0.5 2 0", "0.5 0.9 0")
    ),
    "keypoints in pixels": partial(yolo, "train: images/train", FLAT, line=LINE.replace("0.5 2 0", "40 2 0")),
    "a line twice": partial(yolo, "train: images/train", FLAT, line=f"{LINE}\n{LINE}"),
    "a part without images": partial(yolo, "train: images/train\nval: images/val", FLAT),
    "no label file at all": partial(yolo, "train: images/train", FLAT, labels=False),
    "polygons": partial(yolo, "train: images/train", FLAT, line="0 0.1 0.1 0.2 0.2 0.3 0.1"),
}

# ---- CVAT

CVAT_LABELS = """<meta><task><labels><label><name>cat</name><type>skeleton</type>
<svg>&lt;line data-type="edge" data-node-from="1" data-node-to="2"&gt;&lt;/line&gt;
&lt;circle data-element-id="1" data-node-id="1" data-label-name="nose"&gt;&lt;/circle&gt;
&lt;circle data-element-id="2" data-node-id="2" data-label-name="tail"&gt;&lt;/circle&gt;</svg></label>
<label><name>nose</name><type>points</type><parent>cat</parent></label>
<label><name>tail</name><type>points</type><parent>cat</parent></label></labels></task></meta>"""
CVAT_SKELETON = """<skeleton label="cat"><points label="nose" outside="0" occluded="0" points="20,30"/>
<points label="tail" outside="1" occluded="0" points="1,1"/></skeleton>"""
CVAT_BOX = '<box label="cat" xtl="10" ytl="20" xbr="40" ybr="50"/>'
CVAT_NOSE = '<points label="nose" points="20,30"/>'


def cvat(inner: str, folder: Path, head: str = "") -> bool:
    return cvat_file(f'{head}<image id="0" name="a.png" width="80" height="60">{inner}</image>', folder)


def cvat_file(content: str, folder: Path) -> bool:
    (folder / "annotations.xml").write_text(f"<annotations>{content}</annotations>")
    return noses("cvat", folder) == {"a.png": [NOSE]}


CVAT: dict[str, Check] = {
    "skeletons": partial(cvat, CVAT_SKELETON, head=CVAT_LABELS),
    "points in boxes": partial(cvat, CVAT_BOX + CVAT_NOSE),
    "points of a group": partial(cvat, '<points label="nose" group_id="1" points="20,30"/>'),
    "a point outside of all boxes": partial(cvat, CVAT_BOX + CVAT_NOSE + '<points label="nose" points="79,59"/>'),
    "points with a label of their own beside skeletons": partial(
        cvat, CVAT_SKELETON + '<points label="food" points="50,30"/>', head=CVAT_LABELS
    ),
    "polygons": partial(cvat, CVAT_BOX + CVAT_NOSE + '<polygon label="cat" points="1,1;2,2;3,3"/>'),
    "tracks of a video": partial(cvat_file, f'{CVAT_LABELS}<track id="0" label="cat">{CVAT_SKELETON}</track>'),
}

# ---- Label Studio


def region(kind: str, label: str, name: str, **more: Any) -> Document:
    size = {"width": 50, "height": 50} if kind == "rectanglelabels" else {"width": 0.5}
    value = {"x": 25, "y": 50, **size, kind: [label]}
    return {"id": name, "type": kind, "original_width": 80, "original_height": 60, "value": value, **more}


def studio(rows: list[Document], folder: Path, image: str = "a.png", name: str = "a.png") -> bool:
    task = {"id": 1, "data": {"image": image}, "annotations": [{"result": rows}]}
    (folder / "a.json").write_text(json.dumps([task]))
    return noses("label-studio", folder / "a.json") == {name: [NOSE]}


POINT, BOX = region("keypointlabels", "nose", "p"), region("rectanglelabels", "cat", "r")
STUDIO: dict[str, Check] = {
    "points in boxes": partial(studio, [BOX, POINT]),
    "points with `parentID`": partial(studio, [BOX, {**POINT, "parentID": "r"}]),
    "relations": partial(studio, [BOX, POINT, {"type": "relation", "from_id": "p", "to_id": "r"}]),
    "an upload": partial(studio, [POINT], image="/data/upload/3/1a2b3c4d-a.png", name="1a2b3c4d-a.png"),
    "local files": partial(studio, [POINT], image="/data/local-files/?d=day%201/a.png", name="day 1/a.png"),
    "an address": partial(studio, [POINT], image="s3://bucket/day1/a.png"),
    "polygons": partial(studio, [BOX, POINT, region("polygonlabels", "cat", "g")]),
    "more points than boxes": partial(studio, [BOX, POINT, {**POINT, "id": "q", "value": {**POINT["value"], "x": 1}}]),
    "several images in a task": partial(studio, [{**BOX, "to_name": "a"}, {**POINT, "to_name": "b"}]),
    "a turned image (`image_rotation`)": partial(studio, [BOX, {**POINT, "image_rotation": 90}]),
}

# ---- DeepLabCut and SLEAP

DLC = "scorer,me,me,me,me\nbodyparts,nose,nose,tail,tail\ncoords,x,y,x,y\n"
DLC_MULTI = (
    "scorer,,,me,me\nindividuals,,,a,a\nbodyparts,,,nose,nose\ncoords,,,x,y\nlabeled-data,film,a.png,19.5,29.5\n"
)


def deeplabcut(text: str, folder: Path) -> bool:
    video = folder / "labeled-data" / "film"
    pictures(video, "a.png")
    (video / "CollectedData_me.csv").write_bytes(text.encode())
    return noses("deeplabcut", folder) == {"labeled-data/film/a.png": [NOSE]}


DEEPLABCUT: dict[str, Check] = {
    "one animal": partial(deeplabcut, f"{DLC}labeled-data/film/a.png,19.5,29.5,,\n"),
    "several animals": partial(deeplabcut, DLC_MULTI),
    "paths of Windows": partial(deeplabcut, f"{DLC}labeled-data\\film\\a.png,19.5,29.5,,\n"),
    "byte order mark": partial(deeplabcut, f"\ufeff{DLC}labeled-data/film/a.png,19.5,29.5,,\n"),
    "commas in numbers": partial(deeplabcut, f"{DLC}labeled-data/film/a.png,19,5,29,5,1,5,2,5\n"),
    "predictions (likelihood)": partial(deeplabcut, DLC.replace("x,y,x,y", "x,y,likelihood,x") + "0,19.5,29.5,0.9,1\n"),
}


def sleap(folder: Path, **options: Any) -> bool:
    """Files before version 1.1 count from the centre of the first pixel."""
    document = READERS["sleap"](build(folder / "a.slp", **options), None)
    shift = 0 if "version" in options else 0.5
    return bool(document["annotations"][0]["keypoints"][:3] == [10 + shift, 20 + shift, 2])


def no_sleap(folder: Path) -> bool:
    (folder / "a.slp").write_bytes(PLAIN)
    return bool(READERS["sleap"](folder / "a.slp", None))


SLEAP: dict[str, Check] = {
    "labels (`.slp`)": sleap,
    "labels of the first versions": partial(sleap, version=None),
    "predictions alone": partial(sleap, types=(1, 1, 1)),
    "another file under this name": no_sleap,
}

FORMATS = {
    "COCO": COCO,
    "YOLO": YOLO,
    "CVAT": CVAT,
    "Label Studio": STUDIO,
    "DeepLabCut": DEEPLABCUT,
    "SLEAP": SLEAP,
}


def label_trials() -> list[Trial]:
    """Writes and reads labels of each kind."""
    return [attempt_in_folder(kind, what, read) for kind, checks in FORMATS.items() for what, read in checks.items()]
