"""COCO dataset -> YOLO-pose dataset; see `yolo` for the format."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from associative_embedding.data.label_formats.labels import Picture, Thing, extent, from_coco
from associative_embedding.data.label_formats.yolo_yaml import SPLITS
from associative_embedding.io.files import atomic_write
from associative_embedding.structures.skeleton import Skeleton


def write_yolo(coco: dict[str, Any], folder: str | Path, images: str | Path | None = None) -> Path:
    """Write ``labels/<part>/*.txt`` and, last, ``data.yaml``, whose path it returns.

    Keypoints outside of the image become unlabelled and boxes are cut at its border, as Ultralytics refuses others;
    crowds and boxes without area are left out. The part of an image is its key ``split``; without one it is ``train``.
    ``val`` is the training images where no image is of it.

    Args:
        images: folder of the images, which are copied to ``images/<part>/``; None: that is for the user to do.

    Raises:
        ValueError: for an entry that is not right, two categories with other keypoints, a name outside of the folder,
            or a folder that has labels already.
        OSError: when it cannot be written.
    """
    where, root = "the COCO dataset", Path(folder)
    skeletons, pictures = from_coco(coco, where, images)
    first, *others = skeletons.values()
    if any(other.keypoints != first.keypoints for other in others):
        raise ValueError(f"{where}: YOLO has one list of keypoints for all categories, but here they differ")
    if (root / "labels").is_dir() and any((root / "labels").iterdir()):
        raise ValueError(f"{root}: has labels already; choose another folder, or remove its 'labels'")
    places = places_of(pictures, where)
    for picture, place in zip(pictures, places, strict=True):
        lines = [line_of(thing, list(skeletons), first, picture.size or (1, 1)) for thing in picture.things]
        text = "".join(f"{line}\n" for line in lines if line)
        atomic_write((root / "labels" / place).with_suffix(".txt"), text.encode("ascii"))
        if images is not None:
            copy(Path(images) / picture.name, root / "images" / place)
    data = description(list(skeletons), first, {place.parts[0] for place in places})
    atomic_write(root / "data.yaml", yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode())
    return root / "data.yaml"


def description(names: Sequence[str], skeleton: Skeleton, splits: set[str]) -> dict[str, Any]:
    parts = {split: f"images/{split}" for split in SPLITS if split in splits}
    some = next(iter(parts.values()), "images/train")
    return {
        **{"train": some, "val": some, **parts},
        "kpt_shape": [len(skeleton), 3],
        "flip_idx": skeleton.flip_index.tolist(),
        "names": dict(enumerate(names)),
        "kpt_names": {i: list(skeleton.keypoints) for i in range(len(names))},
        "skeleton": skeleton.edge_index.tolist(),
    }


def places_of(pictures: Sequence[Picture], where: str) -> list[PurePosixPath]:
    """``<part>/<name>`` of each image."""
    places: list[PurePosixPath] = []
    taken: dict[PurePosixPath, str] = {}
    for picture in pictures:
        split, name = picture.more.get("split", "train"), picture.name.replace("\\", "/")
        if split not in SPLITS:
            raise ValueError(f"{where}: image {picture.name}: 'split' must be train, val or test, not {split!r:.60}")
        path = PurePosixPath(name.removeprefix(f"images/{split}/"))
        if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or not path.name:
            raise ValueError(f"{where}: file_name {picture.name!r:.60} must be inside of the folder of images")
        place = split / path
        label = place.with_suffix("")
        if label in taken:
            raise ValueError(
                f"{where}: images {taken[label]} and {picture.name} would have the same label file; rename one"
            )
        taken[label] = picture.name
        places.append(place)
    return places


def line_of(thing: Thing, names: Sequence[str], skeleton: Skeleton, size: tuple[int, int]) -> str:
    """A line, or "" for what YOLO cannot say: a crowd, and a box outside of the image."""
    height, width = size
    x, y, w, h = extent(list(thing.points.values())) if thing.box is None else thing.box
    left, right = (min(max(v / width, 0.0), 1.0) for v in (x, x + w))
    top, bottom = (min(max(v / height, 0.0), 1.0) for v in (y, y + h))
    if thing.crowd or right <= left or bottom <= top:
        return ""
    values = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    parts = [str(names.index(thing.category)), *(f"{value:.7f}" for value in values)]
    return " ".join([*parts, *(point_of(thing, name, size) for name in skeleton.keypoints)])


def point_of(thing: Thing, name: str, size: tuple[int, int]) -> str:
    if name not in thing.points:
        return "0 0 0"
    x, y, visible = thing.points[name]
    inside = 0 <= x <= size[1] and 0 <= y <= size[0]
    return f"{x / size[1]:.7f} {y / size[0]:.7f} {visible}" if inside else "0 0 0"


def copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all.

    Raises:
        ValueError: when it cannot be read.
        OSError: when it cannot be written.
    """
    if not source.is_file():
        raise ValueError(f"{source}: no such image; --images must be the folder that the file names are relative to")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        shutil.copyfile(source, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
