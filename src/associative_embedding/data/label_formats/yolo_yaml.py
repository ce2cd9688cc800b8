"""Reads the ``data.yaml`` of a YOLO-pose dataset; see `yolo` for the format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from associative_embedding.data.label_formats.labels import check_types
from associative_embedding.data.label_formats.reading import read_text
from associative_embedding.io.coco_plain import plain_edges
from associative_embedding.io.yaml_files import MAX_BYTES, load_yaml
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.skeleton import Skeleton

SPLITS = ("train", "val", "test")
MAX_KEYPOINTS = 1000  # a wrong count would make as many names


def find_yaml(path: Path) -> Path:
    """Returns the yaml of a dataset: the path itself, or the one in a folder.

    Raises:
        ValueError: if a folder has none, or several and not exactly one ``data`` or ``dataset``.
    """
    if not path.is_dir():
        return path
    found = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    named = [file for file in found if file.stem in ("data", "dataset")] or found
    if len(named) != 1:
        raise ValueError(f"{path}: has {len(named)} .yaml files; give the one that describes the dataset")
    return named[0]


def read_yaml(file: Path) -> dict[str, Any]:
    """Returns the content of a ``data.yaml``.

    Raises:
        ValueError: if it cannot be read, is not YAML, or not of a pose dataset.
    """
    data = load_yaml(read_text(file, MAX_BYTES), file)
    if not isinstance(data, dict) or "kpt_shape" not in data:
        raise ValueError(f"{file}: has no 'kpt_shape', so it is no YOLO-pose dataset (data.yaml)")
    return data


def keypoint_shape(data: Mapping[str, Any], file: Path) -> tuple[int, int]:
    """Returns the number of keypoints, and the numbers of each: 2, or 3 with visibility.

    Raises:
        ValueError: for another ``kpt_shape``.
    """
    shape = data["kpt_shape"]
    good = isinstance(shape, list) and len(shape) == 2 and all(type(value) is int for value in shape)
    if not good or not 1 <= shape[0] <= MAX_KEYPOINTS or shape[1] not in (2, 3):
        raise ValueError(f"{file}: 'kpt_shape' must be [number of keypoints, 2 or 3], not {shape!r:.60}")
    return shape[0], shape[1]


def skeletons_of(data: Mapping[str, Any], file: Path) -> dict[str, Skeleton]:
    """Class name -> skeleton, in the order of the classes.

    Raises:
        ValueError: for wrong names, mirror indices or edges.
    """
    count = keypoint_shape(data, file)[0]
    classes = class_names(data, file)
    if not all(isinstance(name, str) for name in classes) or len(set(classes)) < len(classes):
        raise ValueError(f"{file}: 'names' must be different texts, not {classes!r:.60}")
    check_types(count * len(classes), str(file))
    flip = data.get("flip_idx")
    if flip is not None and (not isinstance(flip, list) or any(type(i) is not int for i in flip)):
        raise ValueError(f"{file}: 'flip_idx' must be a list of numbers, not {flip!r:.60}")
    if flip and (sorted(flip) != list(range(count)) or any(flip[flip[i]] != i for i in range(count))):
        raise ValueError(f"{file}: 'flip_idx' must name each of the {count} keypoints' partner, not {flip!r:.60}")
    return {name: skeleton_of(name, number, data, flip, file) for number, name in enumerate(classes)}


def class_names(data: Mapping[str, Any], file: Path) -> list[Any]:
    """Returns the names of the classes, which may be numbers; without names, one for each of ``nc``."""
    stated, count = as_list(data.get("names"), file, "names"), data.get("nc")
    if not stated and type(count) is int and 1 < count <= MAX_KEYPOINTS:
        return [f"class_{i}" for i in range(count)]
    return [str(name) if type(name) is int else name for name in stated or ["person"]]


def skeleton_of(name: str, number: int, data: Mapping[str, Any], flip: Sequence[int] | None, file: Path) -> Skeleton:
    """Returns the skeleton of one class.

    Args:
        name: of the class.
        number: of the class.
        data: content of the yaml.
        flip: for each keypoint the index of its mirror partner; None = not stated.
        file: the yaml, for error messages.

    Raises:
        ValueError: for wrong names or edges.
    """
    count = keypoint_shape(data, file)[0]
    stated = as_list(data.get("kpt_names") or data.get("node_names"), file, "kpt_names")  # the second is sleap-io's
    if stated and isinstance(stated[0], list):
        stated = stated[number] if number < len(stated) else []
    # Ultralytics' own coco-pose.yaml has no names; its mirror indices identify COCO's keypoints
    like_coco = count == len(COCO_17) and flip == COCO_17.flip_index.tolist()
    names = stated or (list(COCO_17.keypoints) if like_coco else [f"kpt_{i}" for i in range(count)])
    if len(names) != count or not all(isinstance(keypoint, str) for keypoint in names):
        raise ValueError(f"{file}: 'kpt_names' must be {count} texts, as in 'kpt_shape', not {names!r:.60}")
    # Ultralytics' default is an empty list: not stated
    pairs = [(names[i], names[k]) for i, k in enumerate(flip) if i < k] if flip else None
    category = {"name": name, "keypoints": names, "flip_pairs": pairs}
    edges = COCO_17.edge_index.tolist() if like_coco and not stated else data.get("skeleton")
    if edges is not None:
        category["skeleton"] = edges_from_1(edges, names, f"{file}: class {name!r}")
    try:
        return Skeleton.from_category(category)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def edges_from_1(edges: Any, names: Sequence[str], where: str) -> list[list[int]]:
    """Returns edges as COCO has them, which counts from 1; this format counts from 0. See `plain_edges` for others."""
    good = isinstance(edges, list) and all(isinstance(edge, list) and len(edge) == 2 for edge in edges)
    if good and all(type(end) is int and 0 <= end < len(names) for edge in edges for end in edge):
        return [[a + 1, b + 1] for a, b in edges]
    return plain_edges(edges, names, where)


def as_list(value: Any, file: Path, key: str) -> list[Any]:
    """Returns a list, also from a mapping of 0, 1 ... (``{0: person}``, ``{"0": person}``); empty for None.

    Raises:
        ValueError: for any other value.
    """
    if isinstance(value, dict) and {str(key) for key in value} == set(map(str, range(len(value)))):
        return [value[key] for key in sorted(value, key=lambda key: int(key))]
    if value is not None and not isinstance(value, list):
        raise ValueError(f"{file}: '{key}' must be a list, or a mapping of 0, 1, ..., not {value!r:.60}")
    return value or []
