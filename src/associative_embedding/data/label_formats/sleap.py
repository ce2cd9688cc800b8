"""Reads SLEAP's ``.slp`` and ``.pkg.slp`` (HDF5; the tables are described at io.sleap.ai, "SLP format").

Since format 1.1 the centre of a pixel has whole coordinates, so half a pixel is added. In older files coordinates are
continuous.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from associative_embedding.data.label_formats.hdf5 import (
    CACHE,
    as_bytes,
    own_node,
    read_attribute,
    read_json_rows,
    read_table,
)
from associative_embedding.data.label_formats.labels import LabelledImage, LabelledObject, Point, check_types, to_coco
from associative_embedding.data.label_formats.sleap_video import read_video, save_frames
from associative_embedding.io.optional_packages import need
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.skeleton import Skeleton

USER, PREDICTED = 0, 1  # instance_type: labelled by a person, or predicted
EDGE, MIRROR = 1, 2  # types of a skeleton's links
TABLES = ("frames", "instances", "points", "pred_points")


def read_sleap(path: str | Path, images: str | Path | None = None) -> dict[str, Any]:
    """Reads SLEAP's labels as a COCO dataset.

    If the file has labelled instances, only these and their frames are read; otherwise the predicted ones, with their
    ``score``. A point that is not visible is not labelled. ``video_id`` counts the videos from 1; ``track_id`` is
    SLEAP's track.

    The name of a frame of a video is ``<video>/<frame, six digits>.png``. ``ffmpeg -i video.mp4 -vsync 0 -start_number
    0 video/%06d.png`` writes these files. The images of a sequence keep their names.

    Args:
        path: the file.
        images: folder to write the frames of a ``.pkg.slp`` to; None = they are not written.

    Raises:
        ValueError: if h5py is not installed, or the file is not as SLEAP writes it.
        OSError: if a frame cannot be written.
    """
    where = str(path)
    with opened(path) as file, one_error_for(where):
        version, description = read_head(file)
        tables = {name: rows for name in TABLES if (rows := read_table(file, name)) is not None}
        skeletons = skeletons_of(description, where)
        videos = [read_video(file, row, n) for n, row in enumerate(read_json_rows(file, "videos_json"))]
        shift = 0.5 if version >= 1.1 else 0.0
        found = [
            (videos[int(frame["video"])], int(frame["frame_idx"]), objects)
            for frame, objects in labelled_frames(tables, skeletons, shift)
        ]
        if images is not None:
            save_frames(file, [(video, index) for video, index, _ in found], Path(images))
    labelled = [
        LabelledImage(video.name_of(index), video.size, objects, {"video_id": video.number + 1})
        for video, index, objects in found
    ]
    return to_coco(labelled, {skeleton.name: skeleton for skeleton in skeletons}, where)


@contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    """Opens an HDF5 file.

    Raises:
        ValueError: if h5py is not installed, or the file cannot be opened.
    """
    h5py = need("h5py", "sleap")
    try:
        file = h5py.File(path, "r", rdcc_nbytes=CACHE)
    except OSError as error:
        kind = "not an HDF5 file" if Path(path).is_file() else "not a file"
        reason = kind if Path(path).exists() else "no such file"
        raise ValueError(f"{path}: cannot read the labels ({reason})") from error
    with file:
        yield file


@contextmanager
def one_error_for(where: str) -> Iterator[None]:
    """Turns every error that a broken table can lead to into one ValueError.

    A check of each of the dozens of values that are read would be longer than the reader itself.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, AttributeError, RuntimeError, json.JSONDecodeError) as error:
        # RuntimeError: RecursionError, and what the HDF5 library says of damaged tables
        reason = f"{type(error).__name__}: {error}"[:120]
        raise ValueError(f"{where}: not as SLEAP writes it ({reason}); save it anew with SLEAP") from None


def read_head(file: Any) -> tuple[float, dict[str, Any]]:
    """Returns the version of the format, and the description of the skeletons.

    Raises:
        KeyError: if the file has no metadata.
        ValueError: for a version from 3 on.
    """
    if (metadata := own_node(file, "metadata")) is None:
        raise KeyError("no metadata")
    version = float(read_attribute(file, metadata, "format_id", 1.0))
    if not version < 3:  # also true for NaN
        raise ValueError(f"{file.filename}: is of the format {version:g}; those before 3 are read")
    if (text := read_attribute(file, metadata, "json")) is None:
        raise KeyError("no json")
    return version, json.loads(as_bytes(text))


def skeletons_of(description: Mapping[str, Any], where: str) -> list[Skeleton]:
    """Returns the skeletons in the order in which instances refer to them.

    The description is a graph of networkx, written by jsonpickle: the type of a link is written out where it first
    occurs (``py/reduce``), and is a number from then on (``py/id``). The file, `where`, is for messages.
    """
    names = [node["name"] for node in description["nodes"]]
    check_types(len(names) * len(description["skeletons"]), where)
    skeletons: list[Skeleton] = []
    for number, graph in enumerate(description["skeletons"]):
        attributes = graph.get("graph", graph.get("nx_graph", {}).get("graph", {}))
        graph = graph.get("nx_graph", graph)
        named = isinstance(attributes, dict) and attributes.get("name")
        label = str(named or f"Skeleton-{number}")
        if label in {skeleton.name for skeleton in skeletons}:
            label = f"{label} {number}"  # a category is identified by its name
        pairs = linked_names(graph["links"], names)
        # a mirror pair can be two links, one in each direction
        mirror = sorted({(min(pair), max(pair)) for pair in pairs[MIRROR]})
        keypoints = [names[node["id"]] for node in graph["nodes"]]
        skeletons.append(Skeleton.build(label, keypoints, pairs[EDGE], flip_pairs=mirror or None))
    return skeletons


def linked_names(links: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[int, list[tuple[str, str]]]:
    """Returns the pairs of names of the links of each type, `EDGE` and `MIRROR`."""
    kinds: dict[int, int] = {}  # jsonpickle's number of a type that was written out -> the type
    pairs: dict[int, list[tuple[str, str]]] = {EDGE: [], MIRROR: []}
    for link in links:
        kind = link["type"]
        if "py/reduce" in kind:
            kinds[len(kinds) + 1] = value = int(kind["py/reduce"][1]["py/tuple"][0])
        else:
            value = kinds.get(kind["py/id"], int(kind["py/id"]))
        pairs[value].append((names[link["source"]], names[link["target"]]))
    return pairs


def labelled_frames(
    tables: Mapping[str, Array], skeletons: Sequence[Skeleton], shift: float
) -> Iterator[tuple[Any, list[LabelledObject]]]:
    """Yields each frame that is read, as a row of the table of frames, and its objects.

    Args:
        tables: table name -> rows.
        skeletons: in the order of the file.
        shift: added to coordinates, in pixels.
    """
    rows = tables["instances"]
    check_shares(tables)
    kind = USER if bool((rows["instance_type"] == USER).any()) else PREDICTED
    for frame in tables["frames"]:
        first, last = int(frame["instance_id_start"]), int(frame["instance_id_end"])
        chosen = [row for row in rows[first:last] if int(row["instance_type"]) == kind]
        objects = [read_instance(row, tables, skeletons, shift) for row in chosen]
        tracks = [found.track_id for found in objects]
        # two instances of one track, or several without: a COCO dataset has different tracks in a frame, or none
        if len(set(tracks)) < len(tracks):
            objects = [LabelledObject(found.category, found.points, score=found.score) for found in objects]
        if objects:
            yield frame, [found for found in objects if found.points]


def check_shares(tables: Mapping[str, Array]) -> None:
    """Checks that no two frames share an instance, and no two instances a point, as SLEAP numbers them.

    A small file could otherwise state millions of frames with a million instances each.

    Raises:
        IndexError: if the frames or the instances state more than there are.
    """
    instances = tables["instances"]
    points = sum(len(table) for table in (tables.get("points"), tables.get("pred_points")) if table is not None)
    for owner, kind, count in (("frames", "instance", len(instances)), ("instances", "point", points)):
        rows = tables[owner]
        first, last = (rows[f"{kind}_id_{end}"].astype(np.float64) for end in ("start", "end"))
        if (last - first).clip(0).sum() > count:
            raise IndexError(f"its {owner} state more {kind}s than the {count} of the file")


def read_instance(row: Any, tables: Mapping[str, Array], skeletons: Sequence[Skeleton], shift: float) -> LabelledObject:
    """Reads one row of the table of instances; arguments: see `labelled_frames`.

    Raises:
        IndexError: if it has another number of points than its skeleton.
    """
    predicted = int(row["instance_type"]) == PREDICTED
    skeleton = skeletons[int(row["skeleton"])]
    points = tables["pred_points" if predicted else "points"][int(row["point_id_start"]) : int(row["point_id_end"])]
    if len(points) != len(skeleton):
        raise IndexError(f"an instance has {len(points)} points, its skeleton {len(skeleton)}")
    found: dict[str, Point] = {}
    for name, point in zip(skeleton.keypoints, points, strict=True):
        x, y = float(point["x"]) + shift, float(point["y"]) + shift
        if bool(point["visible"]) and math.isfinite(x) and math.isfinite(y):  # a missing point is NaN
            found[name] = (x, y, 2)
    track = int(row["track"])
    score = float(row["score"]) if predicted else None
    return LabelledObject(skeleton.name, found, track_id=None if track < 0 else track, score=score)
