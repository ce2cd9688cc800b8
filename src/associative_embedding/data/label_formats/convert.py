"""``ae data convert``: the list of the label formats, and the conversion from one to another by way of COCO."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from associative_embedding.data.label_formats.coco import COMMAND, read_coco_labels, write_coco
from associative_embedding.data.label_formats.cvat import read_cvat
from associative_embedding.data.label_formats.cvat_write import write_cvat
from associative_embedding.data.label_formats.deeplabcut import read_deeplabcut
from associative_embedding.data.label_formats.label_images import read_label_images
from associative_embedding.data.label_formats.label_studio import read_label_studio
from associative_embedding.data.label_formats.label_studio_write import write_label_studio
from associative_embedding.data.label_formats.sleap import read_sleap
from associative_embedding.data.label_formats.yolo import read_yolo
from associative_embedding.data.label_formats.yolo_write import HEADER, write_yolo
from associative_embedding.data.readers.label_pairs import NAME
from associative_embedding.io.deadline import within
from associative_embedding.io.outputs import MARK, Own, check_output, own_form, own_json

Folder = str | Path | None  # folder of the images
# path of the labels, folder of the images -> COCO dataset
READERS: dict[str, Callable[[str | Path, Folder], dict[str, Any]]] = {
    "coco": read_coco_labels,
    "cvat": read_cvat,
    "deeplabcut": read_deeplabcut,
    "label-studio": read_label_studio,
    "labels": read_label_images,
    "sleap": read_sleap,
    "yolo": read_yolo,
}
# COCO dataset, path to write, folder of the images -> the path that was written
WRITERS: dict[str, Callable[[dict[str, Any], str | Path, Folder], Path]] = {
    "coco": write_coco,
    "cvat": write_cvat,
    "label-studio": write_label_studio,
    "yolo": write_yolo,
}


def convert_labels(source: str, kind: str, to: str, output: str, images: str | None = None) -> Path:
    """Converts labels from one format to another, and returns the path that was written.

    Args:
        source: file or folder of the labels.
        kind: their format, a key of `READERS`.
        to: the format to write, a key of `WRITERS`.
        output: file or folder to write.
        images: folder of the images; for SLEAP the folder to write frames to.

    Raises:
        ValueError: if the labels cannot be read, the other format cannot hold them, or somebody else wrote the output.
        OSError: if they cannot be written.
    """
    if kind == "labels" and to != "coco":
        raise ValueError(f"label images become COCO masks; {to} holds keypoints: leave out --to {to}")
    if not Path(source).exists() and NAME not in source:
        raise ValueError(f"{source}: no such file or folder")
    # SLEAP's reader makes the folder
    if images is not None and kind != "sleap" and not Path(images).is_dir():
        raise ValueError(f"{images}: no such folder of images")
    for path, own in files_of(to, Path(output)):
        # A folder is read as a whole, so an output in it may be one of the inputs.
        inside = kind == to and Path(source).resolve() in path.resolve().parents
        check_output(path, own, [source, path if inside else None])
    read = READERS[kind]
    labels = within(patience(source), source, read, source, images) if kind == "sleap" else read(source, images)
    return WRITERS[to](labels, output, images)


def patience(source: str) -> float:
    """Returns the seconds in which an HDF5 file is read, however slow the machine: damaged ones are read for ever."""
    return 60 + os.path.getsize(source) / 1e6


def files_of(to: str, output: Path) -> list[tuple[Path, Own]]:
    """Returns the files that a format writes, each with the test that an earlier command wrote it.

    YOLO's labels and images are not among them: `write_yolo` looks after their folders.
    """
    comment = own_form(rb"(?s:.{0,80})<!-- " + MARK)
    if to == "label-studio":
        # The tasks are a list, which has no place for a mark; an export of Label Studio begins in another way.
        tasks = own_form(rb'\[(\]|\{"id": 1, "data": \{"image": )', rb"\]\n")
        return [(output, tasks), (output.with_suffix(".xml"), comment)]
    if to == "yolo":
        return [(output / "data.yaml", own_form(re.escape(HEADER)))]
    return [(output, comment if to == "cvat" else own_json(COMMAND))]
