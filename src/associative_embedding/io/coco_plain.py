"""Turns the entries of a COCO json, as many tools write them, into the plain form that all readers expect.

Training, evaluation, conversion and packing read the same plain entries, so they agree on what a file means. A value
that cannot be understood stays as it is: the readers have the message for it. What changes the people, the labels or
the edges of a file is said in a line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from associative_embedding.io.coco_values import (
    NUMBERS,
    box_around,
    loses_polygons,
    plain_numbers,
    plain_segmentation,
    whole,
)
from associative_embedding.io.console import Notes, remark

Entry = dict[str, Any]
IMAGE_KEYS = ("id", "width", "height", "video_id")
ANNOTATION_KEYS = ("id", "image_id", "category_id", "track_id", "num_keypoints", "iscrowd")
INTEGERS = {int, type(None)}


def plain_document(document: Mapping[str, Any], where: str) -> Entry:
    """Returns a COCO document with plain entries; entries that are plain are shared, and none is changed.

    Args:
        document: has the three lists of objects of a COCO dataset.
        where: its file, for the lines.
    """
    notes = Notes(where)
    rows = [plain_annotation(row, notes) for row in document["annotations"]]
    kept = [row for row in rows if row is not None]
    images = labelled_images([plain_image(entry) for entry in document["images"]], kept, notes)
    note_repeated_files(images, notes)
    people = [row for row in kept if is_labelled_person(row)]
    note_equal_people(people, notes)
    notes.say()
    if are_shares(people):
        remark(f"{where}: all keypoints lie in [0, 1]; they count as pixels, not as shares of the sides of the image")
    images, kept = with_numbered_images(images, kept, where)
    categories = plain_categories(document["categories"], where)
    return {**document, "images": images, "annotations": kept, "categories": categories}


# ---- images


def plain_image(entry: Entry) -> Entry:
    """Returns an image entry with integers; with a side of 0, or one side alone, its size is not known."""
    changes = whole_numbers(entry, IMAGE_KEYS)
    sides = [changes.get(key, entry.get(key)) for key in ("width", "height")]
    if sides != [None, None] and any(side is None or side == 0 for side in sides):
        changes |= {"width": None, "height": None}
    return {**entry, **changes} if changes else entry


def with_numbered_images(images: list[Entry], rows: list[Entry], where: str) -> tuple[list[Entry], list[Entry]]:
    """Returns images and annotations with image ids from 1 on, in the order of the images, if an id is a text.

    Metrics and results need integers. A line says it, as results for such a file must have the numbers, too.
    """
    ids = [entry["id"] for entry in images if type(entry.get("id")) in (int, str)]
    if all(isinstance(value, int) for value in ids):
        return images, rows
    number = {value: i for i, value in enumerate(dict.fromkeys(ids), start=1)}
    text = next(value for value in ids if isinstance(value, str))
    remark(f"{where}: image ids are texts, such as {text!r}; they are numbered from 1 on, in the order of the images")
    return [renumbered(entry, "id", number) for entry in images], [renumbered(r, "image_id", number) for r in rows]


def renumbered(entry: Entry, key: str, number: Mapping[Any, int]) -> Entry:
    """Returns an entry with the number of its id; one that has none stays, and the readers have the message."""
    value = entry.get(key)
    return {**entry, key: number[value]} if type(value) in (int, str) and value in number else entry


def labelled_images(images: list[Entry], rows: Sequence[Entry], notes: Notes) -> list[Entry]:
    """Returns the images without the frames that are not labelled (PoseTrack): nobody knows who is in them.

    Args:
        images: plain entries.
        rows: plain annotations; an image that has one is labelled.
        notes: of the file.
    """
    unlabelled = [str(entry.get("id")) for entry in images if entry.get("is_labeled") in (False, 0)]
    if not unlabelled:
        return images
    without = set(unlabelled) - {str(row.get("image_id")) for row in rows}  # texts: an id may be of any kind
    for number in dict.fromkeys(unlabelled):
        if number in without:
            notes.add("is not labelled by its 'is_labeled' and is left out", "image", number)
    return [entry for entry in images if str(entry.get("id")) not in without]


def note_repeated_files(images: Sequence[Entry], notes: Notes) -> None:
    """Notes files of several images: in each of them the others' objects would be background."""
    names = [name for entry in images if isinstance(name := entry.get("file_name"), str)]
    if len(set(names)) < len(names):
        for name in [name for name, count in Counter(names).items() if count > 1]:
            notes.add("belongs to several images, each with its own objects; merge their entries", "file", name)


# ---- annotations


def is_labelled_person(row: Entry) -> bool:
    """Whether an annotation has a labelled keypoint, all of its keypoints are numbers, and it is no crowd."""
    keypoints = row.get("keypoints")
    return any_labelled(keypoints) and not row.get("iscrowd") and {*map(type, keypoints or ())} <= NUMBERS


def note_equal_people(people: Sequence[Entry], notes: Notes) -> None:
    """Notes annotations that are there twice: training would push the tags of one person apart."""
    known: set[tuple[Any, ...]] = set()
    for row in people:
        key = (str(row.get("image_id")), str(row.get("category_id")), *row["keypoints"])
        if key in known:
            notes.add("the same keypoints as another one of its image; both count, remove one", *named(row))
        known.add(key)


def are_shares(people: Sequence[Entry]) -> bool:
    """Whether all keypoints are shares of the sides of their image, as other formats have them, and not pixels."""
    places = (value for row in people for axis in (0, 1) for value in row["keypoints"][axis::3])
    fraction = False
    for value in places:
        if not -1 <= value <= 1:  # nearly always the first one
            return False
        fraction = fraction or value % 1 != 0
    return fraction


def plain_annotation(row: Entry, notes: Notes) -> Entry | None:
    """Returns an annotation with plain values, or None if it has no place: no labelled keypoint, box or mask."""
    changes = whole_numbers(row, ANNOTATION_KEYS)
    if isinstance(row.get("iscrowd"), bool):
        changes["iscrowd"] = int(row["iscrowd"])
    area, keypoints = row.get("area"), row.get("keypoints")
    if type(area) is str:
        (changes["area"],) = plain_numbers([area])
    changes |= plain_keypoints(row, keypoints, notes)
    labelled = any_labelled(changes.get("keypoints", keypoints))
    changes |= plain_box(row.get("bbox"), labelled)
    if (region := plain_segmentation(row.get("segmentation"))) is not row.get("segmentation"):
        changes["segmentation"] = region
        if region is None:
            notes.add("'segmentation' has no three corners; the box takes its place", *named(row))
        elif loses_polygons(row["segmentation"], region):
            notes.add("'segmentation' has polygons of fewer than three corners, which are left out", *named(row))
    row = {**row, **changes} if changes else row
    return with_count(row, notes) if labelled else with_place(row, region, notes)


def plain_keypoints(row: Entry, keypoints: Any, notes: Notes) -> Entry:
    """Returns the changed keypoints of an annotation, if any; what is not a number becomes an unlabelled keypoint."""
    if not isinstance(keypoints, list):
        return {"keypoints": []} if keypoints is None and "keypoints" in row else {}
    if (plain := plain_numbers(keypoints)) is keypoints:
        return {}
    if None in plain and len(plain) % 3 == 0:
        triples = [plain[i : i + 3] for i in range(0, len(plain), 3)]
        if any(None in triple and triple[2] != 0 for triple in triples):
            notes.add("'keypoints' has NaN or null; such a keypoint counts as unlabelled", *named(row))
        plain = [value for triple in triples for value in ([0, 0, 0] if None in triple else triple)]
    return {"keypoints": plain}


def plain_box(box: Any, labelled: bool) -> Entry:
    """Returns the changed box of an annotation, if any.

    A box with NaN or null and an empty list are missing, as is a box of no size around labelled keypoints, which some
    tools write. A negative width or height means that the box begins at its right or lower side.
    """
    if not isinstance(box, list):
        return {}
    plain = plain_numbers(box)
    if not plain or None in plain or (labelled and plain[2:] == [0, 0]):
        return {"bbox": None}
    if len(plain) == 4 and set(map(type, plain)) <= NUMBERS and min(plain[2:]) < 0:
        x, y, width, height = plain
        return {"bbox": [min(x, x + width), min(y, y + height), abs(width), abs(height)]}
    return {} if plain is box else {"bbox": plain}


def named(row: Entry) -> tuple[str, str]:
    """Returns how an annotation is named in a line."""
    return "annotation", str(row.get("id"))


def any_labelled(keypoints: Any) -> bool:
    """Whether a keypoint has another visibility than 0."""
    return isinstance(keypoints, list) and any(keypoints[2::3])


def with_count(row: Entry, notes: Notes) -> Entry:
    """Returns an annotation with labelled keypoints that the official evaluation does not leave out by mistake."""
    if row.get("num_keypoints") == 0 and not row.get("iscrowd"):
        notes.add("'num_keypoints' is 0, but keypoints are labelled; the labels count", *named(row))
        row = {**row, "num_keypoints": sum(v != 0 for v in row["keypoints"][2::3])}
    # an OKS of area 0 is 0; without a box, the box around the labelled keypoints has an area
    if row.get("area") == 0 and ((box := row.get("bbox")) is None or (len(box) == 4 and 0 not in box[2:])):
        notes.add("'area' is 0, but keypoints are labelled; the area of the box takes its place", *named(row))
        return {**row, "area": None}
    return row


def with_place(row: Entry, region: Any, notes: Notes) -> Entry | None:
    """Returns an annotation without labelled keypoints with a box, or None if it states no place at all."""
    if row.get("num_keypoints"):
        row = {**row, "num_keypoints": 0}
    if row.get("bbox") is None:
        box = box_around(region)
        if box is None and not region:
            notes.add("no labelled keypoint, box or mask; left out", *named(row))
            return None
        row = row if box is None else {**row, "bbox": box}
    return row


def whole_numbers(entry: Mapping[str, Any], keys: Sequence[str]) -> Entry:
    """Returns the values of an entry that are integers in another form, such as ``4.0`` or ``"4"``."""
    if {*map(type, map(entry.get, keys))} <= INTEGERS:  # as nearly always: it must cost little
        return {}
    return {key: whole(entry[key]) for key in keys if type(entry.get(key)) in (float, str)}


# ---- categories


def plain_categories(categories: Sequence[Entry], where: str) -> list[Entry]:
    """Returns categories whose edges count from 1 and are of their own keypoints; prints a line for each change.

    Many files have edges that count from 0, or those of another skeleton: CrowdPose's own have COCO's.
    """
    return [plain_category(category, f"{where}: category {category.get('name')!r}") for category in categories]


def plain_category(category: Entry, where: str) -> Entry:
    """Returns one category; `where` begins its line."""
    changes = whole_numbers(category, ("id",))
    names = category.get("keypoints")
    if isinstance(names, list) and names and all(isinstance(name, (str, int)) for name in names):
        if not all(isinstance(name, str) for name in names):
            names = changes["keypoints"] = [str(name) for name in names]
        edges = category.get("skeleton")
        plain = plain_edges(edges, names, where)
        if plain != edges and edges:
            changes["skeleton"] = plain
    return {**category, **changes} if changes else category


def plain_edges(edges: Any, names: Sequence[str], where: str) -> list[list[int]]:
    """Returns edges as pairs of indices from 1, empty if they are not of these keypoints; prints a line if not.

    Args:
        edges: pairs of indices from 1, as COCO has them, or from 0, or pairs of names.
        names: K keypoint names.
        where: the category, which begins the line.
    """
    if not edges:
        return []
    number = {name: i for i, name in enumerate(names, start=1)}
    pairs = [edge_ends(edge, number) for edge in edges] if isinstance(edges, (list, tuple)) else [[]]
    ends = {end for pair in pairs for end in pair}
    if all(pairs) and ends <= set(range(1, len(names) + 1)):
        return pairs
    if all(pairs) and ends <= set(range(len(names))):
        remark(f"{where}: the edges in 'skeleton' count from 0, not from 1; they are read as such")
        return [[a + 1, b + 1] for a, b in pairs]
    remark(
        f"{where}: 'skeleton' has edges that are not pairs of its {len(names)} keypoints, so all edges are left out: "
        f"nothing is drawn between keypoints ({edges!s:.60})"
    )
    return []


def edge_ends(edge: Any, number: Mapping[str, int]) -> list[int]:
    """Returns the two indices of an edge, or an empty list if it has another form."""
    if not isinstance(edge, (list, tuple)) or len(edge) != 2:
        return []
    ends = [number.get(end, whole(end)) if isinstance(end, str) else whole(end) for end in edge]
    return ends if all(type(end) is int for end in ends) else []
