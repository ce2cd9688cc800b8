"""COCO json, labelled or predicted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from associative_embedding.io.coco_json import read_coco
from associative_embedding.io.files import write_json
from associative_embedding.io.image_names import find_named
from associative_embedding.io.outputs import marked

COMMAND = "ae data convert"


def read_coco_labels(path: str | Path, images: str | Path | None = None) -> dict[str, Any]:
    """Reads a COCO dataset, whose keypoints then have visibilities.

    The json of ``ae predict`` has scores in their place. There a keypoint that was found becomes visible (2), any other
    one 0; the objects keep their ``score``.

    Args:
        path: the ``.json``.
        images: folder of the images. A file name that leads into it from the current folder, as in the json of ``ae
            predict``, becomes relative to it, and one of another system becomes that of the file (`find_named`).

    Raises:
        ValueError: if the file cannot be read, or is not a COCO dataset.
    """
    document = read_coco(path)
    rows = [with_visibility(row) if "score" in row else row for row in document["annotations"]]
    entries = document["images"] if images is None else entries_in(images, document["images"], str(path))
    return {**document, "images": entries, "annotations": rows}


def entries_in(images: str | Path, entries: list[dict[str, Any]], where: str) -> list[dict[str, Any]]:
    """Returns entries of ``images`` with the names that their files have in a folder, as far as it has them."""
    entries = [relative_to(entry, images) for entry in entries]
    names = [str(entry.get("file_name")) for entry in entries]
    lost = [name for name in names if not (Path(images) / name).is_file()]
    found = find_named(images, lost, where) if lost else {}
    pairs = zip(entries, names, strict=True)
    return [{**entry, "file_name": found[name]} if name in found else entry for entry, name in pairs]


def relative_to(entry: dict[str, Any], images: str | Path) -> dict[str, Any]:
    """Returns an entry of ``images`` with its file name relative to the folder, if the name leads into it."""
    # abspath follows no links: a linked file keeps the name that it has in the folder
    name, folder = entry.get("file_name"), Path(os.path.abspath(images))
    if not isinstance(name, str) or folder not in (path := Path(os.path.abspath(name))).parents:
        return entry
    return {**entry, "file_name": path.relative_to(folder).as_posix()}


def with_visibility(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a predicted annotation with visibilities 0 and 2 in the place of the keypoints' scores."""
    values = row.get("keypoints")
    if not isinstance(values, list) or not all(isinstance(score, (int, float)) for score in values[2::3]):
        return row  # wrong, but `from_coco` has the better message: it names the annotation
    return {**row, "keypoints": [2 * (v > 0) if i % 3 == 2 else v for i, v in enumerate(values)]}


def write_coco(coco: dict[str, Any], path: str | Path, images: str | Path | None = None) -> Path:
    """Writes the dataset as it is, with the mark of the command; `images` is not used.

    Raises:
        OSError: if it cannot be written.
    """
    write_json(path, marked(coco, COMMAND))
    return Path(path)
