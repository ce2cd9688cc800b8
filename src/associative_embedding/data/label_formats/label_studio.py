"""Label Studio's JSON: tasks with keypoints and rectangles, in percent of the image (labelstud.io/tags/keypointlabels).

Percent of a side are continuous coordinates. A point's ``meta: {text: ["occluded"]}`` is ours: Label Studio has no
visibility.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from associative_embedding.data.label_formats.labels import Picture, to_coco
from associative_embedding.data.label_formats.loose_points import Part, gather
from associative_embedding.data.label_formats.reading import finite, pixel_size, read_text
from associative_embedding.data.label_formats.safe_xml import parse_xml
from associative_embedding.structures.skeleton import Skeleton

OCCLUDED = "occluded"
EXPORT = "export from Label Studio as 'JSON'"


def read_label_studio(path: str | Path, images: str | Path | None = None) -> dict[str, Any]:
    """An export as a COCO dataset. Of each task the first annotation that was not cancelled is read.

    An object is what hangs together by ``parentID`` or relations; else a point belongs to the smallest rectangle around
    it, and without rectangles all points of an image are one object. An object without a rectangle is a ``person``.
    The keypoints are those of the labelling interface, if it lies beside the file under the same name (``.xml``); else
    those that occur.

    Args:
        path: the ``.json``.
        images: folder of the images: names with the prefix that Label Studio gives to uploads (``1a2b3c4d-``) lose it
            if the folder has a file without it.

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
    pictures = [
        p for n, task in enumerate(tasks) if (p := picture_of(task, f"{file}: task {task.get('id', n + 1)}", images))
    ]
    return to_coco(pictures, declared(file.with_suffix(".xml"), pictures), str(file))


def declared(file: Path, pictures: Sequence[Picture]) -> dict[str, Skeleton]:
    """Skeletons of a labelling interface, if there is one: its keypoints, of several categories those that occur."""
    if not file.is_file():
        return {}
    view = parse_xml(file)
    names = [label.get("value") or "" for label in view.iterfind(".//KeyPointLabels/Label")]
    found: dict[str, set[str]] = {}
    for thing in (thing for picture in pictures for thing in picture.things if thing.points):
        found.setdefault(thing.category, set()).update(thing.points)
    try:
        return {
            category: Skeleton.build(category, [name for name in names if len(found) == 1 or name in own])
            for category, own in found.items()
            if own <= set(names)
        }
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def picture_of(task: Mapping[str, Any], where: str, images: str | Path | None) -> Picture | None:
    """None for a task that nobody has finished."""
    data, annotations = task.get("data"), task.get("annotations")
    if not isinstance(data, dict) or not isinstance(annotations, list):
        raise ValueError(f"{where}: needs 'data' and 'annotations'; {EXPORT} (not JSON-MIN)")
    good = [a for a in annotations if isinstance(a, dict) and not a.get("was_cancelled")]
    if not good:
        return None
    rows = good[0].get("result")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{where}: 'result' must be a list of objects")
    urls = [value for value in data.values() if isinstance(value, str)]
    source = data["image"] if isinstance(data.get("image"), str) else next(iter(urls), "")
    try:
        name = file_name(source, images)
    except ValueError as error:  # of urlsplit
        raise ValueError(f"{where}: {source!r:.60} is no address of an image ({error})") from None
    if not name:
        raise ValueError(f"{where}: 'data' names no image")
    sizes = {
        pixel_size(r.get("original_height"), r.get("original_width"), where) for r in rows if "original_width" in r
    }
    if len(sizes) > 1:
        raise ValueError(f"{where}: its regions state different sizes of the image")
    size = next(iter(sizes), None)
    return Picture(name, size, [] if size is None else gather(list(parts_of(rows, size, where)), where, "person"))


def file_name(source: str, images: str | Path | None) -> str:
    """The file of a task's image: after ``?d=`` of local files, else the last part of the address."""
    address = urlsplit(source)
    local = parse_qs(address.query).get("d")
    if local:
        return local[0].lstrip("/")
    name = unquote(address.path).rsplit("/", 1)[-1]
    bare = name.split("-", 1)[-1]
    uploaded = len(name) - len(bare) == 9 and all(c in "0123456789abcdef" for c in name[:8])
    return bare if uploaded and images is not None and (Path(images) / bare).is_file() else name


def parts_of(rows: Sequence[Mapping[str, Any]], size: tuple[int, int], where: str) -> Iterator[Part]:
    group = groups_of(rows)
    height, width = size
    for row in rows:
        kind, value = row.get("type"), row.get("value")
        if kind not in ("keypointlabels", "rectanglelabels") or not isinstance(value, dict):
            continue
        if row.get("image_rotation") or value.get("rotation"):
            raise ValueError(f"{where}: turned images and boxes are not read; turn them back in Label Studio")
        labels = value.get(kind)
        if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
            raise ValueError(f"{where}: region {row.get('id')!r} needs one label, not {labels!r:.60}")
        keys = ("x", "y", "width", "height")[: 2 if kind == "keypointlabels" else 4]
        numbers = [finite(value.get(key), f"{where}: region {row.get('id')!r}", f"'{key}'") for key in keys]
        sides = [n * side / 100 for n, side in zip(numbers, (width, height) * 2, strict=False)]
        key = group.get(str(row.get("id")))
        if kind == "rectanglelabels":
            yield Part(labels[0], box=(sides[0], sides[1], sides[2], sides[3]), group=key)
        else:
            meta = row.get("meta")
            notes = meta.get("text") if isinstance(meta, dict) else None
            visible = 1 if isinstance(notes, list) and OCCLUDED in notes else 2
            yield Part(labels[0], point=(sides[0], sides[1], visible), group=key)


def groups_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Region id -> the id that stands for its group, of the regions that ``parentID`` or a relation connects."""
    links = [(str(row["parentID"]), str(row.get("id"))) for row in rows if row.get("parentID")]
    links += [(str(row.get("from_id")), str(row.get("to_id"))) for row in rows if row.get("type") == "relation"]
    parent: dict[str, str] = {name: name for link in links for name in link}

    def top(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for a, b in links:
        parent[top(b)] = top(a)
    return {name: top(name) for name in parent}
