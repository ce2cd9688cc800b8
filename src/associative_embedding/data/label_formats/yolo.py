"""YOLO-pose datasets: ``data.yaml``, ``images/`` and ``labels/`` with a text file an image.

A line is ``class cx cy w h`` and ``x y [visibility]`` of each keypoint, relative to the image's width and height as it
is shown (docs.ultralytics.com/datasets/pose), so coordinates are continuous.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from associative_embedding.data.label_formats.labels import Picture, Point, Thing, to_coco
from associative_embedding.data.label_formats.reading import finite, image_size, read_text
from associative_embedding.data.label_formats.yolo_yaml import SPLITS, read_yaml, shape_of, skeletons_of, yaml_in
from associative_embedding.structures.skeleton import Skeleton

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def read_yolo(path: str | Path, images: str | Path | None = None) -> dict[str, Any]:
    """A YOLO-pose dataset as a COCO dataset; a ``file_name`` is relative to the dataset's folder.

    Keypoints are named by ``kpt_names``; else, if there are 17 with COCO's ``flip_idx``, as COCO's; else ``kpt_0`` and
    so on. Without visibilities, 0 0 means not labelled. An image's part is its key ``split``.

    Args:
        path: the ``.yaml`` or its folder.
        images: takes the place of the folder that the yaml names in ``path``.

    Raises:
        ValueError: one line with the file and the line.
    """
    file = yaml_in(Path(path))
    data = read_yaml(file)
    skeletons = skeletons_of(data, file)
    shape = shape_of(data, file)
    root = root_of(data, file, images)
    pictures = []
    for split, name in images_of(data, root, file):
        image, label = root / name, label_of(root / name)
        size = image_size(image)
        lines = read_text(label).splitlines() if label.is_file() else []
        things = [
            thing_of(line, list(skeletons.values()), shape, size, f"{label}: line {number}")
            for number, line in enumerate(lines, start=1)
            if line.strip()
        ]
        pictures.append(Picture(name, size, things, {"split": split}))
    return to_coco(pictures, skeletons, str(file))


def root_of(data: Mapping[str, Any], file: Path, images: str | Path | None) -> Path:
    if images is not None:
        return Path(images)
    stated = file.parent / str(data.get("path") or ".")
    return stated if stated.is_dir() else file.parent  # paths are often of another machine


def images_of(data: Mapping[str, Any], root: Path, file: Path) -> Iterator[tuple[str, str]]:
    """Part and name relative to the root of every image, each once."""
    seen: set[str] = set()
    for split in SPLITS:
        entries = data.get(split) or []
        for entry in entries if isinstance(entries, list) else [entries]:
            for path in files_of(root / str(entry), root):
                try:
                    name = path.relative_to(root).as_posix()
                except ValueError:
                    name = ".."
                if ".." in PurePosixPath(name).parts:
                    raise ValueError(
                        f"{file}: {path} is outside of {root}; give the folder of all (--images)"
                    ) from None
                if name not in seen and ".." not in PurePosixPath(name).parts:
                    seen.add(name)
                    yield split, name
    if not seen:
        raise ValueError(
            f"{file}: no images in {root} of 'train', 'val' or 'test'; give the dataset's folder (--images)"
        )


def files_of(path: Path, root: Path) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
    if path.suffix == ".txt" and path.is_file():
        return [root / line.strip() for line in read_text(path).splitlines() if line.strip()]
    return [path] if path.suffix.lower() in SUFFIXES and path.is_file() else []


def label_of(image: Path) -> Path:
    """``.../images/a/b.jpg`` -> ``.../labels/a/b.txt``, by the last ``images``; beside the image if there is none."""
    parts = list(image.parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 2 - parts[-2::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")


def thing_of(
    line: str, skeletons: Sequence[Skeleton], shape: tuple[int, int], size: tuple[int, int], where: str
) -> Thing:
    values = [finite(value, where, "a value") for value in line.split()]
    count, dims = shape
    if len(values) != 5 + count * dims:
        raise ValueError(f"{where}: has {len(values)} values, not the {5 + count * dims} that 'kpt_shape' asks for")
    if values[0] not in range(len(skeletons)):
        raise ValueError(f"{where}: class {values[0]:g} is none of the {len(skeletons)} in 'names'")
    skeleton, (height, width) = skeletons[int(values[0])], size
    cx, cy, w, h = values[1:5]
    if min(w, h) < 0 or max(values[1:5]) > 1.01:
        raise ValueError(f"{where}: the box must be relative to the image, in 0..1, not {cx:g} {cy:g} {w:g} {h:g}")
    points: dict[str, Point] = {}
    for i, name in enumerate(skeleton.keypoints):
        x, y, *rest = values[5 + i * dims : 5 + (i + 1) * dims]
        visible = rest[0] if rest else 2 * (x > 0 or y > 0)
        if visible not in (0, 1, 2):
            raise ValueError(f"{where}: the visibility of {name} must be 0, 1 or 2, not {visible:g}")
        if visible:
            points[name] = (x * width, y * height, int(visible))
    return Thing(skeleton.name, points, ((cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height))
