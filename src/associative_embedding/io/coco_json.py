"""Reading a json in the COCO format; what its entries say is for the reader to check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

AREA_PER_BOX = 0.53  # area of a person per area of the box, where a source has no areas (as the CrowdPose tools do)


def read_coco(path: str | Path) -> dict[str, Any]:
    """The document, with its three lists of objects: ``images``, ``annotations`` and ``categories``.

    Raises:
        ValueError: when it cannot be read, or is something else.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot read the annotations ({error.strerror})") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not a json file ({error})") from None
    return check_coco(document, str(path))


def check_coco(document: Any, where: str) -> dict[str, Any]:
    """
    Raises:
        ValueError: when a list of a COCO dataset is missing.
    """
    for key in ("images", "annotations", "categories"):
        entries = document.get(key) if isinstance(document, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(f"{where}: needs a list of objects '{key}' (COCO format)")
    return document  # type: ignore[no-any-return]
