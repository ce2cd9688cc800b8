"""``ae data convert``: from one tool's labels to another's, by way of a COCO dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from associative_embedding.data.label_formats.coco import read_coco_labels, write_coco
from associative_embedding.data.label_formats.cvat import read_cvat
from associative_embedding.data.label_formats.cvat_write import write_cvat
from associative_embedding.data.label_formats.deeplabcut import read_deeplabcut
from associative_embedding.data.label_formats.label_studio import read_label_studio
from associative_embedding.data.label_formats.label_studio_write import write_label_studio
from associative_embedding.data.label_formats.sleap import read_sleap
from associative_embedding.data.label_formats.yolo import read_yolo
from associative_embedding.data.label_formats.yolo_write import write_yolo

Folder = str | Path | None
READERS: dict[str, Callable[[str | Path, Folder], dict[str, Any]]] = {
    "coco": read_coco_labels,
    "cvat": read_cvat,
    "deeplabcut": read_deeplabcut,
    "label-studio": read_label_studio,
    "sleap": read_sleap,
    "yolo": read_yolo,
}
WRITERS: dict[str, Callable[[dict[str, Any], str | Path, Folder], Path]] = {
    "coco": write_coco,
    "cvat": write_cvat,
    "label-studio": write_label_studio,
    "yolo": write_yolo,
}


def convert_labels(source: str, kind: str, to: str, output: str, images: str | None = None) -> Path:
    """Read labels of one of `READERS`, write them for one of `WRITERS`; the path that was written.

    Raises:
        ValueError: for labels that cannot be read, or that the other format cannot hold.
        OSError: when they cannot be written.
    """
    if not Path(source).exists():
        raise ValueError(f"{source}: no such file or folder")
    if images is not None and kind != "sleap" and not Path(images).is_dir():
        raise ValueError(f"{images}: no such folder of images")
    return WRITERS[to](READERS[kind](source, images), output, images)
