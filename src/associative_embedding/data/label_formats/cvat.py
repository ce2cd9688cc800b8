"""CVAT's "CVAT for images 1.1": XML with the skeletons of each image.

Coordinates are pixels from the corner of the image on (docs.cvat.ai/docs/other/xml_format), so continuous.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from associative_embedding.data.label_formats.labels import Box, Picture, Point, Thing, to_coco
from associative_embedding.data.label_formats.loose_points import Part, gather
from associative_embedding.data.label_formats.reading import finite, pixel_size
from associative_embedding.data.label_formats.safe_xml import parse_xml
from associative_embedding.structures.skeleton import Skeleton

BOX = " box"  # what the label of a person's box has after the label of their skeleton
EXPORT = "export the task from CVAT as 'CVAT for images 1.1'"


def read_cvat(path: str | Path, images: str | Path | None = None) -> dict[str, Any]:
    """An ``annotations.xml`` as a COCO dataset.

    A ``<skeleton>`` is an object; so are ``<points>`` and a ``<box>`` of one ``group_id`` (or points inside of a box),
    and a ``<points>`` of several, whose keypoints are then ``kpt_0`` and so on. A point that is ``outside`` is not
    labelled. The box of a skeleton is one of its group. A box without points is an object that was not labelled
    further.

    Args:
        path: the file, or a folder that holds it.
        images: not needed, the file states sizes.

    Raises:
        ValueError: one line with the file and the image.
    """
    file = Path(path) / "annotations.xml" if Path(path).is_dir() else Path(path)
    root = parse_xml(file)
    if root.tag != "annotations":
        raise ValueError(f"{file}: is <{root.tag}>, not <annotations>; {EXPORT}")
    skeletons = declared(root, str(file))
    pictures = [
        picture_of(image, skeletons, f"{file}: image {image.get('name')!r:.80}") for image in root.iter("image")
    ]
    if not pictures:
        raise ValueError(f"{file}: no <image>; {EXPORT}")
    return to_coco(pictures, skeletons, str(file))


def declared(root: ET.Element, where: str) -> dict[str, Skeleton]:
    """Label -> skeleton, of the ``<labels>`` of the head."""
    labels = [label for labels in root.iterfind("meta/*/labels") for label in labels.iterfind("label")]
    skeletons: dict[str, Skeleton] = {}
    for label in labels:
        name = label.findtext("name") or ""
        names = [child.findtext("name") or "" for child in labels if child.findtext("parent") == name]
        if label.findtext("type") == "skeleton" and names:
            try:
                skeletons[name] = Skeleton.build(name, names, edges_of(label.findtext("svg") or "", set(names)))
            except ValueError as error:
                raise ValueError(f"{where}: label {name!r}: {error}") from None
    return skeletons


def edges_of(svg: str, names: set[str]) -> list[tuple[str, str]]:
    """The edges of the template that CVAT draws a skeleton by: circles with names, and lines between their numbers."""
    tags = [(tag, dict(re.findall(r'([\w-]+)="([^"]*)"', text))) for tag, text in re.findall(r"<(\w+)\b([^<>]*)>", svg)]
    nodes = {found.get("data-node-id"): found.get("data-label-name") for tag, found in tags if tag == "circle"}
    ends = [(nodes.get(f.get("data-node-from")), nodes.get(f.get("data-node-to"))) for tag, f in tags if tag == "line"]
    return [(a, b) for a, b in ends if a in names and b in names and a and b]


def picture_of(image: ET.Element, skeletons: Mapping[str, Skeleton], where: str) -> Picture:
    if not (name := image.get("name")):
        raise ValueError(f"{where}: has no 'name'")
    boxes = [(box.get("label") or "", box_of(box, where), box.get("group_id") or "0") for box in image.iterfind("box")]
    things: list[Thing] = []
    used: set[int] = set()
    for number, found in enumerate(image.iterfind("skeleton")):
        group = found.get("group_id") or "0"
        mine = [i for i, box in enumerate(boxes) if box[2] == group != "0" and i not in used]
        used.update(mine[:1])
        points = dict(
            p for point in found.iterfind("points") for p in points_of(point, f"{where}: skeleton {number + 1}")
        )
        things.append(Thing(found.get("label") or "object", points, boxes[mine[0]][1] if mine else None))
    rest = [box for i, box in enumerate(boxes) if i not in used]
    own = {skeleton + BOX: skeleton for skeleton in skeletons}
    parts = [Part(own.get(label, label), box=box, group=None if g == "0" else g) for label, box, g in rest]
    for number, element in enumerate(image.iterfind("points")):
        named, group = points_of(element, where), element.get("group_id") or "0"
        key = ("points", number) if len(named) > 1 else (None if group == "0" else group)
        parts += [Part(label, point=point, group=key) for label, point in named]
    things += gather(parts, where, only(skeletons))
    return Picture(name, pixel_size(image.get("height"), image.get("width"), where), things)


def only(skeletons: Mapping[str, Skeleton]) -> str:
    """The category of points that are of no skeleton."""
    return next(iter(skeletons)) if len(skeletons) == 1 else "object"


def points_of(element: ET.Element, where: str) -> list[tuple[str, Point]]:
    """Name and point of a ``<points>``; none if it is outside."""
    if element.get("outside") == "1":
        return []
    label, visible = element.get("label") or "", 1 if element.get("occluded") == "1" else 2
    pairs = [pair.split(",") for pair in (element.get("points") or "").split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{where}: points {label!r} must be x,y;x,y, not {element.get('points')!r:.60}")
    found = [[finite(value, where, f"a coordinate of {label!r}") for value in pair] for pair in pairs]
    names = [label] if len(found) == 1 else [f"kpt_{i}" for i in range(len(found))]
    return [(name, (x, y, visible)) for name, (x, y) in zip(names, found, strict=True)]


def box_of(element: ET.Element, where: str) -> Box:
    left, top, right, bottom = (finite(element.get(k), where, f"'{k}' of a box") for k in ("xtl", "ytl", "xbr", "ybr"))
    return min(left, right), min(top, bottom), abs(right - left), abs(bottom - top)
