"""COCO json, labelled or found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from associative_embedding.io.coco_json import read_coco
from associative_embedding.io.files import write_json


def read_coco_labels(path: str | Path, images: str | Path | None = None) -> dict[str, Any]:
    """A COCO dataset whose keypoints have visibilities.

    Results of ``ae predict`` have scores in their place: there, what was found becomes visible (2), the rest 0; the
    objects keep their ``score``.

    Args:
        path: the ``.json``.
        images: folder of the images; names that lead into it from here, as those of ``ae predict`` do, become relative
            to it.

    Raises:
        ValueError: when it cannot be read, or is something else.
    """
    document = read_coco(path)
    rows = [with_visibility(row) if "score" in row else row for row in document["annotations"]]
    entries = document["images"] if images is None else [relative_to(entry, images) for entry in document["images"]]
    return {**document, "images": entries, "annotations": rows}


def relative_to(entry: dict[str, Any], images: str | Path) -> dict[str, Any]:
    name, folder = entry.get("file_name"), Path(os.path.abspath(images))
    if not isinstance(name, str) or folder not in (path := Path(os.path.abspath(name))).parents:
        return entry
    return {**entry, "file_name": path.relative_to(folder).as_posix()}


def with_visibility(row: dict[str, Any]) -> dict[str, Any]:
    values = row.get("keypoints")
    if not isinstance(values, list) or not all(isinstance(score, (int, float)) for score in values[2::3]):
        return row  # for the reader to complain about
    return {**row, "keypoints": [2 * (v > 0) if i % 3 == 2 else v for i, v in enumerate(values)]}


def write_coco(coco: dict[str, Any], path: str | Path, images: str | Path | None = None) -> Path:
    """
    Raises:
        OSError: when it cannot be written.
    """
    write_json(path, coco)
    return Path(path)
