"""COCO dataset -> Label Studio's JSON; see `label_studio` for the format."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from associative_embedding.data.label_formats.label_studio import OCCLUDED
from associative_embedding.data.label_formats.labels import Picture, Thing, extent, from_coco
from associative_embedding.io.files import atomic_write, write_json
from associative_embedding.structures.skeleton import Skeleton

LOCAL_FILES = "/data/local-files/?d="  # labelstud.io/guide/storage: files below the server's document root


def write_label_studio(
    coco: dict[str, Any], path: str | Path, images: str | Path | None = None, *, prefix: str = LOCAL_FILES
) -> Path:
    """Write tasks to import, and beside them a labelling interface (``.xml``) to paste into the project.

    Where anything has a score, all was found, not labelled: then tasks have ``predictions`` (pre-annotation) instead of
    ``annotations``.

    Args:
        path: of the ``.json``.
        images: folder of the images, for sizes that the dataset does not state.
        prefix: what the address of an image has before its file name.

    Raises:
        ValueError: for an entry that is not right.
        OSError: when it cannot be written.
    """
    skeletons, pictures = from_coco(coco, "the COCO dataset", images)
    atomic_write(Path(path).with_suffix(".xml"), interface(skeletons))
    key = "predictions" if any(t.score is not None for picture in pictures for t in picture.things) else "annotations"
    write_json(path, [task_of(number, picture, prefix, key) for number, picture in enumerate(pictures, start=1)])
    return Path(path)


def interface(skeletons: Mapping[str, Skeleton]) -> bytes:
    view = ET.Element("View")
    ET.SubElement(view, "Image", {"name": "image", "value": "$image"})
    points = ET.SubElement(view, "KeyPointLabels", {"name": "keypoint", "toName": "image"})
    for name in dict.fromkeys(name for skeleton in skeletons.values() for name in skeleton.keypoints):
        ET.SubElement(points, "Label", {"value": name})
    boxes = ET.SubElement(view, "RectangleLabels", {"name": "box", "toName": "image"})
    for name in skeletons:
        ET.SubElement(boxes, "Label", {"value": name})
    ET.indent(view)
    return bytes(ET.tostring(view, encoding="utf-8")) + b"\n"


def task_of(number: int, picture: Picture, prefix: str, key: str) -> dict[str, Any]:
    size = picture.size or (1, 1)
    rows = [row for n, thing in enumerate(picture.things, start=1) for row in rows_of(f"{number}-{n}", thing, size)]
    scores = [thing.score for thing in picture.things if thing.score is not None]
    result: dict[str, Any] = {"result": rows}
    if key == "predictions":
        result |= {"model_version": "associative-embedding", "score": sum(scores) / max(len(scores), 1)}
    return {"id": number, "data": {"image": prefix + quote(picture.name)}, key: [result]}


def rows_of(name: str, thing: Thing, size: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """The rectangle of an object and its points, which have it as their parent."""
    height, width = size
    x, y, w, h = extent(list(thing.points.values())) if thing.box is None else thing.box
    shared = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
    score = {} if thing.score is None else {"score": thing.score}
    value = {"x": 100 * x / width, "y": 100 * y / height, "width": 100 * w / width, "height": 100 * h / height}
    labels = {"rotation": 0, "rectanglelabels": [thing.category]}
    yield {"id": name, "type": "rectanglelabels", "from_name": "box", **shared, "value": value | labels, **score}
    for label, (px, py, visible) in thing.points.items():
        place = {"x": 100 * px / width, "y": 100 * py / height, "width": 0.5, "keypointlabels": [label]}
        row = {"id": f"{name}-{label}", "type": "keypointlabels", "from_name": "keypoint", **shared, "value": place}
        yield {**row, "parentID": name, **score, **({"meta": {"text": [OCCLUDED]}} if visible == 1 else {})}
