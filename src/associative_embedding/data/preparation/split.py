"""Splits a COCO json into its first and its last images, for videos.

Neighbouring frames of a video are nearly the same. A share by image id (`SourceConfig.held_out`) would put such frames
on both sides of the split.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from associative_embedding.data.readers.coco_entries import int_id
from associative_embedding.data.readers.video_frames import NO_VIDEO, in_order, video_frames
from associative_embedding.io.coco_json import read_coco
from associative_embedding.io.console import errors_name
from associative_embedding.io.files import write_json
from associative_embedding.io.outputs import check_output, marked, own_json

COMMAND = "ae data split"


def split_coco(document: dict[str, Any], last: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Splits a COCO document by the order of its images, or of its frames (`in_time`).

    Args:
        document: the document.
        last: share of the images, above 0 and below 1, that the second part gets.

    Returns:
        two documents: the first images and the last images, each with its annotations and all other entries.

    Raises:
        ValueError: when a part would have no image, or an image has no integer as its id.
    """
    images = in_time(document["images"])
    count = round(last * len(images)) if 0 < last < 1 else 0
    if not 0 < count < len(images):  # also because images[-0:] would be all of them
        raise ValueError(f"--last {last:g} of {len(images)} images leaves a part without any; it is a share, like 0.2")
    return with_images(document, images[:-count]), with_images(document, images[-count:])


def in_time(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns images in the order of their videos and frame numbers, if they all state these; else as they are."""
    frames = video_frames(images)
    if not frames.stated or NO_VIDEO in frames.video:
        return images
    return [images[i] for i in in_order(frames.video, frames.frame)]


def with_images(document: dict[str, Any], images: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns a document with only some of its images, and their annotations."""
    ids = {int_id(image, "image") for image in images}
    rows = document["annotations"]
    annotations = [row for row in rows if isinstance(row.get("image_id"), int) and row["image_id"] in ids]
    # all other entries stay: categories, licences, info
    return {**document, "images": images, "annotations": annotations}


def write_split(annotations: str, folder: str, last: float) -> list[Path]:
    """Writes ``train.json`` and ``test.json``.

    Args:
        annotations: path of a COCO json.
        folder: where to write.
        last: share of the images, the last ones, that go into ``test.json``.

    Returns:
        the two paths.

    Raises:
        ValueError: for annotations that cannot be read, a part without an image, or a file of the folder that another
            command wrote.
        OSError: when a file cannot be written.
    """
    paths = [Path(folder) / name for name in ("train.json", "test.json")]
    for path in paths:
        check_output(path, own_json(COMMAND), [annotations])
    with errors_name(annotations):
        parts = split_coco(read_coco(annotations), last)
    for path, part in zip(paths, parts, strict=True):
        write_json(path, marked(part, COMMAND))
    return paths
