"""Reads a json file in the COCO format. Each reader checks the entries that it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from associative_embedding.io.coco_plain import plain_categories, plain_document
from associative_embedding.io.text_files import decode_text
from associative_embedding.structures.known_skeletons import SKELETONS
from associative_embedding.structures.skeleton import Skeleton

# Area of a person per area of its box, for sources without areas. The CrowdPose tools use the same value.
AREA_PER_BOX = 0.53


class NoAnnotations(ValueError):
    """A COCO json that lists images and has no annotations, as those of test sets."""


def read_coco(path: str | Path) -> dict[str, Any]:
    """Returns the document, with its three lists of plain entries: ``images``, ``annotations`` and ``categories``.

    Raises:
        NoAnnotations: when the file has no key ``annotations``.
        ValueError: when the file cannot be read, or is not in the COCO format.
    """
    return check_coco(read_json(path), str(path))


def read_image_info(path: str | Path) -> dict[str, Any]:
    """Returns a COCO document that may lack annotations, with an empty list in their place.

    Raises:
        ValueError: see `read_coco`.
    """
    document = read_json(path)
    return check_coco({"annotations": [], **document} if isinstance(document, dict) else document, str(path))


def read_json(path: str | Path) -> Any:
    """Returns the content of a json file, with None for NaN, which Python writes and json does not have.

    Infinity stays: a missing value is written as NaN, but an infinite one is a fault of the file.

    Raises:
        ValueError: when the file cannot be read, or is no json file.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot read the annotations ({error.strerror})") from None
    text = decode_text(data, path)
    try:
        return json.loads(text, parse_constant=lambda name: None if name == "NaN" else float(name))
    except (ValueError, RecursionError) as error:  # the last one: nested too deeply
        raise ValueError(f"{path}: not a json file ({error})") from None


def check_coco(document: Any, where: str) -> dict[str, Any]:
    """Returns the document, with plain entries (`plain_document`), if it has the three lists of a COCO dataset.

    Args:
        document: what a json file contains; it is not changed.
        where: name of the file, for the error message.

    Raises:
        NoAnnotations: when ``annotations`` alone is missing.
        ValueError: when a list is missing, or has an entry that is not an object.
    """
    check_lists(document, where)
    return plain_document(document, where)


def check_lists(document: Any, where: str) -> None:
    """Checks that a document has the three lists of a COCO dataset; arguments and errors: see `check_coco`."""
    for key in ("images", "annotations", "categories"):
        entries = document.get(key) if isinstance(document, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            lacks = isinstance(document, dict) and key == "annotations" and key not in document
            kind = NoAnnotations if lacks else ValueError
            raise kind(f"{where}: needs a list of objects '{key}' (COCO format)")


def load_skeleton(name: str) -> Skeleton:
    """Returns a skeleton by its name in `SKELETONS`, or the first one in a COCO json.

    Args:
        name: name of a known skeleton, or path of a COCO json that has a category with keypoints.

    Raises:
        ValueError: for a name that is neither, or a file without a skeleton.
    """
    if name in SKELETONS:  # first, so that a file of the same name cannot change what a recipe means
        return SKELETONS[name]
    if not Path(name).is_file():
        raise ValueError(f"skeleton {name!r} is neither one of {', '.join(SKELETONS)} nor a COCO json")
    document = read_json(name)
    categories = document.get("categories") if isinstance(document, dict) else None
    stated = [category for category in categories if isinstance(category, dict)] if isinstance(categories, list) else []
    for category in plain_categories(stated, name):
        if category.get("keypoints"):
            return Skeleton.from_category(category)
    raise ValueError(f"{name}: no category with 'keypoints'")
