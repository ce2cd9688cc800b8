"""Points and boxes that were labelled one by one -> the objects that they belong to."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from associative_embedding.data.label_formats.labels import Box, LabelledObject, Point


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


def gather_objects(shapes: Sequence[LooseShape], where: str, category: str) -> list[LabelledObject]:
    """Returns the objects of one image.

    The shapes of one group are an object, and so is a box without a group. A point without a group belongs to the
    smallest box around it; if the image has no boxes and no groups, all points are one object.

    Args:
        shapes: all shapes of the image.
        where: the image, for error messages.
        category: category of an object without a box.

    Raises:
        ValueError: if an object has a keypoint or a box twice, or the object of a point is not clear.
    """
    groups: dict[Hashable, list[LooseShape]] = {}
    for number, shape in enumerate(shapes):
        if shape.group is not None or shape.box is not None:
            # a box of its own has its number as a key; the tuple keeps a stated group from being equal to a number
            groups.setdefault((shape.group,) if shape.group is not None else number, []).append(shape)
    boxes = [(shape.box, members) for members in groups.values() for shape in members if shape.box]
    alone: list[LooseShape] = []  # points outside of all boxes
    for shape in shapes:
        if shape.group is not None or not shape.point:
            continue
        around = [(box[2] * box[3], n) for n, (box, _) in enumerate(boxes) if is_inside(shape.point, box)]
        # of nested boxes the smallest: the largest would take all points, and leave none for the boxes inside of it
        (boxes[min(around)[1]][1] if around else alone).append(shape)
    if alone and groups:
        raise ValueError(
            f"{where}: point {alone[0].label!r} is in no box and no group, so its object is not clear; put it in one"
        )
    return [object_of(members, where, category) for members in [*groups.values(), *([alone] if alone else [])]]


def is_inside(point: Point, box: Box) -> bool:
    """Whether a point lies in a box or on its border."""
    x, y, width, height = box
    return x <= point[0] <= x + width and y <= point[1] <= y + height


def object_of(shapes: Sequence[LooseShape], where: str, category: str) -> LabelledObject:
    """Returns the object of all these shapes; arguments and errors: see `gather_objects`."""
    boxes = [shape for shape in shapes if shape.box]
    points = {shape.label: shape.point for shape in shapes if shape.point}
    names = [shape.label for shape in shapes if shape.point]
    if len(boxes) > 1:
        raise ValueError(f"{where}: a group has {len(boxes)} boxes, {' and '.join(b.label for b in boxes[:2])}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"{where}: point {', '.join(twice)} occurs twice in one object; group the points of each object, or put a "
            "box around each"
        )
    label, box = (boxes[0].label, boxes[0].box) if boxes else (category, None)
    return LabelledObject(label, points, box)
