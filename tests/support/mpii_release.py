"""A small release of MPII Human Pose: the nested structures, file names and groups of the real one.

`write_release` draws its images: of the training images all labels are given, of the test images, as in the real one,
only position and scale of the people.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from associative_embedding.data.synthetic.figures import write_synthetic_dataset
from associative_embedding.structures.known_skeletons import MPII_16

EMPTY = np.zeros((0, 0))
RELEASE, GROUPS = "mpii_human_pose_v1_u12_1.mat", "mpii_groups_v12.mat"
TRAIN, TEST = 6, 3  # images


def structs(rows: list[dict[str, Any]]) -> np.ndarray:
    """A MATLAB structure array, as savemat takes it; the fields are those of the first row."""
    fields = list(rows[0]) if rows else ["x"]
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in fields])
    for i, row in enumerate(rows):
        array[0, i] = tuple(row.get(name, EMPTY) for name in fields)
    return array


def cell(rows: list[Any]) -> np.ndarray:
    array = np.empty((len(rows), 1), dtype=object)
    for i, row in enumerate(rows):
        array[i, 0] = row
    return array


def point(joint: int, visible: Any, x: float | None = None) -> dict[str, Any]:
    return {"x": 10.0 + joint if x is None else x, "y": 20.5 + joint, "id": joint, "is_visible": visible}


def person(points: Any, **fields: Any) -> dict[str, Any]:
    annopoints = EMPTY if points is None else structs([{"point": structs(points) if points else EMPTY}])
    place = {"scale": 1.5, "objpos": structs([{"x": 30.0, "y": 40.0}])}
    return {"x1": 12.0, "y1": 8.0, "x2": 42.0, "y2": 48.0, "annopoints": annopoints, **place, **fields}


def name_of(number: int) -> str:
    return f"{15601864 + number:09d}.jpg"


def release(
    people: list[Any], train: list[int], single: Any, *, names: list[str] | None = None, **fields: Any
) -> dict[str, Any]:
    images = [
        {
            "image": structs([{"name": names[i] if names else f"{i}.png"}]),
            "annorect": structs(rows) if rows else EMPTY,
            "frame_sec": EMPTY,
            "vididx": i,
        }
        for i, rows in enumerate(people)
    ]
    return {
        "annolist": structs(images),
        "img_train": np.array([train], dtype=np.uint8),
        "version": "12",
        "single_person": cell(single),
        "act": structs([{"act_name": "yoga", "cat_name": "", "act_id": 1}] * len(images)),
        "video_list": cell(["abc"]),
        **fields,
    }


def write_release(folder: Path, *, size: int = 96, places: Sequence[int] = range(TRAIN + TEST)) -> None:
    """Writes release, groups and ``images/``; training images come first.

    Where there are three, the first person stands apart, and the others are a group; two are a group. A person alone is
    a group, too, and stands apart, except in the fifth image.

    Args:
        size: side of the images, in pixels.
        places: of the images in the release, ascending; entries between them have no people, and no file.
    """
    drawn = folder / "drawn"
    path = write_synthetic_dataset(drawn, MPII_16, TRAIN + TEST, size=(size, size), people=(1, 3), seed=3)
    document = json.loads(path.read_text())
    people: list[list[np.ndarray]] = [[] for _ in range(places[-1] + 1)]
    place = {image["id"]: i for image, i in zip(document["images"], places, strict=True)}
    for row in document["annotations"]:
        people[place[row["image_id"]]].append(np.reshape(row["keypoints"], (16, 3)).astype(np.float64))
    (folder / "images").mkdir(parents=True)
    for image in document["images"]:
        shutil.copy(drawn / "images" / image["file_name"], folder / "images" / name_of(place[image["id"]]))
    shutil.rmtree(drawn)
    train = [int(i < places[TRAIN]) for i in range(len(people))]
    rows = [[labelled(k) if train[i] else hidden(k) for k in found] for i, found in enumerate(people)]
    apart = [len(found) == 3 or (len(found) == 1 and i != places[4]) for i, found in enumerate(people)]
    single = [np.array([1.0]) if one else EMPTY for one in apart]
    content = release(rows, train, single, names=[name_of(i) for i in range(len(people))])
    savemat(folder / RELEASE, {"RELEASE": content})
    savemat(folder / GROUPS, {"groups": cell([groups_of(len(found)) if found else EMPTY for found in people])})


def groups_of(count: int) -> np.ndarray:
    """The first of three is a group alone; else all are one group."""
    numbers = np.arange(1.0, count + 1)
    return cell([numbers[:1][None], numbers[1:][None]] if count == 3 else [numbers[None]])


def position(keypoints: np.ndarray) -> dict[str, Any]:
    seen = keypoints[keypoints[:, 2] > 0, :2]
    x, y = (seen.min(axis=0) + seen.max(axis=0)) / 2
    return {"scale": float(np.ptp(seen, axis=0).max()) / 200, "objpos": structs([{"x": x, "y": y}])}


def labelled(keypoints: np.ndarray) -> dict[str, Any]:
    points = [{"x": x, "y": y, "id": i, "is_visible": "1"} for i, (x, y, seen) in enumerate(keypoints.tolist()) if seen]
    (x, y), side = keypoints[MPII_16.index["head_top"], :2], 12.0
    head = {"x1": x - side, "y1": y - side, "x2": x + side, "y2": y + side}
    return {**head, "annopoints": structs([{"point": structs(points)}]), **position(keypoints)}


def hidden(keypoints: np.ndarray) -> dict[str, Any]:
    return position(keypoints)
