"""Points and boxes that were labelled one by one -> the objects that they belong to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from associative_embedding.data.label_formats.labels import Box, LabelledObject, Point, box_around
from associative_embedding.io.console import Notes, list_briefly

MAX_PAIRS = 50_000_000  # of a shape and a group in one image, which are compared


@dataclass(frozen=True)
class LooseShape:
    """A point or a box that is not yet part of an object.

    Attributes:
        label: the keypoint name of a point, the category of a box.
        point: x, y, visibility; None = a box.
        box: x, y, width, height; None = a point.
        group: equal for the shapes of one object; None = not stated.
    """

    label: str
    point: Point | None = None
    box: Box | None = None
    group: Hashable | None = None


def gather_objects(shapes: Sequence[LooseShape], image: str, category: str, notes: Notes) -> list[LabelledObject]:
    """Returns the objects of one image.

    The shapes of one group are an object, and so is a box without a group. A point without a group belongs to the
    smallest box around it; if the image has no boxes and no groups, all points are one object. A point outside of all
    boxes is left out. An object with a point or a box twice keeps only a box, around all: it is not clear which is its
    own, so nothing is taught there. Both are noted.

    Args:
        shapes: all shapes of the image.
        image: its name, for the notes.
        category: category of an object without a box.
        notes: of the file.

    Raises:
        ValueError: for an image with thousands of shapes in thousands of groups.
    """
    groups: dict[Hashable, list[LooseShape]] = {}
    for number, shape in enumerate(shapes):
        if shape.group is not None or shape.box is not None:
            # a box of its own has its number as a key; the tuple keeps a stated group from being equal to a number
            groups.setdefault((shape.group,) if shape.group is not None else number, []).append(shape)
    if len(groups) * len(shapes) > MAX_PAIRS:
        raise ValueError(f"{notes.where}: {image} has {len(shapes)} points and boxes; split it")
    boxes = [(shape.box, members) for members in groups.values() for shape in members if shape.box]
    alone: list[LooseShape] = []  # points outside of all boxes
    for shape in shapes:
        if shape.group is not None or not shape.point:
            continue
        around = [(box[2] * box[3], n) for n, (box, _) in enumerate(boxes) if is_inside(shape.point, box)]
        # of nested boxes the smallest: the largest would take all points, and leave none for the boxes inside of it
        (boxes[min(around)[1]][1] if around else alone).append(shape)
    if groups:
        for shape in alone:
            notes.add(
                "in no box and no group, so its object is not clear; left out", "point", f"{shape.label} of {image}"
            )
        alone = []
    return [object_of(members, image, category, notes) for members in [*groups.values(), *([alone] if alone else [])]]


def is_inside(point: Point, box: Box) -> bool:
    """Whether a point lies in a box or on its border."""
    x, y, width, height = box
    return x <= point[0] <= x + width and y <= point[1] <= y + height


def object_of(shapes: Sequence[LooseShape], image: str, category: str, notes: Notes) -> LabelledObject:
    """Returns the object of all these shapes; arguments: see `gather_objects`."""
    boxes = [shape for shape in shapes if shape.box]
    points = [(shape.label, shape.point) for shape in shapes if shape.point]
    label, box = (boxes[0].label, boxes[0].box) if boxes else (category, None)
    counts = Counter(name for name, _ in points)
    twice = sorted(name for name, count in counts.items() if count > 1) or ["box"] * (len(boxes) > 1)
    if not twice:
        return LabelledObject(label, dict(points), box)
    reason = f"{list_briefly(twice)} occurs twice in one object, which is kept without labels; group the points of each"
    notes.add(f"{reason} object, or put a box around each", "image", image)
    corners = [(x + i * w, y + i * h, 0) for x, y, w, h in (s.box for s in boxes if s.box) for i in (0, 1)]
    return LabelledObject(label, {}, box_around([*corners, *(point for _, point in points)]))


def turned_box(box: Box, degrees: float, centre: tuple[float, float]) -> Box:
    """Returns the box around a box that is turned clockwise by an angle about a point."""
    angle, (x, y, width, height) = math.radians(degrees), box
    offsets = [(a - centre[0], b - centre[1]) for a in (x, x + width) for b in (y, y + height)]
    return box_around(
        [
            (
                centre[0] + a * math.cos(angle) - b * math.sin(angle),
                centre[1] + a * math.sin(angle) + b * math.cos(angle),
                0,
            )
            for a, b in offsets
        ]
    )
