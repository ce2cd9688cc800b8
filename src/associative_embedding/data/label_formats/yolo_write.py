"""Writes YOLO-pose datasets; see `yolo` for the format."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from associative_embedding.data.label_formats.labels import (
    LabelledImage,
    LabelledObject,
    Point,
    box_around,
    from_coco,
)
from associative_embedding.data.label_formats.yolo_yaml import SPLITS
from associative_embedding.io.console import Notes
from associative_embedding.io.files import atomic_write
from associative_embedding.io.outputs import check_output
from associative_embedding.io.temporary_files import partial_file
from associative_embedding.structures.skeleton import Skeleton

HEADER = "# Written by ae data convert\n"  # of data.yaml


def write_yolo(coco: dict[str, Any], folder: str | Path, images: str | Path | None = None) -> Path:
    """Writes ``labels/<part>/*.txt`` and, last, ``data.yaml``, whose path it returns.

    Ultralytics refuses values outside of the image. So boxes are cut at the border of the image, and keypoints outside
    of it become unlabelled. Crowds and boxes without area are left out. Lines say so. The part of an image is its key
    ``split``, without it ``train``. If no image belongs to ``val``, ``val`` is the training images.

    Args:
        coco: a COCO dataset.
        folder: folder of the new dataset.
        images: folder of the images, which are copied to ``images/<part>/``; None = they are not copied, and sizes must
            be in the dataset.

    Raises:
        ValueError: for a wrong entry, categories with different keypoints, a file name outside of the folder, or a
            folder that has labels already.
        OSError: if it cannot be written.
    """
    where, root = "the COCO dataset", Path(folder)
    skeletons, labelled = from_coco(coco, where, images)
    first, *others = skeletons.values()
    if any(other.keypoints != first.keypoints for other in others):
        raise ValueError(f"{where}: YOLO has one list of keypoints for all categories, but here they differ")
    # labels of an older export would belong to no image, or to a wrong one
    if (root / "labels").is_dir() and any((root / "labels").iterdir()):
        raise ValueError(f"{root}: has labels already; choose another folder, or remove its 'labels'")
    places = places_of(labelled, where)
    if images is not None:
        for image, place in zip(labelled, places, strict=True):
            check_copy(Path(images) / image.name, root / "images" / place)
    notes = Notes(where)
    for image, place in zip(labelled, places, strict=True):
        lines = [line_of(found, list(skeletons), first, image.size or (1, 1)) for found in image.objects]
        note_losses(image, lines, notes)
        text = "".join(f"{line}\n" for line in lines if line)
        atomic_write((root / "labels" / place).with_suffix(".txt"), text.encode("ascii"))
        if images is not None:
            copy_image(Path(images) / image.name, root / "images" / place)
    notes.say()
    # last: a folder with a data.yaml is complete
    data = yaml_content(list(skeletons), first, {place.parts[0] for place in places})
    text = HEADER + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    atomic_write(root / "data.yaml", text.encode())
    return root / "data.yaml"


def note_losses(image: LabelledImage, lines: Sequence[str], notes: Notes) -> None:
    """Notes what this format cannot hold of an image."""
    for found, line in zip(image.objects, lines, strict=True):
        if not line:
            reason = "crowds are left out" if found.crowd else "the box has no area inside of the image; left out"
            notes.add(reason, "object", image.name)
            continue
        for name, point in found.points.items():
            if not is_inside(point, image.size or (1, 1)):
                notes.add("outside of the image, so it becomes unlabelled", "keypoint", f"{name} of {image.name}")


def is_inside(point: Point, size: tuple[int, int]) -> bool:
    """Whether a keypoint lies in an image of `size` (H, W) or on its border."""
    return 0 <= point[0] <= size[1] and 0 <= point[1] <= size[0]


def yaml_content(names: Sequence[str], skeleton: Skeleton, splits: set[str]) -> dict[str, Any]:
    """Returns the content of ``data.yaml``.

    Args:
        names: the categories.
        skeleton: of all categories.
        splits: the parts that have images.
    """
    parts = {split: f"images/{split}" for split in SPLITS if split in splits}
    some = next(iter(parts.values()), "images/train")
    return {
        **{"train": some, "val": some, **parts},  # Ultralytics needs both keys
        "kpt_shape": [len(skeleton), 3],
        # without it Ultralytics does not mirror images
        **({"flip_idx": skeleton.flip_index.tolist()} if skeleton.sides_known else {}),
        "names": dict(enumerate(names)),
        "kpt_names": {i: list(skeleton.keypoints) for i in range(len(names))},
        "skeleton": skeleton.edge_index.tolist(),
    }


def places_of(images: Sequence[LabelledImage], where: str) -> list[PurePosixPath]:
    """Returns ``<part>/<name>`` of each image.

    Raises:
        ValueError: for an unknown part, a name outside of the folder, or two images with the same label file.
    """
    places: list[PurePosixPath] = []
    taken: dict[PurePosixPath, str] = {}  # place without suffix -> file name
    for image in images:
        split, name = image.extra.get("split", "train"), image.name.replace("\\", "/")
        if split not in SPLITS:
            raise ValueError(f"{where}: image {image.name}: 'split' must be train, val or test, not {split!r:.60}")
        # names that `read_yolo` gave have the folder of their part already
        parts = PurePosixPath(name.removeprefix(f"images/{split}/")).parts
        # Ultralytics replaces the last `images` in a path by `labels`
        path = PurePosixPath(*(part for part in parts[:-1] if part != "images"), *parts[-1:])
        if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or not path.name:
            raise ValueError(f"{where}: file_name {image.name!r:.60} must be inside of the folder of images")
        place = split / path
        label = place.with_suffix("")  # a.png and a.jpg would both have a.txt
        if label in taken:
            raise ValueError(
                f"{where}: images {taken[label]} and {image.name} would have the same label file; rename one"
            )
        taken[label] = image.name
        places.append(place)
    return places


def line_of(labelled: LabelledObject, names: Sequence[str], skeleton: Skeleton, size: tuple[int, int]) -> str:
    """Returns the line of an object, or "" for what YOLO does not have: a crowd, or a box outside of the image.

    Args:
        names: the categories, in the order of the classes.
        skeleton: of all categories.
        size: (H, W) of the image.
    """
    height, width = size
    x, y, w, h = box_around(list(labelled.points.values())) if labelled.box is None else labelled.box
    left, right = (min(max(v / width, 0.0), 1.0) for v in (x, x + w))
    top, bottom = (min(max(v / height, 0.0), 1.0) for v in (y, y + h))
    if labelled.crowd or right <= left or bottom <= top:
        return ""
    values = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    # seven decimals: an error below a thousandth of a pixel, up to sides of 20,000 pixels
    parts = [str(names.index(labelled.category)), *(f"{value:.7f}" for value in values)]
    return " ".join([*parts, *(keypoint_text(labelled, name, size) for name in skeleton.keypoints)])


def keypoint_text(labelled: LabelledObject, name: str, size: tuple[int, int]) -> str:
    """Returns ``x y visibility`` of a keypoint, relative to the size (H, W); zeros if unlabelled or outside."""
    if name not in labelled.points:
        return "0 0 0"
    x, y, visible = labelled.points[name]
    return f"{x / size[1]:.7f} {y / size[0]:.7f} {visible}" if is_inside((x, y, visible), size) else "0 0 0"


def check_copy(source: Path, target: Path) -> None:
    """Checks that a copy would replace no other image.

    Raises:
        ValueError: if the target is a file with other content.
    """
    check_output(target, lambda path: source.is_file() and filecmp.cmp(source, path, shallow=False))


def copy_image(source: Path, target: Path) -> None:
    """Copies a file, whole or not at all.

    Raises:
        ValueError: if the image is missing.
        OSError: if it cannot be written.
    """
    if not source.is_file():
        raise ValueError(f"{source}: no such image; --images must be the folder that the file names are relative to")
    if target.exists():  # the same image, see `check_copy`
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # a copy and a rename, not `atomic_write`: images need not pass through memory
    with partial_file(target) as partial:
        shutil.copyfile(source, partial)
