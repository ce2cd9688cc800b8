"""The annotation of MPII Human Pose, ``mpii_human_pose_v1_u12_1.mat``, and the same as a COCO json.

The file holds one structure ``RELEASE`` (Andriluka et al. 2014, README of the data set):

- ``annolist(i)``: ``image.name`` and ``annorect(p)``, one for each person: head box ``x1 y1 x2 y2``, ``scale`` (height
  in 200 pixels), ``objpos`` (``x y``, roughly the body's centre), ``annopoints.point(j)`` with ``x y id is_visible``.
- ``img_train(i)``: 1 for training, 0 for test images, whose keypoints are withheld.
- ``single_person{i}``: the people of an image who stand apart from all others, counted from 1.

Any field of a person may be missing or empty. Coordinates are taken as they are stated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from associative_embedding.io.coco_json import AREA_PER_BOX
from associative_embedding.io.files import check_writable, write_json
from associative_embedding.io.matlab import read_matlab
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.known_skeletons import MPII_16

PERSON_HEIGHT = 200  # pixels of a person of scale 1
Part = Literal["train", "test", "all"]


@dataclass(frozen=True)
class MpiiPerson:
    """
    Attributes:
        keypoints: ``(16, 3)`` float64 x, y in pixels and visibility: 0 unlabelled, 1 occluded, 2 visible or not said.
        head_box: x1, y1, x2, y2 in pixels, or None.
        objpos: x, y in pixels of the body's centre, roughly; or None.
        scale: height / 200 pixels, or None.
        single: stands apart from all others.
    """

    keypoints: Array
    head_box: tuple[float, ...] | None
    objpos: tuple[float, ...] | None
    scale: float | None
    single: bool


@dataclass(frozen=True)
class MpiiImage:
    """
    Attributes:
        file_name: in the folder of images.
        train: of the training part.
        people: in the order of the file, also those of whom little is known: groups count them.
    """

    file_name: str
    train: bool
    people: tuple[MpiiPerson, ...]

    def of_part(self, part: Part) -> bool:
        return part in ("all", "train" if self.train else "test")


def read_mpii(path: str | Path) -> list[MpiiImage]:
    """All images of the release in its order, which is also that of ``mpii_groups_v12.mat``.

    Raises:
        ValueError: for a file without this content; the line says what is missing, and in which image.
        OSError: when it cannot be read.
    """
    release = read_matlab(path, "RELEASE", plain=True)
    if not isinstance(release, dict) or not {"annolist", "img_train"} <= release.keys():
        raise ValueError(f"{path}: 'RELEASE' must be a structure with 'annolist' and 'img_train'")
    images = structures(release["annolist"])
    train = np.atleast_1d(release["img_train"]).tolist()
    apart = cells(release.get("single_person"), len(images))
    if not len(images) == len(train) == len(apart):
        raise ValueError(
            f"{path}: 'annolist', 'img_train' and 'single_person' must have the same length, "
            f"not {len(images)}, {len(train)} and {len(apart)}"
        )
    return [
        read_image(image, bool(t), numbers(a), f"{path}: image {i}")
        for i, (image, t, a) in enumerate(zip(images, train, apart, strict=True), start=1)
    ]


def read_image(image: Mapping[str, Any], train: bool, apart: Sequence[float], where: str) -> MpiiImage:
    name = part(image, "image").get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"{where}: 'image.name' must be a text, not {name!r}")
    people = [
        read_person(person, number in apart, f"{where}, person {number}")
        for number, person in enumerate(structures(image.get("annorect")), start=1)
    ]
    return MpiiImage(name, train, tuple(people))


def read_person(person: Mapping[str, Any], single: bool, where: str) -> MpiiPerson:
    keypoints = np.zeros((len(MPII_16), 3))
    for point in structures(part(person, "annopoints").get("point")):
        place, joint = values(point, ("x", "y"), where), values(point, ("id",), where)
        if place is None or joint is None or joint[0] not in range(len(MPII_16)):
            raise ValueError(f"{where}: a keypoint must have 'x', 'y' and an 'id' from 0 to 15, not {dict(point)}")
        keypoints[int(joint[0])] = (*place, visibility(point.get("is_visible")))
    scale = values(person, ("scale",), where)
    return MpiiPerson(
        keypoints=keypoints,
        head_box=values(person, ("x1", "y1", "x2", "y2"), where),
        objpos=values(part(person, "objpos"), ("x", "y"), where),
        scale=scale[0] if scale else None,
        single=single,
    )


def visibility(stated: Any) -> int:
    """0 or 1 in the file, as a number or a text; empty where nobody said."""
    return 1 if str(np.squeeze(stated)).strip() in ("0", "0.0", "False") else 2


# ---- what MATLAB leaves of structures: one alone is itself, none is an empty array


def structures(value: Any) -> list[dict[str, Any]]:
    return [value] if isinstance(value, dict) else [item for item in items(value) if isinstance(item, dict)]


def part(structure: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A structure within a structure; empty if it is missing or empty."""
    found = structures(structure.get(key))
    return found[0] if found else {}


def items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, np.ndarray)) and np.ndim(value) else []


def cells(value: Any, count: int) -> list[Any]:
    """A cell array of `count`; with one cell MATLAB's reader gives what is in it."""
    if value is None:
        return [[] for _ in range(count)]
    return [value] if count == 1 else items(value)


def numbers(value: Any) -> list[float]:
    return [float(number) for number in np.ravel(value)] if np.size(value) else []


def values(structure: Mapping[str, Any], keys: Sequence[str], where: str) -> tuple[float, ...] | None:
    """The numbers of some fields; None if one of them is missing or empty."""
    stated = [np.ravel(structure.get(key, ())) for key in keys]
    if any(len(value) == 0 for value in stated):
        return None
    try:
        found = tuple(float(value[0]) for value in stated)
    except (TypeError, ValueError):
        found = (math.nan,)
    if not all(map(math.isfinite, found)):
        raise ValueError(f"{where}: {', '.join(map(repr, keys))} must be finite numbers")
    return found


# ---- as a COCO json


def write_mpii_as_coco(path: str | Path, folder: str | Path, output: str | Path, *, part: Part = "all") -> str:
    """``ae data mpii``; see `read_mpii` and `mpii_to_coco`. Returns a line that says what was written.

    Raises:
        ValueError, OSError: as these, and when the output cannot be written; before the long work, if possible.
    """
    check_writable(output)
    images = read_mpii(path)
    dataset = mpii_to_coco(images, folder, part=part)
    write_json(output, dataset)
    count, labelled = len(dataset["images"]), sum(row["num_keypoints"] > 0 for row in dataset["annotations"])
    missing = sum(image.of_part(part) for image in images) - count
    left_out = f"; {missing} are not in {folder} and were left out" if missing else ""
    return f"{output}: {count} images, {labelled} people with labels{left_out}"


def mpii_to_coco(images: Sequence[MpiiImage], folder: str | Path, *, part: Part = "all") -> dict[str, Any]:
    """A COCO dataset of the images that are in a folder, with what MPII's protocols need to know.

    Beside COCO's keys an image has ``mpii_index`` (its place in the release, from 0), an annotation ``mpii_person``
    (its place in the image, from 0), ``single_person`` and, where they are known, ``head_box`` xyxy, ``objpos`` and
    ``scale``. ``area`` is 0.53 of the box. People without labels have a box by their place and scale, to be ignored in
    training; those of whom not even that is known are left out.

    Raises:
        ValueError: when no image is there, or one cannot be read.
    """
    chosen = [(i, image) for i, image in enumerate(images) if image.of_part(part)]
    there = [(i, image) for i, image in chosen if (Path(folder) / image.file_name).is_file()]
    if not there:
        raise ValueError(f"{folder}: none of the {len(chosen)} images of this part is there")
    rows = [row for i, image in there for row in annotation_rows(i, image)]
    return {
        "images": [image_entry(i, image.file_name, Path(folder)) for i, image in there],
        "annotations": [{"id": number, **row} for number, row in enumerate(rows, start=1)],
        "categories": [MPII_16.to_category()],
    }


def image_entry(index: int, name: str, folder: Path) -> dict[str, Any]:
    try:
        with Image.open(folder / name) as image:
            width, height = image.size
    except OSError as error:
        raise ValueError(f"{folder / name}: not an image ({error})") from None
    return {"id": index + 1, "file_name": name, "width": width, "height": height, "mpii_index": index}


def annotation_rows(index: int, image: MpiiImage) -> list[dict[str, Any]]:
    rows = []
    for number, person in enumerate(image.people):
        box = box_of(person)
        if box is None:
            continue
        known = {"head_box": person.head_box, "objpos": person.objpos, "scale": person.scale}
        rows.append(
            {
                "image_id": index + 1,
                "category_id": 1,
                "keypoints": person.keypoints.ravel().tolist(),
                "num_keypoints": int((person.keypoints[:, 2] > 0).sum()),
                "bbox": list(box),
                "area": AREA_PER_BOX * box[2] * box[3],
                "iscrowd": 0,
                "mpii_person": number,
                "single_person": person.single,
                **{key: value for key, value in known.items() if value is not None},
            }
        )
    return rows


def box_of(person: MpiiPerson) -> tuple[float, ...] | None:
    """x, y, width, height around keypoints and head; without labels a square of the person's height."""
    labelled = person.keypoints[person.keypoints[:, 2] > 0, :2]
    if len(labelled):
        head = np.reshape(person.head_box or (), (-1, 2))
        corners = np.concatenate([labelled, head])
        return (*corners.min(axis=0).tolist(), *np.ptp(corners, axis=0).tolist())
    if person.objpos is None or person.scale is None:
        return None
    side = PERSON_HEIGHT * person.scale
    return (person.objpos[0] - side / 2, person.objpos[1] - side / 2, side, side)
