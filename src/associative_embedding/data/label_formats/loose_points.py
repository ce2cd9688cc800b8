"""Points that were labelled one by one -> the objects that they belong to."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from associative_embedding.data.label_formats.labels import Box, Point, Thing


@dataclass(frozen=True)
class Part:
    """A point or a box on its own.

    Attributes:
        label: of a point the keypoint's name, of a box its category.
        group: parts with the same one belong together; None = nothing says so.
    """

    label: str
    point: Point | None = None
    box: Box | None = None
    group: Hashable | None = None


def gather(parts: Sequence[Part], where: str, category: str) -> list[Thing]:
    """The objects of one image.

    Parts of one group are an object. A point without a group belongs to the smallest box around it; where there are no
    boxes and no groups, all points are one object.

    Args:
        category: of objects without a box.

    Raises:
        ValueError: when an object has a keypoint or a box twice, or nothing says whose a point is.
    """
    groups: dict[Hashable, list[Part]] = {}
    for number, part in enumerate(parts):
        if part.group is not None or part.box is not None:
            groups.setdefault((part.group,) if part.group is not None else number, []).append(part)
    boxes = [(part.box, members) for members in groups.values() for part in members if part.box]
    loose = [part for part in parts if part.group is None and part.point]
    alone: list[Part] = []
    for part in loose:
        around = [(box[2] * box[3], n) for n, (box, _) in enumerate(boxes) if part.point and inside(part.point, box)]
        (boxes[min(around)[1]][1] if around else alone).append(part)
    if alone and groups:
        raise ValueError(f"{where}: point {alone[0].label!r} is in no box and no group, so nothing says whose it is")
    return [thing_of(members, where, category) for members in [*groups.values(), *([alone] if alone else [])]]


def inside(point: Point, box: Box) -> bool:
    x, y, width, height = box
    return x <= point[0] <= x + width and y <= point[1] <= y + height


def thing_of(parts: Sequence[Part], where: str, category: str) -> Thing:
    boxes = [part for part in parts if part.box]
    points = {part.label: part.point for part in parts if part.point}
    names = [part.label for part in parts if part.point]
    if len(boxes) > 1:
        raise ValueError(f"{where}: a group has {len(boxes)} boxes, {' and '.join(b.label for b in boxes[:2])}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"{where}: point {', '.join(twice)} occurs twice in one object; group the points of each object, or put a "
            "box around each"
        )
    label, box = (boxes[0].label, boxes[0].box) if boxes else (category, None)
    return Thing(label, points, box)
