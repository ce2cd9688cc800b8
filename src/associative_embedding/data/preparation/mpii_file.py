"""Reads the annotations of MPII Human Pose, ``mpii_human_pose_v1_u12_1.mat``.

The file contains one structure ``RELEASE`` (Andriluka et al. 2014, README of the data set):

- ``annolist(i)``: ``image.name`` and, for each person, ``annorect(p)``: head box ``x1 y1 x2 y2``, ``scale`` (height in
  units of 200 pixels), ``objpos`` (``x y``, roughly the centre of the body), ``annopoints.point(j)`` with ``x y id
  is_visible``.
- ``img_train(i)``: 1 for training images, 0 for test images, whose keypoints are not published.
- ``single_person{i}``: numbers, from 1, of the people in the image who stand apart from all others.

Any field of a person may be missing or empty. Coordinates are taken over unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

import numpy as np

from associative_embedding.io.matlab import read_matlab
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.known_skeletons import MPII_16

MpiiPart = Literal["train", "test", "all"]
PERSON_HEIGHT = 200  # pixels of a person of scale 1


@dataclass(frozen=True)
class MpiiPerson:
    """One person.

    Attributes:
        keypoints: ``(16, 3)`` float64 x, y in pixels and visibility (0 unlabelled, 1 occluded, 2 visible or not
            stated).
        head_box: x1, y1, x2, y2 in pixels, or None.
        objpos: x, y in pixels of the rough centre of the body, or None.
        scale: height of the person / 200 pixels, or None.
        single: whether the person stands apart from all others.
    """

    keypoints: Array
    head_box: tuple[float, ...] | None
    objpos: tuple[float, ...] | None
    scale: float | None
    single: bool


@dataclass(frozen=True)
class MpiiImage:
    """One image.

    Attributes:
        file_name: name in the folder of images.
        train: whether it is a training image.
        people: all people in the order of the file, also people without labels: MPII's groups of people count them.
    """

    file_name: str
    train: bool
    people: tuple[MpiiPerson, ...]

    def of_part(self, part: MpiiPart) -> bool:
        """Returns whether the image belongs to a part of the data set."""
        return part in ("all", "train" if self.train else "test")


def read_mpii(path: str | Path) -> list[MpiiImage]:
    """Reads all images of the release in its order, to which ``mpii_groups_v12.mat`` refers.

    Raises:
        ValueError: for a file with other content; the message states what is missing, and in which image.
        OSError: when the file cannot be read.
    """
    release = read_matlab(path, "RELEASE", plain=True)
    if not isinstance(release, dict) or not {"annolist", "img_train"} <= release.keys():
        raise ValueError(f"{path}: 'RELEASE' must be a structure with 'annolist' and 'img_train'")
    # the three lists belong together by place, and so does MPII's file of groups: none may lose an entry
    images = structures(release["annolist"])
    train = np.atleast_1d(release["img_train"]).tolist()
    apart = cells(release.get("single_person"), len(images))
    if not len(images) == len(train) == len(apart):
        raise ValueError(
            f"{path}: 'annolist', 'img_train' and 'single_person' must have the same length, "
            f"not {len(images)}, {len(train)} and {len(apart)}"
        )
    return [
        read_image(image, bool(in_train), numbers(singles), f"{path}: image {i}")
        for i, (image, in_train, singles) in enumerate(zip(images, train, apart, strict=True), start=1)
    ]


def read_image(image: Mapping[str, Any], train: bool, apart: Sequence[float], where: str) -> MpiiImage:
    """Reads one entry of ``annolist``; `apart` has the numbers of ``single_person``."""
    name = substructure(image, "image").get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"{where}: 'image.name' must be a text, not {name!r:.60}")
    if PureWindowsPath(name).name != name:  # which knows the separators of all systems
        raise ValueError(f"{where}: 'image.name' must be a file in the folder of images, not {name!r:.60}")
    people = [
        read_person(person, number in apart, f"{where}, person {number}")
        for number, person in enumerate(structures(image.get("annorect")), start=1)
    ]
    return MpiiImage(name, train, tuple(people))


def read_person(person: Mapping[str, Any], single: bool, where: str) -> MpiiPerson:
    """Reads one entry of ``annorect``."""
    keypoints = np.zeros((len(MPII_16), 3))
    for point in structures(substructure(person, "annopoints").get("point")):
        xy, number = field_values(point, ("x", "y"), where), field_values(point, ("id",), where)
        # MATLAB's numbers are floats: 3.0 is in this range, 3.5 is not
        if xy is None or number is None or number[0] not in range(len(MPII_16)):
            raise ValueError(f"{where}: a keypoint must have 'x', 'y' and an 'id' from 0 to 15, not {dict(point)}")
        keypoints[int(number[0])] = (*xy, visibility(point.get("is_visible")))
    scale = field_values(person, ("scale",), where)
    return MpiiPerson(
        keypoints=keypoints,
        head_box=field_values(person, ("x1", "y1", "x2", "y2"), where),
        objpos=field_values(substructure(person, "objpos"), ("x", "y"), where),
        scale=scale[0] if scale else None,
        single=single,
    )


def visibility(stated: Any) -> int:
    """Returns COCO's visibility, 1 or 2, of a field that is 0 or 1, a number or a text, or empty where not stated."""
    return 1 if str(np.squeeze(stated)).strip() in ("0", "0.0", "False") else 2


# ---- arrays of structures. MATLAB saves one structure without an array around it, and none as an empty array.


def structures(value: Any) -> list[dict[str, Any]]:
    """Returns the structures of an array of structures."""
    return [value] if isinstance(value, dict) else [item for item in items(value) if isinstance(item, dict)]


def substructure(structure: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Returns a structure in a field of a structure; an empty one if it is missing."""
    found = structures(structure.get(key))
    return found[0] if found else {}


def items(value: Any) -> list[Any]:
    """Returns the items of an array; none for anything else."""
    return list(value) if isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim) else []


def cells(value: Any, count: int) -> list[Any]:
    """Returns the `count` cells of a cell array; MATLAB saves a single cell as its content."""
    if value is None:
        return [[] for _ in range(count)]
    return [value] if count == 1 else items(value)


def numbers(value: Any) -> list[float]:
    """Returns the numbers of an array, or a number as a list of one."""
    return [float(number) for number in np.ravel(value)] if np.size(value) else []


def field_values(structure: Mapping[str, Any], keys: Sequence[str], where: str) -> tuple[float, ...] | None:
    """Returns the numbers in some fields of a structure; None if one of them is missing or empty.

    Raises:
        ValueError: for a field that is not a finite number.
    """
    # np.ravel: a number, an array of one number and an empty array all occur
    stated = [np.ravel(structure.get(key, ())) for key in keys]
    if any(len(value) == 0 for value in stated):
        return None
    try:
        found = tuple(float(value[0]) for value in stated)
    except (TypeError, ValueError):
        found = (math.nan,)  # a text gets the same message as NaN
    if not all(map(math.isfinite, found)):
        raise ValueError(f"{where}: {', '.join(map(repr, keys))} must be finite numbers")
    return found
