"""A COCO json into its beginning and its end.

Frames of a video that follow each other look alike: a share by id (`SourceConfig.held_out`) would put nearly the same
picture on both sides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from associative_embedding.io.coco_json import read_coco
from associative_embedding.io.files import write_json


def split_coco(document: dict[str, Any], last: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """The images of a COCO dataset in the order of the file, without and only the `last` share, each with its rest.

    Raises:
        ValueError: when one of the two would have no image.
    """
    images = document["images"]
    count = round(last * len(images)) if 0 < last < 1 else 0
    if not 0 < count < len(images):
        raise ValueError(f"--last {last:g} of {len(images)} images leaves a part without any; it is a share, like 0.2")
    return of_images(document, images[:-count]), of_images(document, images[-count:])


def of_images(document: dict[str, Any], images: list[dict[str, Any]]) -> dict[str, Any]:
    ids = {image["id"] for image in images}
    annotations = [row for row in document["annotations"] if row.get("image_id") in ids]
    return {**document, "images": images, "annotations": annotations}


def write_split(annotations: str, folder: str, last: float) -> list[Path]:
    """Write ``train.json`` and ``test.json``; their paths.

    Raises:
        ValueError: for annotations that cannot be read, or a share that leaves nothing.
        OSError: when they cannot be written.
    """
    parts = split_coco(read_coco(annotations), last)
    paths = [Path(folder) / name for name in ("train.json", "test.json")]
    for path, part in zip(paths, parts, strict=True):
        write_json(path, part)
    return paths
