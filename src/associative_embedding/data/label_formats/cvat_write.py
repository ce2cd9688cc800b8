"""Writes "CVAT for images 1.1"; see `cvat` for the format."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from associative_embedding.data.label_formats.cvat import BOX
from associative_embedding.data.label_formats.labels import LabelledImage, Point, from_coco
from associative_embedding.io.files import atomic_write
from associative_embedding.io.outputs import MARK
from associative_embedding.structures.skeleton import Skeleton

# control characters, halves of surrogate pairs, and the two last code points: XML 1.0 cannot hold them, even escaped
NOT_XML = r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"


def write_cvat(coco: dict[str, Any], path: str | Path, images: str | Path | None = None) -> Path:
    """Writes an ``annotations.xml``, to upload to a CVAT task whose labels have the same names.

    The label of a box is the label of its skeleton and " box", in the same ``group_id``. A crowd becomes a box without
    points.

    Args:
        coco: a COCO dataset.
        path: the ``.xml``.
        images: folder of the images, to read sizes that the dataset does not contain.

    Raises:
        ValueError: for a wrong entry, or a text that XML cannot hold.
        OSError: if it cannot be written.
    """
    skeletons, labelled = from_coco(coco, "the COCO dataset", images)
    root = ET.Element("annotations")
    root.append(ET.Comment(f" {MARK.decode()} "))
    ET.SubElement(root, "version").text = "1.1"
    task = ET.SubElement(ET.SubElement(root, "meta"), "task")
    for key, text in (("name", Path(path).stem), ("size", str(len(labelled))), ("mode", "annotation")):
        ET.SubElement(task, key).text = text
    labels = ET.SubElement(task, "labels")
    for skeleton in skeletons.values():
        add_labels(labels, skeleton)
    groups = itertools.count(1)  # of the whole file; 0 means no group
    for number, image in enumerate(labelled):
        add_image(root, number, image, skeletons, groups)
    texts = [value for element in root.iter() for value in (element.text or "", *element.attrib.values())]
    # ElementTree writes these characters without an error, and no reader opens the file
    if any(re.search(NOT_XML, text) for text in texts):
        raise ValueError(f"cannot write {path}: a name has a character that XML cannot hold")
    ET.indent(root)
    atomic_write(path, ET.tostring(root, encoding="utf-8", xml_declaration=True))
    return Path(path)


def add_labels(labels: ET.Element, skeleton: Skeleton) -> None:
    """Adds the labels of a skeleton, of its box, and of its keypoints."""
    rows = [(skeleton.name, "skeleton", None), (skeleton.name + BOX, "rectangle", None)]
    for name, kind, parent in [*rows, *((name, "points", skeleton.name) for name in skeleton.keypoints)]:
        label = ET.SubElement(labels, "label")
        ET.SubElement(label, "name").text = name
        ET.SubElement(label, "type").text = kind
        ET.SubElement(label, "attributes")
        if kind == "skeleton":
            ET.SubElement(label, "svg").text = skeleton_svg(skeleton)
        if parent is not None:
            ET.SubElement(label, "parent").text = parent


def skeleton_svg(skeleton: Skeleton) -> str:
    """Returns CVAT's drawing of a skeleton, from which `edges_of` reads its edges.

    A skeleton has no positions, so the circles stand in rows of five.
    """
    places = [(10 + 20 * (i % 5), 10 + 20 * (i // 5)) for i in range(len(skeleton))]
    lines = [
        f'<line x1="{places[a][0]}" y1="{places[a][1]}" x2="{places[b][0]}" y2="{places[b][1]}" data-type="edge" '
        f'data-node-from="{a + 1}" data-node-to="{b + 1}"></line>'
        for a, b in skeleton.edge_index.tolist()
    ]
    circles = [
        f'<circle r="0.75" cx="{x}" cy="{y}" data-type="element node" data-element-id="{i}" data-node-id="{i}" '
        f'data-label-name="{name}"></circle>'
        for i, (name, (x, y)) in enumerate(zip(skeleton.keypoints, places, strict=True), start=1)
    ]
    return "".join(lines + circles)


def add_image(
    root: ET.Element, number: int, image: LabelledImage, skeletons: Mapping[str, Skeleton], groups: Iterator[int]
) -> None:
    """Adds an ``<image>`` with its skeletons and boxes.

    Args:
        number: id of the image, from 0.
        groups: group ids that are not used yet; each object takes one.
    """
    height, width = image.size or (0, 0)
    sides = {"width": str(width), "height": str(height)}
    element = ET.SubElement(root, "image", {"id": str(number), "name": image.name, **sides})
    for labelled in image.objects:
        shared = {"source": "file", "occluded": "0", "z_order": "0", "group_id": str(next(groups))}
        if labelled.points:
            skeleton = ET.SubElement(element, "skeleton", {"label": labelled.category, **shared})
            # all keypoints, as in CVAT's own exports; those without a label are "outside"
            for name in skeletons[labelled.category].keypoints:
                ET.SubElement(skeleton, "points", point_attributes(name, labelled.points.get(name)))
        if labelled.box is not None:
            x, y, w, h = labelled.box
            corners: Sequence[tuple[str, float]] = (("xtl", x), ("ytl", y), ("xbr", x + w), ("ybr", y + h))
            place = {key: f"{value:.4f}" for key, value in corners}
            ET.SubElement(element, "box", {"label": labelled.category + BOX, **shared, **place})


def point_attributes(name: str, point: Point | None) -> dict[str, str]:
    """Returns the attributes of a ``<points>`` element; None = not labelled."""
    x, y, visible = point or (0.0, 0.0, 0)
    state = {"outside": str(int(visible == 0)), "occluded": str(int(visible == 1))}
    return {"label": name, "source": "file", **state, "points": f"{x:.4f},{y:.4f}"}
