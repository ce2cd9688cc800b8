"""Leaves out the segmentations of a COCO document that do not fit their images, and says which.

Scripts write run lengths of another image or of no image; a training would end at them. What needs no image, such as a
polygon of two points for a stray click, `io.coco_plain` has left out before.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from associative_embedding.data.readers.segmentations import MAX_OUTLINE, MAX_POLYGONS, checked_polygons
from associative_embedding.io.console import Notes
from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.images import read_size
from associative_embedding.structures.run_lengths import read_runs

Size = tuple[int, int]  # (H, W)
RUNS = (str, list)  # types of run lengths


def with_sound_masks(
    path: str, document: dict[str, Any], folder: str | Path | None = None, *, crowds_only: bool = False
) -> dict[str, Any]:
    """Returns a COCO document without run lengths that do not fit their image, and polygons that are too long to fill.

    An object that loses its whole segmentation keeps its box, if it has one: the box is an ignored region. Otherwise
    the annotation is left out. Lines count both and name the first ones.

    Args:
        path: the file, for the lines.
        document: its content, as `read_coco` returns it; it is not changed.
        folder: of the images, for sizes that the document does not state.
        crowds_only: look at crowds alone, for readers that use no other segmentation, and check their form as well,
            which readers of masks do.
    """
    images = {image["id"]: image for image in document["images"] if isinstance(image.get("id"), (int, str))}
    notes = Notes(path)
    rows = []
    for row in document["annotations"]:
        image = images.get(row["image_id"]) if isinstance(row.get("image_id"), (int, str)) else None
        if image is not None and (row.get("iscrowd") == 1 or not crowds_only):
            row = sound_row(row, image, folder, notes, any_form=crowds_only)
        rows.append(row)
    notes.say()
    return {**document, "annotations": [row for row in rows if row is not None]}


def sound_row(
    row: dict[str, Any], image: Mapping[str, Any], folder: str | Path | None, notes: Notes, *, any_form: bool
) -> dict[str, Any] | None:
    """Returns an annotation without a segmentation that cannot be read; None if nothing is left of it."""
    value, fault = row.get("segmentation"), ""
    if isinstance(value, list):
        fault = fault_of_polygons(value, image, every=any_form)
    elif isinstance(value, dict) and isinstance(value.get("size"), list) and isinstance(value.get("counts"), RUNS):
        fault = fault_of_runs(value, image, folder)
    elif any_form and value is not None:
        fault = "'segmentation' is neither polygons nor run lengths"
    if not fault:
        return row
    rest = "the box takes their place" if row.get("bbox") else "the object is left out"
    notes.add(f"{fault}; {rest}", "annotation", f"{row.get('id')} of {image.get('file_name')}")
    return {**row, "segmentation": []} if row.get("bbox") else None


def fault_of_polygons(polygons: list[Any], image: Mapping[str, Any], *, every: bool) -> str:
    """Returns why polygons cannot be filled, or "".

    Without `every` only long ones are looked at: the reader of masks names those that are no lists of numbers.
    """
    size = stated_size(image)
    if not polygons:
        return ""
    if every and size is None:
        size = (MAX_OUTLINE, MAX_OUTLINE)  # the file's own; corners are what is checked
    points = sum(len(p) for p in polygons if isinstance(p, list)) // 2
    # An edge crosses at most three images in x and in y, so that nearly all polygons need no exact length.
    if size is not None and (every or len(polygons) > MAX_POLYGONS or 6 * max(size) * points > MAX_OUTLINE):
        try:
            checked_polygons(polygons, size)
        except (ValueError, TypeError) as error:
            return str(error)
    return ""


def fault_of_runs(runs: dict[str, Any], image: Mapping[str, Any], folder: str | Path | None) -> str:
    """Returns why run lengths are no mask of an image, or ""."""
    size = stated_size(image) or file_size(image, folder) or tuple(runs["size"])
    try:
        read_runs(runs, size)
    except Exception:  # texts that are no run lengths fail in many ways
        return "run lengths that do not fit the image"
    return ""


def stated_size(image: Mapping[str, Any]) -> Size | None:
    """Returns (H, W) of an image entry; None if it states none, or a wrong one, which its reader names."""
    size = image.get("height"), image.get("width")
    return size if all(type(side) is int and side > 0 for side in size) else None  # type: ignore[return-value]


def file_size(image: Mapping[str, Any], folder: str | Path | None) -> Size | None:
    """Returns (H, W) by the header of the image's file; None if it cannot be read, which its reader reports."""
    if folder is None:
        return None
    try:
        return read_size(Path(folder) / str(image.get("file_name")))
    except (ImageError, ValueError):
        return None
