"""Reads "CVAT for images 1.1": an XML file with the skeletons, points and boxes of each image.

Coordinates are pixels from the corner of the image (docs.cvat.ai/docs/other/xml_format), so they are continuous.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from associative_embedding.data.label_formats.labels import (
    Box,
    LabelledImage,
    LabelledObject,
    Point,
    check_types,
    to_coco,
)
from associative_embedding.data.label_formats.loose_shapes import LooseShape, gather_objects, turned_box
from associative_embedding.data.label_formats.reading import finite, pixel_size
from associative_embedding.data.label_formats.safe_xml import parse_xml
from associative_embedding.io.console import Notes
from associative_embedding.structures.skeleton import Skeleton

BOX = " box"  # a label of CVAT has one type, so a skeleton and its box have two: "person" and "person box"
ATTRIBUTE = re.compile(r'(?<![\w-])([\w-]+)="([^"]*)"')  # from the first letter of a name on: else it takes hours
NO_GROUP = "0"  # CVAT's group_id of a shape without a group
READ = ("skeleton", "points", "box", "tag")  # children of <image>; a tag has no place
EXPORT = "export the task from CVAT as 'CVAT for images 1.1'"


def read_cvat(path: str | Path, images: str | Path | None = None) -> dict[str, Any]:
    """Reads an ``annotations.xml`` as a COCO dataset.

    A ``<skeleton>`` is an object, with the ``<box>`` of the same ``group_id``. Further objects are the ``<points>`` and
    ``<box>`` of one ``group_id``, the points inside of a box (`gather_objects`), and one ``<points>`` with several
    points, whose keypoints are named ``kpt_0``, ``kpt_1`` ... A point that is ``outside`` is not labelled. A box
    without points is an object without labelled keypoints. Polygons and other shapes are left out, and so are points
    that are no keypoint of a declared skeleton; lines say so.

    Args:
        path: the file, or a folder that contains it.
        images: not used; the file contains the sizes.

    Raises:
        ValueError: one line with the file and the image.
    """
    file = Path(path) / "annotations.xml" if Path(path).is_dir() else Path(path)
    root = parse_xml(file)
    if root.tag != "annotations":
        raise ValueError(f"{file}: is <{root.tag}>, not <annotations>; {EXPORT}")
    skeletons = declared_skeletons(root, str(file))
    notes = Notes(str(file))
    found = [read_image(image, skeletons, str(file), notes) for image in root.iter("image")]
    if not found:
        raise ValueError(f"{file}: no <image>; {EXPORT}")
    notes.say()
    return to_coco(found, skeletons, str(file))


def declared_skeletons(root: ET.Element, where: str) -> dict[str, Skeleton]:
    """Label -> skeleton, from the ``<labels>`` in the head of the file.

    Raises:
        ValueError: if a skeleton has a name twice, or a wrong edge.
    """
    labels = [label for labels in root.iterfind("meta/*/labels") for label in labels.iterfind("label")]
    kinds = sum(label.findtext("type") == "skeleton" for label in labels)
    check_types(len(labels) * kinds, where)  # each is compared with all labels
    skeletons: dict[str, Skeleton] = {}
    for label in labels:
        name = label.findtext("name") or ""
        # the keypoints are labels too, beside the label of their skeleton, which they name as their parent
        names = [child.findtext("name") or "" for child in labels if child.findtext("parent") == name]
        if label.findtext("type") == "skeleton" and names:
            try:
                skeletons[name] = Skeleton.build(name, names, edges_of(label.findtext("svg") or "", set(names)))
            except ValueError as error:
                raise ValueError(f"{where}: label {name!r}: {error}") from None
    return skeletons


def edges_of(svg: str, names: set[str]) -> list[tuple[str, str]]:
    """Returns the edges in CVAT's drawing of a skeleton: circles with names, and lines between the circles' numbers.

    Args:
        svg: elements without a common root, hence no XML document: regular expressions read it.
        names: keypoint names; an edge with another end is left out.
    """
    tags = [(tag, dict(ATTRIBUTE.findall(text))) for tag, text in re.findall(r"<(\w+)\b([^<>]*)>", svg)]
    nodes = {found.get("data-node-id"): found.get("data-label-name") for tag, found in tags if tag == "circle"}
    ends = [(nodes.get(f.get("data-node-from")), nodes.get(f.get("data-node-to"))) for tag, f in tags if tag == "line"]
    return [(a, b) for a, b in ends if a in names and b in names and a and b]


def read_image(image: ET.Element, skeletons: Mapping[str, Skeleton], file: str, notes: Notes) -> LabelledImage:
    """Reads one ``<image>`` of a file.

    Raises:
        ValueError: if it has no name, or a wrong number.
    """
    where = f"{file}: image {image.get('name')!r:.80}"
    if not (name := image.get("name")):
        raise ValueError(f"{where}: has no 'name'")
    for element in image:
        if element.tag not in READ:
            notes.add("neither a skeleton nor points or a box; left out", "shape", element.tag)
    boxes = [
        (box.get("label") or "", read_box(box, where), box.get("group_id") or NO_GROUP) for box in image.iterfind("box")
    ]
    objects: list[LabelledObject] = []
    of_group: dict[str, list[int]] = {}  # indices of the boxes of each group, the first one last
    for i, (_, _, group) in reversed([*enumerate(boxes)]):
        if group != NO_GROUP:
            of_group.setdefault(group, []).append(i)
    used: set[int] = set()  # indices of boxes that belong to a skeleton
    for number, element in enumerate(image.iterfind("skeleton"), start=1):
        group = element.get("group_id") or NO_GROUP
        own = [of_group[group].pop()] if of_group.get(group) else []
        used.update(own)
        points = dict(
            point for child in element.iterfind("points") for point in read_points(child, f"{where}: skeleton {number}")
        )
        objects.append(LabelledObject(element.get("label") or "object", points, boxes[own[0]][1] if own else None))
    free_boxes = [box for i, box in enumerate(boxes) if i not in used]
    shapes = loose_shapes(image, free_boxes, skeletons, where, notes)
    # a file with one skeleton is a project about it: points on their own are points of this category
    category = next(iter(skeletons)) if len(skeletons) == 1 else "object"
    objects += gather_objects(shapes, name, category, notes)
    return LabelledImage(name, pixel_size(image.get("height"), image.get("width"), where), objects)


def loose_shapes(
    image: ET.Element, boxes: list[tuple[str, Box, str]], skeletons: Mapping[str, Skeleton], where: str, notes: Notes
) -> list[LooseShape]:
    """Returns the boxes and points of an image that are not part of a ``<skeleton>``.

    Args:
        boxes: label, box and group of each box without a skeleton.
        notes: of the file, for points that are left out: where all objects have skeletons, other points are of none.
    """
    category = {skeleton + BOX: skeleton for skeleton in skeletons}
    shapes = [
        LooseShape(category.get(label, label), box=box, group=None if group == NO_GROUP else group)
        for label, box, group in boxes
    ]
    known = {name for skeleton in skeletons.values() for name in skeleton.keypoints}
    boxed = all(shape.label in skeletons for shape in shapes if shape.box)
    for number, element in enumerate(image.iterfind("points")):
        label = element.get("label") or ""
        if known and label not in known and boxed:
            notes.add("no keypoint of a skeleton; left out", "shape", label)
            continue
        named, group = read_points(element, where), element.get("group_id") or NO_GROUP
        # several points in one element are an object of their own; the tuple differs from every stated group
        key = ("points", number) if len(named) > 1 else (None if group == NO_GROUP else group)
        shapes += [LooseShape(label, point=point, group=key) for label, point in named]
    return shapes


def read_points(element: ET.Element, where: str) -> list[tuple[str, Point]]:
    """Returns the names and points of a ``<points>`` element; none if it is outside.

    Raises:
        ValueError: if the coordinates are not pairs of numbers.
    """
    if element.get("outside") == "1":
        return []
    label, visible = element.get("label") or "", 1 if element.get("occluded") == "1" else 2
    pairs = [pair.split(",") for pair in (element.get("points") or "").split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{where}: points {label!r} must be x,y;x,y, not {element.get('points')!r:.60}")
    found = [[finite(value, where, f"a coordinate of {label!r}") for value in pair] for pair in pairs]
    names = [label] if len(found) == 1 else [f"kpt_{i}" for i in range(len(found))]
    return [(name, (x, y, visible)) for name, (x, y) in zip(names, found, strict=True)]


def read_box(element: ET.Element, where: str) -> Box:
    """Returns x, y, width, height of a ``<box>`` element, of a turned one around it; its corners may be in any order.

    Raises:
        ValueError: if a corner is not a number.
    """
    left, top, right, bottom = (finite(element.get(k), where, f"'{k}' of a box") for k in ("xtl", "ytl", "xbr", "ybr"))
    box = (min(left, right), min(top, bottom), abs(right - left), abs(bottom - top))
    degrees = finite(element.get("rotation") or 0, where, "'rotation' of a box")
    return turned_box(box, degrees, ((left + right) / 2, (top + bottom) / 2)) if degrees else box
