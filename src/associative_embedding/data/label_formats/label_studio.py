"""Reads Label Studio's JSON: tasks with keypoints and rectangles (labelstud.io/tags/keypointlabels).

Coordinates are percent of the image's sides, so they are continuous. Label Studio has no visibilities. Our own
convention: a point with ``meta: {text: ["occluded"]}`` is occluded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from associative_embedding.data.label_formats.label_studio_names import image_names
from associative_embedding.data.label_formats.labels import LabelledImage, check_types, to_coco
from associative_embedding.data.label_formats.loose_shapes import LooseShape, gather_objects, turned_box
from associative_embedding.data.label_formats.reading import finite, pixel_size, read_text
from associative_embedding.data.label_formats.safe_xml import parse_xml
from associative_embedding.io.console import Notes
from associative_embedding.structures.skeleton import Skeleton

OCCLUDED = "occluded"
CATEGORY = "person"  # of an object without a rectangle
EXPORT = "export from Label Studio as 'JSON'"
PLACES = {"x", "points", "vertices", "rle"}  # keys of a region's place
POINT, BOX = "keypointlabels", "rectanglelabels"  # types of regions, which are also the keys of their labels


def read_label_studio(path: str | Path, images: str | Path | None = None) -> dict[str, Any]:
    """Reads an export as a COCO dataset, from the first annotation of each task that was not cancelled.

    Regions that ``parentID`` or relations connect are an object; other points belong to the smallest rectangle around
    them (`gather_objects`). An object without a rectangle is a ``person``. The keypoint names come from
    the labelling interface, if it lies beside the file under the same name (``.xml``); otherwise from the labels.
    Other regions, and regions without a label, are left out; lines say so.

    Args:
        path: the ``.json``.
        images: folder of the images, see `label_studio_names`.

    Raises:
        ValueError: one line with the file and the task.
    """
    file = Path(path)
    try:
        tasks = json.loads(read_text(file))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file}: not a json file ({error}); {EXPORT}") from None
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise ValueError(f"{file}: must be a list of tasks; {EXPORT}")
    notes = Notes(str(file))
    good = [(f"{file}: task {task.get('id', number)}", task) for number, task in enumerate(tasks, 1)]
    done = [(where, task, rows) for where, task in good if (rows := finished_rows(task, where, notes)) is not None]
    names = image_names([(where, task["data"]) for where, task, _ in done], images, notes)
    found = [read_rows(rows, name, where, notes) for name, (where, _, rows) in zip(names, done, strict=True)]
    notes.say()
    return to_coco(found, declared_skeletons(file.with_suffix(".xml"), found), str(file))


def declared_skeletons(file: Path, images: Sequence[LabelledImage]) -> dict[str, Skeleton]:
    """Category -> skeleton, with the keypoints and their order from a labelling interface; empty without the file.

    An interface lists keypoints without their category. With one category all of them belong to it, with several each
    has those that occur in it. A category with a keypoint that the interface lacks is left out.

    Raises:
        ValueError: if the file is not XML, or has a keypoint twice.
    """
    if not file.is_file():
        return {}
    view = parse_xml(file)
    names = [label.get("value") or "" for label in view.iterfind(".//KeyPointLabels/Label")]
    occurring: dict[str, set[str]] = {}
    for labelled in (labelled for image in images for labelled in image.objects if labelled.points):
        occurring.setdefault(labelled.category, set()).update(labelled.points)
    check_types(len(names) * len(occurring), str(file))
    try:
        return {
            category: Skeleton.build(category, [name for name in names if len(occurring) == 1 or name in own])
            for category, own in occurring.items()
            if own <= set(names)
        }
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def finished_rows(task: Mapping[str, Any], where: str, notes: Notes) -> list[dict[str, Any]] | None:
    """Returns the regions and relations of a task, or None for a task that is left out, which is noted.

    Raises:
        ValueError: if a key is missing or wrong.
    """
    data, annotations = task.get("data"), task.get("annotations")
    if not isinstance(data, dict) or not isinstance(annotations, list):
        raise ValueError(f"{where}: needs 'data' and 'annotations'; {EXPORT} (not JSON-MIN)")
    good = [a for a in annotations if isinstance(a, dict) and not a.get("was_cancelled")]
    if not good:
        notes.add("no finished annotation; left out", "task", str(task.get("id")))
        return None
    if len(good) > 1:
        notes.add("several annotations; the first one is read", "task", str(task.get("id")))
    rows = good[0].get("result")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{where}: 'result' must be a list of objects")
    if len({str(row["to_name"]) for row in rows if is_region(row) and "to_name" in row}) > 1:
        notes.add("regions of several images, but one image a task is read; left out", "task", str(task.get("id")))
        return None
    return rows


def is_region(row: Mapping[str, Any]) -> bool:
    """Returns whether a result has a place in the image; others are answers and relations."""
    value = row.get("value")
    return isinstance(value, dict) and bool(PLACES & set(value))


def read_rows(rows: Sequence[Mapping[str, Any]], name: str, where: str, notes: Notes) -> LabelledImage:
    """Returns an image with the objects of its regions.

    Raises:
        ValueError: for a value that is wrong, or regions of images of different sizes.
    """
    # each region states the size of the image; a task without regions states none
    sizes = {
        pixel_size(r.get("original_height"), r.get("original_width"), where) for r in rows if "original_width" in r
    }
    if len(sizes) > 1:
        raise ValueError(f"{where}: its regions state different sizes of the image")
    size = next(iter(sizes), None)
    if size is None:
        return LabelledImage(name, None, [])
    shapes = list(read_regions(rows, size, where, notes))
    return LabelledImage(name, size, gather_objects(shapes, name, CATEGORY, notes))


def read_regions(
    rows: Sequence[Mapping[str, Any]], size: tuple[int, int], where: str, notes: Notes
) -> Iterator[LooseShape]:
    """Yields the points and boxes of a task in pixels; other regions are noted.

    Args:
        rows: the regions and relations.
        size: (H, W) of the image.
        where: file and task, for error messages.
        notes: of the file.

    Raises:
        ValueError: for an image that is turned, or a wrong number.
    """
    group = connected_regions(rows)
    height, width = size
    for row in rows:
        if not is_region(row):
            continue
        kind, value = row.get("type"), row["value"]
        if row.get("image_rotation"):
            raise ValueError(f"{where}: turned images are not read; turn them back in Label Studio")
        labels = value.get(kind) if kind in (POINT, BOX) else None
        if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
            notes.add("no point or rectangle with one label; left out", "region", f"{row.get('id')} ({kind})")
            continue
        keys = ("x", "y", "width", "height")[: 2 if kind == POINT else 4]  # a point has a width, too: its drawn size
        percents = [finite(value.get(key), f"{where}: region {row.get('id')!r}", f"'{key}'") for key in keys]
        pixels = [n * side / 100 for n, side in zip(percents, (width, height) * 2, strict=False)]
        key = group.get(str(row.get("id")))
        if kind == BOX:
            box = (pixels[0], pixels[1], pixels[2], pixels[3])
            degrees = finite(value.get("rotation") or 0, f"{where}: region {row.get('id')!r}", "'rotation'")
            yield LooseShape(labels[0], box=turned_box(box, degrees, box[:2]) if degrees else box, group=key)
        else:
            meta = row.get("meta")
            words = meta.get("text") if isinstance(meta, dict) else None
            visible = 1 if isinstance(words, list) and OCCLUDED in words else 2
            yield LooseShape(labels[0], point=(pixels[0], pixels[1], visible), group=key)


def connected_regions(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Region id -> one id for all regions that ``parentID`` or relations connect, directly or by way of others.

    A union-find with path halving: a chain of thousands of relations costs no recursion and hardly more than one step
    for each.
    """
    links = [(str(row["parentID"]), str(row.get("id"))) for row in rows if row.get("parentID")]
    links += [(str(row.get("from_id")), str(row.get("to_id"))) for row in rows if row.get("type") == "relation"]
    parent: dict[str, str] = {name: name for link in links for name in link}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for a, b in links:
        parent[root(b)] = root(a)
    return {name: root(name) for name in parent}
