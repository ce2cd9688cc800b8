"""Writes Label Studio's JSON; see `label_studio` for the format."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from associative_embedding.data.label_formats.label_studio import BOX, OCCLUDED, POINT
from associative_embedding.data.label_formats.labels import LabelledImage, LabelledObject, box_around, from_coco
from associative_embedding.io.files import atomic_write, write_json
from associative_embedding.io.outputs import MARK
from associative_embedding.structures.skeleton import Skeleton

LOCAL_FILES = "/data/local-files/?d="  # labelstud.io/guide/storage: files below the server's document root


def write_label_studio(
    coco: dict[str, Any], path: str | Path, images: str | Path | None = None, *, prefix: str = LOCAL_FILES
) -> Path:
    """Writes tasks to import, and beside them a labelling interface (``.xml``) to paste into the project.

    If any object has a score, the dataset is a prediction: then the tasks have ``predictions`` (pre-annotations, for
    people to correct) instead of ``annotations``.

    Args:
        coco: a COCO dataset.
        path: the ``.json``.
        images: folder of the images, to read sizes that the dataset does not contain.
        prefix: beginning of the address of each image, before its file name.

    Raises:
        ValueError: for a wrong entry.
        OSError: if it cannot be written.
    """
    skeletons, labelled = from_coco(coco, "the COCO dataset", images)
    atomic_write(Path(path).with_suffix(".xml"), interface(skeletons))
    predicted = any(found.score is not None for image in labelled for found in image.objects)
    key = "predictions" if predicted else "annotations"
    write_json(path, [task_of(number, image, prefix, key) for number, image in enumerate(labelled, start=1)])
    return Path(path)


def interface(skeletons: Mapping[str, Skeleton]) -> bytes:
    """Returns a labelling interface: the keypoints of all skeletons, and a rectangle for each category."""
    view = ET.Element("View")
    view.append(ET.Comment(f" {MARK.decode()} "))
    ET.SubElement(view, "Image", {"name": "image", "value": "$image"})
    points = ET.SubElement(view, "KeyPointLabels", {"name": "keypoint", "toName": "image"})
    for name in dict.fromkeys(name for skeleton in skeletons.values() for name in skeleton.keypoints):
        ET.SubElement(points, "Label", {"value": name})
    boxes = ET.SubElement(view, "RectangleLabels", {"name": "box", "toName": "image"})
    for name in skeletons:
        ET.SubElement(boxes, "Label", {"value": name})
    ET.indent(view)
    return bytes(ET.tostring(view, encoding="utf-8")) + b"\n"


def task_of(number: int, image: LabelledImage, prefix: str, key: str) -> dict[str, Any]:
    """Returns the task of one image.

    Args:
        number: id of the task, from 1.
        prefix: see `write_label_studio`.
        key: "annotations" or "predictions".
    """
    size = image.size or (1, 1)
    regions = [
        region
        for n, labelled in enumerate(image.objects, start=1)
        for region in regions_of(f"{number}-{n}", labelled, size)
    ]
    result: dict[str, Any] = {"result": regions}
    if key == "predictions":
        scores = [labelled.score for labelled in image.objects if labelled.score is not None]
        # the score of the whole task: Label Studio sorts tasks by it
        result |= {"model_version": "associative-embedding", "score": sum(scores) / max(len(scores), 1)}
    return {"id": number, "data": {"image": prefix + quote(image.name)}, key: [result]}


def regions_of(name: str, labelled: LabelledObject, size: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """Yields the rectangle of an object, then its points, whose parent is the rectangle.

    Args:
        name: id of the object, unique in the file.
        size: (H, W) of the image.
    """
    height, width = size
    # without a stated box the box around the points: the points need a parent, which keeps the object together
    x, y, w, h = box_around(list(labelled.points.values())) if labelled.box is None else labelled.box
    shared = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
    score = {} if labelled.score is None else {"score": labelled.score}
    value = {"x": 100 * x / width, "y": 100 * y / height, "width": 100 * w / width, "height": 100 * h / height}
    labels = {"rotation": 0, BOX: [labelled.category]}
    yield {"id": name, "type": BOX, "from_name": "box", **shared, "value": value | labels, **score}
    for label, (px, py, visible) in labelled.points.items():
        place = {"x": 100 * px / width, "y": 100 * py / height, "width": 0.5, POINT: [label]}  # drawn 0.5 % wide
        region = {"id": f"{name}-{label}", "type": POINT, "from_name": "keypoint", **shared, "value": place}
        yield {**region, "parentID": name, **score, **({"meta": {"text": [OCCLUDED]}} if visible == 1 else {})}
