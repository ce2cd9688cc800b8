"""Single values of a COCO json: numbers, boxes and segmentations in the forms that tools write them."""

from __future__ import annotations

import math
import re
from typing import Any

from associative_embedding.structures.run_lengths import box_of_runs

NUMBERS = {int, float}
CORNERS = 6  # numbers of the smallest polygon
INTEGER = re.compile(r"\s*([+-]?\d{1,100})(\.0)?\s*")  # as a text; Python refuses thousands of digits


def whole(value: Any) -> Any:
    """Returns an integer that is a float or a text (``4.0``, ``"4"``) as an integer, any other value as it is."""
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is str and (found := INTEGER.fullmatch(value)):
        return int(found[1])
    return value


def plain_numbers(values: list[Any]) -> list[Any]:
    """Returns a list with numbers in place of texts of numbers, and None for "nan"; a list of lists becomes flat.

    The list itself is returned if nothing changes.
    """
    if set(map(type, values)) <= NUMBERS:
        return values
    if all(isinstance(value, list) for value in values):
        values = [number for value in values for number in value]
    return [plain_number(value) for value in values]


def plain_number(value: Any) -> Any:
    """Returns the number of a text, None for "nan", and any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    return None if math.isnan(number) else number


def plain_segmentation(value: Any) -> Any:
    """Returns a segmentation as a list of polygons x, y, x, y ..., or as it is if it has another form.

    A polygon may be a list of pairs, and stand alone. Polygons with fewer than three corners are left out; without any
    other the result is None: the object has a box only.
    """
    if value is None or value == []:
        return value
    if not value:
        return None
    if not isinstance(value, list) or all(
        type(p) is list and len(p) >= CORNERS and type(p[0]) is not list for p in value
    ):
        return value
    if all(map(is_number, value)) or all(map(is_point, value)):
        value = [value]
    if not all(isinstance(polygon, list) for polygon in value):
        return value
    flat = [[v for point in p for v in point] if all(map(is_point, p)) else p for p in value]
    return [polygon for polygon in flat if len(polygon) >= CORNERS] or None


def loses_polygons(value: Any, plain: Any) -> bool:
    """Whether the plain form of a segmentation has fewer polygons than a list of polygons had."""
    return (
        isinstance(value, list)
        and isinstance(plain, list)
        and len(plain) < len(value)
        and isinstance(value[0], list)
        and not all(map(is_point, value))
    )


def is_number(value: Any) -> bool:
    """Whether a value is a number; json's true is an int in Python."""
    return type(value) in NUMBERS


def is_point(value: Any) -> bool:
    """Whether a value is a list of two numbers."""
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value))


def box_around(region: Any) -> list[float] | None:
    """Returns the box x, y, width, height around polygons or a run-length encoding; None if it cannot be read."""
    if isinstance(region, dict):
        try:
            box = box_of_runs(region, tuple(region["size"]))
        except Exception:  # values of any kind
            return None
        return None if box is None else list(box)
    if not isinstance(region, list) or not all(isinstance(p, list) and all(map(is_number, p)) for p in region):
        return None
    xs, ys = ([value for polygon in region for value in polygon[axis::2]] for axis in (0, 1))
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)] if xs and ys else None
