"""Finds the images and label files of a YOLO dataset in the layouts that its tools write.

Ultralytics and CVAT state paths relative to the ``path`` in ``data.yaml``, Roboflow as ``../train/images`` for
``train/images`` beside it. Notebooks leave absolute paths of another machine. A part may be a folder, a text with a
path on each line, or a list of both; labels lie in ``labels/`` where the images lie in ``images/``, or beside them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from associative_embedding.data.label_formats.reading import read_text
from associative_embedding.data.label_formats.yolo_yaml import SPLITS
from associative_embedding.io.console import Notes
from associative_embedding.io.find_images import EXTENSIONS, files_of_folder
from associative_embedding.io.image_names import find_named, parts_of

ALIASES = {"val": ("val", "validation", "valid")}  # keys of a part
MAX_PARTS = 50  # folders at the beginning of a path that may be taken off
CLASSES = "classes.txt"  # names of classes, which some tools write among the labels
DATA = "data"  # CVAT's lists begin with this folder, which it does not export


@dataclass(frozen=True)
class YoloImage:
    """One image of a dataset.

    Attributes:
        name: relative to the folder of the dataset.
        path: of the file.
        split: train, val or test.
        labels: file of its labels, or None.
    """

    name: str
    path: Path
    split: str
    labels: Path | None


def find_images_of(data: Mapping[str, Any], file: Path, images: str | Path | None, notes: Notes) -> list[YoloImage]:
    """Returns all images, each once: val is often the same folder as train.

    An image without a label file has no objects, as for Ultralytics. This is noted, as are missing parts and images.

    Args:
        data: content of the yaml.
        file: the yaml.
        images: folder of the dataset; None = the ``path`` in the yaml, or the folder of the yaml.
        notes: of the yaml.

    Raises:
        ValueError: if there is no image, one lies outside of the folder, or no image has a label file.
    """
    parts = {split: stated_parts(data, split) for split in SPLITS}
    root = dataset_root(data, file, images, [entry for entries in parts.values() for entry in entries])
    found: dict[str, YoloImage] = {}
    for split, entries in parts.items():
        for entry in entries:
            names = names_of(entry, root, file, notes)
            if not names:
                notes.add(f"no images in {root}", "part", f"{split}: {entry}")
            for name in names:
                found.setdefault(name, YoloImage(name, root / name, split, label_file(root, name)))
    if not found:
        raise ValueError(
            f"{file}: no images in {root} of 'train', 'val' or 'test'; give the dataset's folder (--images)"
        )
    check_labels(list(found.values()), file, notes)
    return list(found.values())


def stated_parts(data: Mapping[str, Any], split: str) -> list[str]:
    """Returns the paths of a part."""
    entries: Any = next((data[key] for key in ALIASES.get(split, (split,)) if data.get(key)), [])
    return [str(entry) for entry in (entries if isinstance(entries, list) else [entries])]


def dataset_root(data: Mapping[str, Any], file: Path, images: str | Path | None, entries: list[str]) -> Path:
    """Returns the folder that the paths in the yaml are relative to: the first one that has one of them."""
    # the path is often one of the machine that wrote the file
    folders = [Path(images)] if images is not None else [file.parent / str(data.get("path") or "."), file.parent]
    return next((root for root in folders if any(path_in(root, entry) for entry in entries)), folders[-1])


def path_in(root: Path, entry: str) -> Path | None:
    """Returns the file or folder that an entry means in the folder of the dataset, or None.

    Folders may be taken off its beginning: ``..``, those of another machine, or the dataset's own.
    """
    parts = parts_of(entry)
    for count in range(min(len(parts), MAX_PARTS) + (not parts)):
        before, rest = parts[:count], parts[count:]
        foreign = set(before) <= {"..", DATA} or before[0].startswith("/") or before[0].endswith(":")
        own = before[-1:] == (Path(os.path.abspath(root)).name,)
        path = root.joinpath(*rest)
        if (foreign or own) and ".." not in rest and not "".join(rest).startswith("/") and path.exists():
            return path
    return None


def names_of(entry: str, root: Path, file: Path, notes: Notes) -> list[str]:
    """Returns the names of the images of an entry, relative to the folder of the dataset.

    Raises:
        ValueError: if it lies outside of this folder.
    """
    path = path_in(root, entry)
    if path is None:
        refuse_outside(root / entry, root, file)
        return []
    if path.suffix.lower() == ".txt" and path.is_file():
        return listed_names(path, root, notes)
    # labels may lie beside the images, so a line about other files would be of no use
    paths = files_of_folder(str(path), recursive=True) if path.is_dir() else [str(path)]
    images = sorted(image for image in paths if image.lower().endswith(EXTENSIONS))
    return [Path(os.path.relpath(image, root)).as_posix() for image in images]


def refuse_outside(path: Path, root: Path, file: Path) -> None:
    """Checks that a path that is not in the folder of the dataset is not elsewhere, either.

    Raises:
        ValueError: if it exists: a name that leaves the folder would make other tools read or write there.
    """
    if path.exists():
        raise ValueError(f"{file}: {path} is outside of {root}; give the folder of all (--images)")


def listed_names(path: Path, root: Path, notes: Notes) -> list[str]:
    """Returns the images in a text with a path on each line, relative to the dataset or to the text.

    Raises:
        ValueError: if an image lies outside of the dataset.
    """
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    found = {line: name for line in lines if (name := listed_name(line, path, root))}
    found |= find_named(root, [line for line in lines if line not in found], str(path))
    for line in lines:
        if line not in found:
            refuse_outside(root / line, root, path)
            notes.add(f"not in {root}; left out", "image", line)
    return [found[line] for line in lines if line in found]


def listed_name(line: str, path: Path, root: Path) -> str:
    """Returns the name of the image that a line of a text means, relative to the dataset; empty if it is not there."""
    top = os.path.abspath(root)
    for start in (root, path.parent):
        for rest in (line, line.removeprefix(f"{DATA}/")):
            place = os.path.abspath(start / rest)
            if place.startswith(top + os.sep) and os.path.isfile(place):
                return Path(os.path.relpath(place, top)).as_posix()
    return ""


def label_file(root: Path, name: str) -> Path | None:
    """Returns the label file of an image, or None: in ``labels/`` for ``images/``, or beside the image."""
    image = root / name
    places = (root / label_of(Path(name)), label_of(Path(os.path.abspath(image))), image.with_suffix(".txt"))
    return next((place for place in places if place.is_file()), None)


def label_of(image: Path) -> Path:
    """``.../images/a/b.jpg`` -> ``.../labels/a/b.txt``, by the last ``images``; without one, beside the image."""
    parts = list(image.parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 2 - parts[-2::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")


def check_labels(images: list[YoloImage], file: Path, notes: Notes) -> None:
    """Notes images without a label file.

    Raises:
        ValueError: if no image has one.
    """
    without = [image for image in images if image.labels is None]
    if len(without) == len(images):
        raise ValueError(
            f"{file}: no label file for any of its {len(images)} images; for {images[0].path} it would be "
            f"{label_of(images[0].path)}"
        )
    for image in without:
        notes.add("no label file, so it counts as an image without objects", "image", image.name)
    note_label_files([image.labels for image in images if image.labels], notes)


def note_label_files(used: Sequence[Path], notes: Notes) -> None:
    """Notes label files of several images, as ``a.jpg`` and ``a.png`` have, and those of no image."""
    for path, count in Counter(used).items():
        if count > 1:
            notes.add("the labels of several images, whose names differ in their endings alone", "file", path.name)
    known = set(used)
    # beside images there are other texts, such as lists
    for folder in sorted({path.parent for path in known if "labels" in path.parts}):
        for path in sorted(folder.glob("*.txt")):
            if path not in known and path.name != CLASSES:
                notes.add("labels of no image of 'train', 'val' or 'test'; left out", "file", path.name)
