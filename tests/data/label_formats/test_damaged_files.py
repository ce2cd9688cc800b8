"""Valid labels of other tools with a part replaced by anything: they are read, or there is one line."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from associative_embedding.data.label_formats.convert import READERS, WRITERS
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from support.label_data import Document, dataset, person, write_images
from support.tiny import FIGURE

ODD: list[Any] = [None, True, -1, 0, 1e308, "nan", "x", "", [], {}, [[]], [None], {"a": 1}, 10**400, "\ud800", 2**63]
CSV = b"scorer,me,me,me,me\nindividuals,a,a,b,b\nbodyparts,nose,nose,nose,nose\ncoords,x,y,x,y\nimg0.png,1,2,3,4\n"


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a json document with each of its keys."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [(value, key) for key, _ in inner] + [place for _, child in inner for place in places(child)]


def refused_in_one_line(call: Callable[..., object], *arguments: object) -> bool:
    """Whether there was an error; it must be of those that the commands show as one line."""
    try:
        call(*arguments)
    except (ValueError, OSError) as error:
        message = str(error)
    else:
        return False
    assert message
    assert "\n" not in message
    return True


def odd_documents(document: Any, seed: int, count: int) -> list[Any]:
    random_ = random.Random(seed)
    results = []
    for _ in range(count):
        changed = copy.deepcopy(document)
        container, key = random_.choice(places(changed))
        container[key] = random_.choice(ODD)
        results.append(changed)
    return results


def bytes_changed(data: bytes, seed: int, count: int) -> list[bytes]:
    random_ = random.Random(seed)
    results = []
    for _ in range(count):
        start = random_.randrange(len(data))
        end = min(len(data), start + random_.randrange(20))
        new = random_.choice(
            [b"", b"\xff", b"<", b'"', b"\n", b"9" * 400, b"-1", b"nan", b"&amp;", b": [", b",", b"*a"]
        )
        results.append(data[:start] + new + data[end:])
    return results


def whole() -> Document:
    return dataset([person(), person(image_id=2), person(keypoints=[0] * 15)])


@pytest.mark.parametrize(("kind", "count"), [("label-studio", 300), ("coco", 100)])
def test_json_with_odd_values(kind: str, count: int, tmp_path: Path) -> None:
    path = WRITERS[kind](whole(), tmp_path / "a.json", None)
    refused = 0
    for document in odd_documents(json.loads(path.read_text()), 0, count):
        path.write_text(json.dumps(document))
        refused += refused_in_one_line(READERS[kind], path)
    assert refused > 3


def test_training_reads_odd_values_or_refuses_them_in_a_line(tmp_path: Path) -> None:
    images, path = write_images(tmp_path, whole()), tmp_path / "a.json"
    refused = 0
    for document in odd_documents(whole(), 1, 200):
        path.write_text(json.dumps(document))
        refused += refused_in_one_line(CocoKeypoints, str(path), images, FIGURE)
    assert refused > 3


@pytest.mark.parametrize("to", ["yolo", "cvat", "label-studio"])
def test_odd_coco_is_written_or_refused(to: str, tmp_path: Path) -> None:
    refused = 0
    for number, document in enumerate(odd_documents(whole(), 1, 250)):
        refused += refused_in_one_line(WRITERS[to], document, tmp_path / str(number), None)
    assert refused > 50


def of_cvat(folder: Path) -> Path:
    return WRITERS["cvat"](whole(), folder / "annotations.xml", None)


def of_yolo(folder: Path) -> Path:
    return WRITERS["yolo"](whole(), folder / "set", write_images(folder / "images", whole()))


def of_deeplabcut(folder: Path) -> Path:
    (folder / "CollectedData_me.csv").write_bytes(CSV)
    return folder / "CollectedData_me.csv"


@pytest.mark.parametrize(
    ("kind", "make", "part"),
    [
        ("cvat", of_cvat, "annotations.xml"),
        ("yolo", of_yolo, "data.yaml"),
        ("yolo", of_yolo, "labels/train/a0.txt"),
        ("deeplabcut", of_deeplabcut, "CollectedData_me.csv"),
    ],
)
def test_texts_with_odd_bytes(kind: str, make: Callable[[Path], Path], part: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    target = path.parent / part
    refused = 0
    for data in bytes_changed(target.read_bytes(), 2, 200):
        target.write_bytes(data)
        refused += refused_in_one_line(READERS[kind], path)
    assert refused > 10


@pytest.mark.extra
@pytest.mark.parametrize("part", ["metadata", "videos_json"])
def test_sleap_with_odd_values(part: str, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="needs the extra [sleap]")
    import numpy as np

    from support.sleap_files import VIDEO, build, description

    refused = 0
    original = description() if part == "metadata" else VIDEO
    for number, document in enumerate(odd_documents(original, 3, 60)):
        path = build(tmp_path / f"{number}.slp")
        with h5py.File(path, "a") as file:
            if part == "metadata":
                file["metadata"].attrs["json"] = np.bytes_(json.dumps(document))
            else:
                del file["videos_json"]
                file["videos_json"] = [json.dumps(document)]
        refused += refused_in_one_line(READERS["sleap"], path)
    assert refused > 3
