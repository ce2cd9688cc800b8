"""COCO dataset -> "CVAT for images 1.1"; see `cvat` for the format."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from associative_embedding.data.label_formats.cvat import BOX
from associative_embedding.data.label_formats.labels import Picture, Point, from_coco
from associative_embedding.io.files import atomic_write
from associative_embedding.structures.skeleton import Skeleton


def write_cvat(coco: dict[str, Any], path: str | Path, images: str | Path | None = None) -> Path:
    """Write an ``annotations.xml``, to be uploaded to a task whose labels have the same names.

    Boxes get the label of their skeleton and " box", in the same ``group_id``. A crowd becomes a box without points.

    Args:
        path: of the ``.xml``.
        images: folder of the images, for sizes that the dataset does not state.

    Raises:
        ValueError: for an entry that is not right, or a text that XML cannot hold.
        OSError: when it cannot be written.
    """
    skeletons, pictures = from_coco(coco, "the COCO dataset", images)
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    task = ET.SubElement(ET.SubElement(root, "meta"), "task")
    for key, text in (("name", Path(path).stem), ("size", str(len(pictures))), ("mode", "annotation")):
        ET.SubElement(task, key).text = text
    labels = ET.SubElement(task, "labels")
    for skeleton in skeletons.values():
        add_label(labels, skeleton)
    group = itertools.count(1)
    for number, picture in enumerate(pictures):
        add_image(root, number, picture, skeletons, group)
    texts = [value for element in root.iter() for value in (element.text or "", *element.attrib.values())]
    if any(re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", text) for text in texts):
        raise ValueError(f"cannot write {path}: a name has a character that XML cannot hold")
    ET.indent(root)
    atomic_write(path, ET.tostring(root, encoding="utf-8", xml_declaration=True))
    return Path(path)


def add_label(labels: ET.Element, skeleton: Skeleton) -> None:
    rows = [(skeleton.name, "skeleton", None), (skeleton.name + BOX, "rectangle", None)]
    for name, kind, parent in [*rows, *((name, "points", skeleton.name) for name in skeleton.keypoints)]:
        label = ET.SubElement(labels, "label")
        ET.SubElement(label, "name").text = name
        ET.SubElement(label, "type").text = kind
        ET.SubElement(label, "attributes")
        if kind == "skeleton":
            ET.SubElement(label, "svg").text = template(skeleton)
        if parent is not None:
            ET.SubElement(label, "parent").text = parent


def template(skeleton: Skeleton) -> str:
    """What `edges_of` reads; the points stand in rows, as nothing says where they belong."""
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
    root: ET.Element, number: int, picture: Picture, skeletons: Mapping[str, Skeleton], groups: Iterator[int]
) -> None:
    height, width = picture.size or (0, 0)
    sides = {"width": str(width), "height": str(height)}
    image = ET.SubElement(root, "image", {"id": str(number), "name": picture.name, **sides})
    for thing in picture.things:
        shared = {"source": "file", "occluded": "0", "z_order": "0", "group_id": str(next(groups))}
        if thing.points:
            skeleton = ET.SubElement(image, "skeleton", {"label": thing.category, **shared})
            for name in skeletons[thing.category].keypoints:
                ET.SubElement(skeleton, "points", point_attributes(name, thing.points.get(name)))
        if thing.box is not None:
            x, y, w, h = thing.box
            corners: Sequence[tuple[str, float]] = (("xtl", x), ("ytl", y), ("xbr", x + w), ("ybr", y + h))
            sides = {key: f"{value:.4f}" for key, value in corners}
            ET.SubElement(image, "box", {"label": thing.category + BOX, **shared, **sides})


def point_attributes(name: str, point: Point | None) -> dict[str, str]:
    x, y, visible = point or (0.0, 0.0, 0)
    state = {"outside": str(int(visible == 0)), "occluded": str(int(visible == 1))}
    return {"label": name, "source": "file", **state, "points": f"{x:.4f},{y:.4f}"}
