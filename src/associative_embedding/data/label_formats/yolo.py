"""Reads YOLO-pose datasets: ``data.yaml``, images, and a text file of labels for each image.

A line is ``class cx cy w h``, then ``x y [visibility]`` of each keypoint. Coordinates are relative to the width and
height of the image after its EXIF orientation is applied (docs.ultralytics.com/datasets/pose), so they are continuous.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from associative_embedding.data.label_formats.labels import LabelledImage, LabelledObject, Point, to_coco
from associative_embedding.data.label_formats.reading import finite, read_text
from associative_embedding.data.label_formats.yolo_files import YoloImage, find_images_of
from associative_embedding.data.label_formats.yolo_yaml import find_yaml, keypoint_shape, read_yaml, skeletons_of
from associative_embedding.io.console import Notes
from associative_embedding.io.images import read_size
from associative_embedding.structures.skeleton import Skeleton

NEARLY_ONE = 1.01  # relative coordinates above 1 by rounding; in a file of pixels nearly all are far above
MAX_LABELS = 16 * 2**20  # bytes of the labels of an image
FAR = 1.0  # sides of the image by which a keypoint may lie outside; pixels in place of shares are farther
BOX = 5  # numbers of a line without keypoints: the class and the box


def read_yolo(path: str | Path, images: str | Path | None = None) -> dict[str, Any]:
    """Reads a YOLO-pose dataset as a COCO dataset; file names are relative to the dataset's folder.

    Keypoints have the names in ``kpt_names``. Without it, 17 keypoints with COCO's ``flip_idx`` have COCO's names, and
    others are ``kpt_0``, ``kpt_1`` ... If a line has no visibilities, a keypoint at 0 0 is not labelled. A line of five
    numbers is an object without labelled keypoints. The key ``split`` of an image is its part: train, val or test.

    Args:
        path: the ``.yaml`` or its folder.
        images: folder that replaces the ``path`` in the yaml.

    Raises:
        ValueError: one line with the file and the line.
    """
    file = find_yaml(Path(path))
    data = read_yaml(file)
    skeletons, shape = skeletons_of(data, file), keypoint_shape(data, file)
    notes = Notes(str(file))
    entries = find_images_of(data, file, images, notes)
    found = [image for entry in entries if (image := read_image(entry, skeletons, shape, notes))]
    notes.say()
    if not found:
        raise ValueError(f"{file}: none of its {len(entries)} images can be read")
    return to_coco(found, skeletons, str(file))


def read_image(
    entry: YoloImage, skeletons: dict[str, Skeleton], shape: tuple[int, int], notes: Notes
) -> LabelledImage | None:
    """Reads an image and its labels, or returns None for a file that is no image, which is noted.

    Raises:
        ValueError: see `read_line`.
    """
    try:
        size = read_size(entry.path)
    except ValueError:
        notes.add("cannot be read as an image; left out", "file", entry.name)
        return None
    lines = read_text(entry.labels, MAX_LABELS).splitlines() if entry.labels else []
    objects = []
    known: set[str] = set()
    for number, line in enumerate(lines, start=1):
        if (text := " ".join(line.split())) in known:
            notes.add(
                "the same as another one of its file; left out, as Ultralytics does", "line", f"{entry.name} {number}"
            )
        elif text:
            where = f"{entry.labels}: line {number}"
            objects.append(read_line(line, list(skeletons.values()), shape, size, where))
            if fault := fault_of(line, shape):
                notes.add(fault, "line", f"{entry.name} {number}")
            known.add(text)
    return LabelledImage(entry.name, size, objects, {"split": entry.split})


def fault_of(line: str, shape: tuple[int, int]) -> str:
    """Returns what a user must know of a line that can be read; empty if it is as documented."""
    values = line.split()
    if len(values) == BOX:
        return "a box without keypoints; an object that nobody has labelled further"
    if len(values) == BOX + shape[0] * shape[1] + 1:
        return "one number more, the confidence of a prediction, which is left out"
    if shape[1] == 3 and any(float(value) not in (0, 1, 2) for value in values[BOX + 2 :: 3]):
        return "its visibilities are no 0, 1 and 2, as in predictions; a keypoint above 0 counts as visible"
    return ""


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
    # one number more is the confidence of a prediction
    if len(values) not in (BOX, BOX + count * dims, BOX + count * dims + 1):
        raise ValueError(f"{where}: has {len(values)} values, not the {BOX + count * dims} that 'kpt_shape' needs")
    if values[0] not in range(len(skeletons)):
        raise ValueError(f"{where}: class {values[0]:g} is none of the {len(skeletons)} in 'names'")
    skeleton, (height, width) = skeletons[int(values[0])], size
    cx, cy, w, h = values[1:5]
    if min(w, h) < 0 or max(values[1:5]) > NEARLY_ONE:
        raise ValueError(f"{where}: the box must be relative to the image, in 0..1, not {cx:g} {cy:g} {w:g} {h:g}")
    points: dict[str, Point] = {}
    for i, name in enumerate(skeleton.keypoints if len(values) > BOX else ()):
        x, y, *rest = values[BOX + i * dims : BOX + (i + 1) * dims]
        visible = rest[0] if rest else 2 * (x > 0 or y > 0)
        if not 0 <= visible <= 2:
            raise ValueError(f"{where}: the visibility of {name} must be 0, 1 or 2, not {visible:g}")
        if visible and not (-FAR <= x <= 1 + FAR and -FAR <= y <= 1 + FAR):
            raise ValueError(f"{where}: {name} must be relative to the image, in 0..1, not {x:g} {y:g}")
        if visible:
            points[name] = (x * width, y * height, 1 if visible == 1 else 2)
    box = ((cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height)
    return LabelledObject(skeleton.name, points, box)
