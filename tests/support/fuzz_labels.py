"""Files of labels that are fuzzed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np

from associative_embedding.data.label_formats.convert import READERS, WRITERS
from associative_embedding.data.preparation.mpii_file import read_mpii
from associative_embedding.data.preparation.write_shards import tar_name, write_shards
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.readers.coco_masks import CocoMasks
from associative_embedding.data.readers.tar_shards import ANNOTATIONS, INDEX, open_shards
from associative_embedding.data.readers.voc import VocMasks
from associative_embedding.io.matlab import read_matlab
from associative_embedding.structures.run_lengths import decode_runs
from support.fuzz_files import folder, on_disk, refusing
from support.label_data import dataset, person
from support.tiny import FIGURE


def read_coco_data(data: bytes) -> None:
    """Reads poses and masks, and the pixels of the images."""
    path, images = str(on_disk(data, "coco.json")), str(folder() / "images")
    with refusing():
        poses = CocoKeypoints(path, images, FIGURE)
        for index in range(min(3, len(poses))):
            assert np.isfinite(poses[index].keypoints).all()
    with refusing():
        masks = CocoMasks(path, images, ["person"])
        for index in range(min(3, len(masks))):
            masks[index]


def coco_files() -> list[bytes]:
    document = dataset([person(), person(track_id=1, area=40.5), person(segmentation=[[1, 1, 9, 1, 9, 9]])])
    runs = {"counts": [9, 9, 4782], "size": [60, 80]}
    crowd = {"id": 9, "image_id": 1, "category_id": 1, "iscrowd": 1, "segmentation": runs, "bbox": [1, 1, 9, 9]}
    document["annotations"].append(crowd)
    document["categories"][0]["name"] = "person"
    return [json.dumps(document, indent=1).encode(), json.dumps(dataset()).encode()]


def label_reader(kind: str, name: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        path = on_disk(data, f"{kind}/{name}")
        READERS[kind](path, None if kind in ("sleap", "yolo") else folder() / "images")

    return read


def written_labels(kind: str, name: str) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        output = folder() / kind
        target = output if kind == "yolo" else output / name
        output.mkdir(exist_ok=True)
        WRITERS[kind](dataset([person(), person()]), target, folder() / "images")
        return [(output / name).read_bytes()]

    return seeds


def yolo_labels() -> list[bytes]:
    WRITERS["yolo"](dataset([person(), person()]), folder() / "yolo-labels", folder() / "images")
    return [path.read_bytes() for path in sorted((folder() / "yolo-labels").rglob("*.txt"))]


def read_yolo_labels(data: bytes) -> None:
    for path in (folder() / "yolo-labels").rglob("*.txt"):
        path.write_bytes(data)
    READERS["yolo"](folder() / "yolo-labels" / "data.yaml", None)


def sleap_files() -> list[bytes]:
    from support.sleap_files import build

    return [build(folder() / "seed.slp").read_bytes()]


def deeplabcut_files() -> list[bytes]:
    rows = ["scorer,me,me,me,me", "individuals,a,a,b,b", "bodyparts,nose,nose,nose,nose", "coords,x,y,x,y"]
    plain = ["scorer,me,me", "bodyparts,nose,nose", "coords,x,y", "a0.png,1,2", "a1.png,,"]
    return ["\n".join([*rows, "a0.png,1,2,3,4", "a1.png,1,2,,", ""]).encode(), "\n".join(plain).encode()]


def read_voc(data: bytes) -> None:
    root = folder() / "voc"
    (root / "SegmentationObject" / "2007_000032.png").write_bytes(data)
    samples = VocMasks(str(root), "train")
    samples[0]


def voc_files() -> list[bytes]:
    from support.voc_tree import tree

    root = tree(folder() / "voc")
    return [path.read_bytes() for path in sorted((root / "SegmentationObject").glob("*.png"))]


def read_runs(data: bytes) -> None:
    """Run lengths as a list and as a compressed text."""
    height, width = 1 + data[0] % 40 if data else 7, 1 + data[-1] % 40 if data else 5
    flat = np.frombuffer(data[: len(data) // 2 * 2], np.int16).tolist()
    for counts in (data.decode("latin-1"), data.decode("utf-8", "replace"), flat, [abs(count) for count in flat]):
        with refusing():
            assert decode_runs({"counts": counts, "size": [height, width]}, (height, width)).shape == (height, width)


def read_shards(data: bytes) -> None:
    is_index = data.lstrip()[:1] == b"{"
    path = folder() / "shards" / (INDEX if is_index else tar_name(0))
    good = path.read_bytes()
    try:
        path.write_bytes(data)
        shards = open_shards(path.parent)
        if shards is not None:
            CocoKeypoints(str(path.parent / ANNOTATIONS), str(path.parent), FIGURE)[0]
    finally:
        path.write_bytes(good)


def shard_files() -> list[bytes]:
    on_disk(json.dumps(dataset()).encode(), "shard.json")
    output = folder() / "shards"
    write_shards(str(folder() / "shard.json"), str(folder() / "images"), str(output), 2)
    return [path.read_bytes() for path in sorted(output.iterdir()) if path.name != ANNOTATIONS]


def read_matlab_file(data: bytes) -> None:
    path = on_disk(data, "annotation.mat")
    with refusing():
        read_matlab(path, "RELEASE")
    with refusing():
        read_mpii(path)


def matlab_files() -> list[bytes]:
    import scipy.io

    results = []
    for packed in (False, True):
        buffer = io.BytesIO()
        point = {"x": 1.0, "y": 2.0, "id": 3, "is_visible": 1}
        rect = {"scale": 1.0, "objpos": {"x": 1.0, "y": 2.0}, "annopoints": {"point": [point, point]}}
        image = {"image": {"name": "a.jpg"}, "annorect": rect, "vididx": 1, "frame_sec": 1}
        release = {"annolist": [image, image], "img_train": [1, 0], "single_person": [[1], [1]]}
        scipy.io.savemat(buffer, {"RELEASE": release}, do_compression=packed)
        results.append(buffer.getvalue())
    return results
