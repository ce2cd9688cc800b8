"""Reads YOLO-pose datasets: ``data.yaml``, ``images/``, and ``labels/`` with a text file for each image.

A line is ``class cx cy w h``, then ``x y [visibility]`` of each keypoint. Coordinates are relative to the width and
height of the image after its EXIF orientation is applied (docs.ultralytics.com/datasets/pose), so they are continuous.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from associative_embedding.data.label_formats.labels import LabelledImage, LabelledObject, Point, to_coco
from associative_embedding.data.label_formats.reading import finite, image_size, read_text
from associative_embedding.data.label_formats.yolo_yaml import (
    SPLITS,
    find_yaml,
    keypoint_shape,
    read_yaml,
    skeletons_of,
)
from associative_embedding.structures.skeleton import Skeleton

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
NEARLY_ONE = 1.01  # relative coordinates above 1 by rounding; in a file of pixels nearly all are far above


def read_yolo(path: str | Path, images: str | Path | None = None) -> dict[str, Any]:
    """Reads a YOLO-pose dataset as a COCO dataset; file names are relative to the dataset's folder.

    Keypoints have the names in ``kpt_names``. Without it, 17 keypoints with COCO's ``flip_idx`` have COCO's names, and
    others are ``kpt_0``, ``kpt_1`` ... If a line has no visibilities, a keypoint at 0 0 is not labelled. The key
    ``split`` of an image is its part: train, val or test.

    Args:
        path: the ``.yaml`` or its folder.
        images: folder that replaces the ``path`` in the yaml.

    Raises:
        ValueError: one line with the file and the line.
    """
    file = find_yaml(Path(path))
    data = read_yaml(file)
    skeletons = skeletons_of(data, file)
    shape = keypoint_shape(data, file)
    root = dataset_root(data, file, images)
    found = []
    for split, name in image_names(data, root, file):
        image, label = root / name, label_of(root / name)
        size = image_size(image)
        # Ultralytics takes an image without a label file as an image without objects
        lines = read_text(label).splitlines() if label.is_file() else []
        objects = [
            read_line(line, list(skeletons.values()), shape, size, f"{label}: line {number}")
            for number, line in enumerate(lines, start=1)
            if line.strip()
        ]
        found.append(LabelledImage(name, size, objects, {"split": split}))
    return to_coco(found, skeletons, str(file))


def dataset_root(data: Mapping[str, Any], file: Path, images: str | Path | None) -> Path:
    """Returns the folder that the paths in the yaml are relative to."""
    if images is not None:
        return Path(images)
    stated = file.parent / str(data.get("path") or ".")
    return stated if stated.is_dir() else file.parent  # the path is often one of the machine that wrote the file


def image_names(data: Mapping[str, Any], root: Path, file: Path) -> Iterator[tuple[str, str]]:
    """Yields the part and the name, relative to the root, of every image, each once.

    Raises:
        ValueError: if an image lies outside of the root, or there is no image.
    """
    seen: set[str] = set()  # val is often the same folder as train
    for split in SPLITS:
        entries = data.get(split) or []
        for entry in entries if isinstance(entries, list) else [entries]:
            for path in image_files(root / str(entry), root):
                try:
                    name = path.relative_to(root).as_posix()
                except ValueError:
                    name = ".."
                # a name that leaves the folder would make other tools read or write elsewhere
                if ".." in PurePosixPath(name).parts:
                    raise ValueError(
                        f"{file}: {path} is outside of {root}; give the folder of all (--images)"
                    ) from None
                if name not in seen:
                    seen.add(name)
                    yield split, name
    if not seen:
        raise ValueError(
            f"{file}: no images in {root} of 'train', 'val' or 'test'; give the dataset's folder (--images)"
        )


def image_files(path: Path, root: Path) -> list[Path]:
    """Returns the images of an entry: a folder, a text with one path on each line, or an image."""
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
    if path.suffix == ".txt" and path.is_file():
        return [root / line.strip() for line in read_text(path).splitlines() if line.strip()]
    return [path] if path.suffix.lower() in SUFFIXES and path.is_file() else []


def label_of(image: Path) -> Path:
    """``.../images/a/b.jpg`` -> ``.../labels/a/b.txt``, by the last ``images``; without one, beside the image."""
    parts = list(image.parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 2 - parts[-2::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")


def read_line(
    line: str, skeletons: Sequence[Skeleton], shape: tuple[int, int], size: tuple[int, int], where: str
) -> LabelledObject:
    """Reads one object.

    Args:
        line: one line of a label file.
        skeletons: in the order of the classes.
        shape: number of keypoints, and numbers of each (2 or 3).
        size: (H, W) of the image.
        where: file and line, for error messages.

    Raises:
        ValueError: for a wrong number of values, or a value outside of its range.
    """
    values = [finite(value, where, "a value") for value in line.split()]
    count, dims = shape
    if len(values) != 5 + count * dims:
        raise ValueError(f"{where}: has {len(values)} values, not the {5 + count * dims} that 'kpt_shape' needs")
    if values[0] not in range(len(skeletons)):
        raise ValueError(f"{where}: class {values[0]:g} is none of the {len(skeletons)} in 'names'")
    skeleton, (height, width) = skeletons[int(values[0])], size
    cx, cy, w, h = values[1:5]
    if min(w, h) < 0 or max(values[1:5]) > NEARLY_ONE:
        raise ValueError(f"{where}: the box must be relative to the image, in 0..1, not {cx:g} {cy:g} {w:g} {h:g}")
    points: dict[str, Point] = {}
    for i, name in enumerate(skeleton.keypoints):
        x, y, *rest = values[5 + i * dims : 5 + (i + 1) * dims]
        visible = rest[0] if rest else 2 * (x > 0 or y > 0)
        if visible not in (0, 1, 2):
            raise ValueError(f"{where}: the visibility of {name} must be 0, 1 or 2, not {visible:g}")
        if visible:
            points[name] = (x * width, y * height, int(visible))
    box = ((cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height)
    return LabelledObject(skeleton.name, points, box)
