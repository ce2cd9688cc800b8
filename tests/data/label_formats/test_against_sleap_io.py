"""Against sleap-io (BSD-3-Clause), an independent reader and writer of these formats, where it is installed.

Its coordinates of a pixel's centre are whole, but it passes those of YOLO, Label Studio, COCO and DeepLabCut unchanged.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from associative_embedding.data.label_formats.deeplabcut import read_deeplabcut
from associative_embedding.data.label_formats.label_studio import read_label_studio
from associative_embedding.data.label_formats.label_studio_write import write_label_studio
from associative_embedding.data.label_formats.sleap import read_sleap
from associative_embedding.data.label_formats.yolo import read_yolo
from associative_embedding.data.label_formats.yolo_write import write_yolo
from associative_embedding.structures.skeleton import Skeleton

pytestmark = pytest.mark.extra

sio = pytest.importorskip("sleap_io", reason="an independent implementation, not needed by this project")
H, W = 60, 80
NAMES = ("head", "wing_l", "wing_r")


def dataset() -> dict[str, Any]:
    """Two images with two flies each, every point labelled."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(4):
        xy = rng.uniform(5, 55, (3, 2)).round(3)
        low, high = xy.min(axis=0), xy.max(axis=0)
        keypoints = [v for x, y in xy.tolist() for v in (x, y, 2)]
        box = [*low.tolist(), *(high - low).tolist()]
        row = {"id": number + 1, "image_id": 1 + number // 2, "category_id": 1, "keypoints": keypoints, "bbox": box}
        rows.append({**row, "area": 1.0, "iscrowd": 0})
    images = [{"id": i + 1, "file_name": f"a{i}.png", "width": W, "height": H} for i in range(2)]
    category = Skeleton.build("fly", NAMES, [("head", "wing_l"), ("head", "wing_r")]).to_category()
    return {"images": images, "annotations": rows, "categories": [category]}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for i in range(2):
        cv2.imwrite(str(tmp_path / "images" / f"a{i}.png"), np.full((H, W, 3), i, np.uint8))
    return tmp_path / "images"


def points(document: dict[str, Any]) -> np.ndarray:
    """All objects' ``(N, K, 2)``, sorted, in the order of `NAMES`."""
    names = document["categories"][0]["keypoints"]
    order = [names.index(name) for name in NAMES]
    found = np.array([np.reshape(a["keypoints"], (-1, 3))[order, :2] for a in document["annotations"]])
    return found[np.argsort(found[:, 0, 0])]


def points_of(labels: Any) -> np.ndarray:
    order = [labels.skeleton.node_names.index(name) for name in NAMES]
    found = np.array([instance.numpy()[order] for frame in labels for instance in frame.instances])
    return found[np.argsort(found[:, 0, 0])]


def test_it_reads_our_yolo_datasets(tmp_path: Path, images: Path) -> None:
    yaml = write_yolo(dataset(), tmp_path / "set", images)
    yaml.write_text(yaml.read_text().replace("images/train", "train/images"))
    for kind in ("images", "labels"):  # it knows the order of folders that Roboflow has
        (tmp_path / "set" / "train").mkdir(exist_ok=True)
        (tmp_path / "set" / kind / "train").rename(tmp_path / "set" / "train" / kind)
    labels = sio.load_ultralytics(str(tmp_path / "set"), split="train")
    found = np.array([instance.numpy() for frame in labels for instance in frame.instances])
    np.testing.assert_allclose(found[np.argsort(found[:, 0, 0])], points(dataset()), atol=1e-3)


def test_it_reads_our_tasks_of_label_studio(tmp_path: Path) -> None:
    """It knows relations, not parents."""
    path = write_label_studio(dataset(), tmp_path / "a.json")
    tasks = json.loads(path.read_text())
    for task in tasks:
        rows = task["annotations"][0]["result"]
        rows += [{"type": "relation", "from_id": r["id"], "to_id": r["parentID"]} for r in rows if "parentID" in r]
        for row in rows:
            row.setdefault("meta", {})
        task["meta"] = {"video": {"filename": "a.mp4", "frame_idx": task["id"], "shape": [9, H, W, 3]}}
    path.write_text(json.dumps(tasks))
    np.testing.assert_allclose(points_of(sio.load_labelstudio(str(path))), points(dataset()), atol=1e-3)


def labels_of(images: Path) -> Any:
    """The same flies as its own labels, of a sequence of images."""
    skeleton = sio.Skeleton(list(NAMES), edges=[("head", "wing_l"), ("head", "wing_r")])
    video = sio.load_video([str(images / f"a{i}.png") for i in range(2)])
    rows = [np.reshape(a["keypoints"], (-1, 3))[:, :2] for a in dataset()["annotations"]]
    frames = [
        sio.LabeledFrame(
            video=video,
            frame_idx=i,
            instances=[sio.Instance.from_numpy(xy, skeleton=skeleton) for xy in rows[2 * i : 2 * i + 2]],
        )
        for i in range(2)
    ]
    return sio.Labels(frames)


def test_we_read_its_yolo_datasets(tmp_path: Path, images: Path) -> None:
    sio.save_ultralytics(labels_of(images), str(tmp_path / "set"), split_ratios={"train": 0.5, "val": 0.5})
    found = read_yolo(tmp_path / "set")
    assert len(found["images"]) == 2
    assert Skeleton.from_category(found["categories"][0]).edges == (("head", "wing_l"), ("head", "wing_r"))
    np.testing.assert_allclose(points(found), points(dataset()), atol=1e-2)


def test_we_read_its_tasks_of_label_studio(tmp_path: Path, images: Path) -> None:
    sio.save_labelstudio(labels_of(images), str(tmp_path / "a.json"))
    tasks = json.loads((tmp_path / "a.json").read_text())
    for number, task in enumerate(tasks):  # it names the video, not an image
        task["data"]["image"] = f"a{number}.png"
    (tmp_path / "a.json").write_text(json.dumps(tasks))
    found = read_label_studio(tmp_path / "a.json")
    np.testing.assert_allclose(points(found), points(dataset()), atol=1e-3)


def test_we_read_its_files_of_images_and_their_packages(tmp_path: Path, images: Path) -> None:
    labels = labels_of(images)
    sio.save_slp(labels, str(tmp_path / "a.slp"))
    found = read_sleap(tmp_path / "a.slp")
    np.testing.assert_allclose(points(found), points(dataset()) + 0.5, atol=1e-3)
    assert [Path(image["file_name"]).name for image in found["images"]] == ["a0.png", "a1.png"]
    sio.save_slp(labels, str(tmp_path / "a.pkg.slp"), embed=True)
    found = read_sleap(tmp_path / "a.pkg.slp", tmp_path / "out")
    np.testing.assert_allclose(points(found), points(dataset()) + 0.5, atol=1e-3)
    for i, image in enumerate(found["images"]):
        pixels = cv2.imread(str(tmp_path / "out" / image["file_name"]))
        assert pixels.shape[:2] == (image["height"], image["width"]) == (H, W)
        assert (pixels == i).all()


def test_deeplabcut_is_read_as_it_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "labeled-data" / "film"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "img0.png"), np.zeros((H, W, 3), np.uint8))
    cv2.imwrite(str(folder / "img1.png"), np.zeros((H, W, 3), np.uint8))
    head = ["scorer,,," + ",".join(["me"] * 12), "individuals,,," + ",".join(["a"] * 6 + ["b"] * 6)]
    head += ["bodyparts,,," + ",".join(n for _ in "ab" for n in NAMES for _ in "xy"), "coords,,," + ",".join("xy" * 6)]
    rows = [np.reshape(a["keypoints"], (-1, 3))[:, :2] for a in dataset()["annotations"]]
    lines = [
        f"labeled-data,film,img{i}.png," + ",".join(str(v) for xy in rows[2 * i : 2 * i + 2] for v in xy.ravel())
        for i in range(2)
    ]
    file = folder / "CollectedData_me.csv"
    file.write_text("\n".join([*head, *lines]) + "\n")
    ours = read_deeplabcut(file)
    np.testing.assert_allclose(points(ours) - 0.5, points_of(sio.load_dlc(str(file))), atol=1e-4)
    np.testing.assert_allclose(points(ours) - 0.5, points(dataset()), atol=1e-4)
