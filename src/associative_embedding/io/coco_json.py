"""Reads a json file in the COCO format. Each reader checks the entries that it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Area of a person per area of its box, for sources without areas. The CrowdPose tools use the same value.
AREA_PER_BOX = 0.53


def read_coco(path: str | Path) -> dict[str, Any]:
    """Returns the document, with its three lists of objects: ``images``, ``annotations`` and ``categories``.

    Raises:
        ValueError: when the file cannot be read, or is not in the COCO format.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot read the annotations ({error.strerror})") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:  # the last one: nested too deeply
        raise ValueError(f"{path}: not a json file ({error})") from None
    return check_coco(document, str(path))


def check_coco(document: Any, where: str) -> dict[str, Any]:
    """Returns the document if it has the three lists of a COCO dataset.

    Args:
        document: what a json file contains.
        where: name of the file, for the error message.

    Raises:
        ValueError: when a list is missing, or has an entry that is not an object.
    """
    for key in ("images", "annotations", "categories"):
        entries = document.get(key) if isinstance(document, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(f"{where}: needs a list of objects '{key}' (COCO format)")
    return document  # type: ignore[no-any-return]
