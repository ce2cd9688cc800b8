"""The data sets of docs/reproduce.md, small: archives with the folders, file names and entries of the official ones."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from associative_embedding.data.synthetic.figures import write_synthetic_dataset
from associative_embedding.structures.known_skeletons import COCO_17
from support.mpii_release import GROUPS, RELEASE, write_release
from support.voc_tree import tree

Document = dict[str, Any]
SIZE = 64  # pixels
HELD_OUT = 2  # images of train2017 that the published code holds out
CLASSES = """person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, -,
stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, -, backpack,
umbrella, -, -, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove,
skateboard, surfboard, tennis racket, bottle, -, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich,
orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, -, dining table, -, -, toilet,
-, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, -, book, clock, vase,
scissors, teddy bear, hair drier, toothbrush""".replace("\n", " ").split(", ")


def write_archives(folder: Path) -> None:
    """Writes every file that the page fetches, under the name that its address ends with."""
    folder.mkdir()
    coco = folder / "coco"
    documents = {"train": people_of(coco, "train2017", 6), "val": people_of(coco, "val2017", 3)}
    tests = people_of(coco, "test2017", 3)["images"]
    for name in ("train2017", "val2017", "test2017"):
        pack(folder / f"{name}.zip", coco, name)
    labels = coco / "annotations"
    labels.mkdir()
    for part, document in documents.items():
        save(labels / f"person_keypoints_{part}2017.json", document)
        save(labels / f"instances_{part}2017.json", objects_of(document))
    pack(folder / "annotations_trainval2017.zip", coco, "annotations")
    shutil.rmtree(labels)
    labels.mkdir()
    for name, images in (("test2017", tests), ("test-dev2017", tests[1:])):
        document = {"info": {}, "images": images, "licenses": [], "categories": classes()}
        save(labels / f"image_info_{name}.json", document)
    pack(folder / "image_info_test2017.zip", coco, "annotations")
    ids = [image["id"] for image in documents["train"]["images"][-HELD_OUT:]]
    (folder / "valid_id").write_text("".join(f"{number}\n" for number in ids))
    write_mpii(folder)
    tree(folder / "voc" / "VOCdevkit" / "VOC2012")
    with tarfile.open(folder / "VOCtrainval_11-May-2012.tar", "w") as archive:
        archive.add(folder / "voc" / "VOCdevkit", "VOCdevkit")


def write_mpii(folder: Path) -> None:
    """Writes MPII's three archives."""
    source = folder / "mpii"
    write_release(source, size=SIZE, places=[0, 1, 2, 3, 4, 32, 33, 34, 35])  # of which `held_out: 0.05` keeps one
    with tarfile.open(folder / "mpii_human_pose_v1.tar.gz", "w:gz") as images:
        images.add(source / "images", "images")
    with zipfile.ZipFile(folder / "mpii_human_pose_v1_u12_2.zip", "w") as labels:
        labels.write(source / RELEASE, f"mpii_human_pose_v1_u12_2/{RELEASE}")
    with zipfile.ZipFile(folder / "evalMPII.zip", "w") as toolkit:
        toolkit.write(source / GROUPS, "evalMPII/groups_v12.mat")


def pack(path: Path, root: Path, name: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((root / name).iterdir()):
            archive.write(file, f"{name}/{file.name}")


def save(path: Path, document: Document) -> None:
    path.write_text(json.dumps(document))


def people_of(root: Path, name: str, count: int) -> Document:
    """Draws the images of a set, and returns its annotations of people: with a crowd and a person without keypoints."""
    drawn = root / "drawn"
    path = write_synthetic_dataset(drawn, COCO_17, count, seed=len(name) + count, size=(SIZE, SIZE), people=(1, 2))
    document = json.loads(path.read_text())
    (root / name).mkdir(parents=True)
    images, first = [], {"train2017": 9, "val2017": 139, "test2017": 1}[name]
    for image in document["images"]:
        number = first + 10 * image["id"]
        file_name = f"{number:012d}.jpg"
        shutil.move(drawn / "images" / image["file_name"], root / name / file_name)
        url = f"http://images.cocodataset.org/{name}/{file_name}"
        size = {"height": SIZE, "width": SIZE}
        images.append({"license": 3, "file_name": file_name, "coco_url": url, **size, "id": number})
    shutil.rmtree(drawn)
    rows = [
        {**row, "image_id": first + 10 * row["image_id"], "category_id": 1, "segmentation": [corners(row["bbox"])]}
        for row in document["annotations"]
    ]
    nobody = {"num_keypoints": 0, "keypoints": [0] * 51, "image_id": images[0]["id"], "category_id": 1}
    crowd = {"segmentation": {"counts": [SIZE * 60, SIZE * 4], "size": [SIZE, SIZE]}, "iscrowd": 1, "id": 900100000001}
    small = {"segmentation": [corners([1, 1, 6, 6])], "iscrowd": 0, "id": 900001}
    rows += [{**nobody, **crowd, "area": 4 * SIZE, "bbox": [60, 0, 4, SIZE]}]
    rows += [{**nobody, **small, "area": 36, "bbox": [1, 1, 6, 6]}]
    edges = [[a + 1, b + 1] for a, b in COCO_17.edge_index.tolist()]
    person = {"supercategory": "person", "id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}
    categories = [{**person, "skeleton": edges}]
    return {"info": {}, "licenses": [], "images": images, "annotations": rows, "categories": categories}


def corners(box: list[float]) -> list[float]:
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def objects_of(people: Document) -> Document:
    """The same people as masks, and a bird in every image."""
    rows = [{k: v for k, v in row.items() if "keypoints" not in k} for row in people["annotations"]]
    box = [4, 40, 20, 20]
    bird = {"category_id": 16, "iscrowd": 0, "bbox": box, "area": 400, "segmentation": [corners(box)]}
    rows += [{**bird, "id": 70000 + i, "image_id": image["id"]} for i, image in enumerate(people["images"])]
    return {**people, "annotations": rows, "categories": classes()}


def classes() -> list[Document]:
    """COCO's 80 classes, with ids from 1 to 90."""
    return [{"supercategory": "any", "id": i, "name": name} for i, name in enumerate(CLASSES, start=1) if name != "-"]
