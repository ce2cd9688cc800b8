"""SLEAP's ``.slp`` and ``.pkg.slp`` (HDF5; the tables are described in io.sleap.ai, "SLP format").

Since format 1.1 a pixel's centre has whole coordinates, so half a pixel is added; before, they were continuous.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from associative_embedding.data.label_formats.hdf5 import own, table
from associative_embedding.data.label_formats.labels import Picture, Point, Thing, to_coco
from associative_embedding.data.label_formats.sleap_video import save_frame, video_of
from associative_embedding.io.optional_packages import need
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.skeleton import Skeleton

USER, PREDICTED = 0, 1
TABLES = ("frames", "instances", "points", "pred_points", "videos_json", "tracks_json")


def read_sleap(path: str | Path, images: str | Path | None = None) -> dict[str, Any]:
    """Labels of SLEAP as a COCO dataset.

    Frames that have labelled instances are read, and of them these alone. If nothing in the file is labelled, all that
    was predicted is read, with its ``score``. Points that are not visible are not labelled. ``video_id`` counts the
    videos from 1, ``track_id`` is SLEAP's track.

    A frame of a video is called ``<video>/<frame, six digits>.png``: what ``ffmpeg -i video.mp4 -vsync 0 -start_number
    0 video/%06d.png`` writes. Images keep their names.

    Args:
        path: the file.
        images: folder that the frames within a ``.pkg.slp`` are written to.

    Raises:
        ValueError: when h5py is not installed, or the file is not as SLEAP writes it.
        OSError: when a frame cannot be written.
    """
    where = str(path)
    with opened(path) as file, complaints(where):
        version, description = head(file)
        tables = {name: rows for name in TABLES if (rows := table(file, name)) is not None}
        skeletons = skeletons_of(description)
        videos = [video_of(file, json.loads(row), n, where) for n, row in enumerate(tables["videos_json"].tolist())]
        shift = 0.5 if version >= 1.1 else 0.0
        found = [
            (videos[int(frame["video"])], int(frame["frame_idx"]), things)
            for frame, things in frames_of(tables, skeletons, shift)
        ]
        if images is not None:
            for video, index, _ in found:
                save_frame(file, video, index, Path(images))
    pictures = [
        Picture(video.name_of(index), video.size, things, {"video_id": video.number + 1})
        for video, index, things in found
    ]
    return to_coco(pictures, {skeleton.name: skeleton for skeleton in skeletons}, where)


@contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    h5py = need("h5py", "sleap")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = "no such file" if not Path(path).is_file() else "not an HDF5 file"
        raise ValueError(f"{path}: cannot read the labels ({reason})") from error
    with file:
        yield file


@contextmanager
def complaints(where: str) -> Iterator[None]:
    """Whatever the tables of a broken file lead to, in one line."""
    try:
        yield
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError, json.JSONDecodeError) as error:
        reason = f"{type(error).__name__}: {error}"[:120]
        raise ValueError(f"{where}: not as SLEAP writes it ({reason}); save it anew with SLEAP") from None


def head(file: Any) -> tuple[float, dict[str, Any]]:
    """The version of the format, and the description of the skeletons."""
    if (metadata := own(file, "metadata")) is None:
        raise KeyError("no metadata")
    attributes = metadata.attrs
    version = float(attributes.get("format_id", 1.0))
    if not version < 3:
        raise ValueError(f"{file.filename}: is of the format {version:g}; those before 3 are read")
    text = attributes["json"]
    description = json.loads(text.tobytes() if isinstance(text, np.ndarray) else text)
    return version, description


def skeletons_of(description: Mapping[str, Any]) -> list[Skeleton]:
    """In their order. Links are edges (type 1) or mirror pairs (2); a type is stated once and then referred to."""
    names = [node["name"] for node in description["nodes"]]
    skeletons: list[Skeleton] = []
    for number, graph in enumerate(description["skeletons"]):
        own = graph.get("graph", graph.get("nx_graph", {}).get("graph", {}))
        graph = graph.get("nx_graph", graph)
        label = str(own.get("name") or f"Skeleton-{number}") if isinstance(own, dict) else f"Skeleton-{number}"
        if label in {skeleton.name for skeleton in skeletons}:
            label = f"{label} {number}"
        kinds: dict[int, int] = {}
        pairs: dict[int, list[tuple[str, str]]] = {1: [], 2: []}
        for link in graph["links"]:
            kind = link["type"]
            if "py/reduce" in kind:
                kinds[len(kinds) + 1] = value = int(kind["py/reduce"][1]["py/tuple"][0])
            else:
                value = kinds.get(kind["py/id"], int(kind["py/id"]))
            pairs[value].append((names[link["source"]], names[link["target"]]))
        mirror = sorted({(min(pair), max(pair)) for pair in pairs[2]})
        keypoints = [names[node["id"]] for node in graph["nodes"]]
        skeletons.append(Skeleton.build(label, keypoints, pairs[1], flip_pairs=mirror or None))
    return skeletons


def frames_of(
    tables: Mapping[str, Array], skeletons: Sequence[Skeleton], shift: float
) -> Iterator[tuple[Any, list[Thing]]]:
    """The frames that are read, as rows of their table, with what is in them."""
    rows = tables["instances"]
    kind = USER if bool((rows["instance_type"] == USER).any()) else PREDICTED
    for frame in tables["frames"]:
        first, last = int(frame["instance_id_start"]), int(frame["instance_id_end"])
        chosen = [row for row in rows[first:last] if int(row["instance_type"]) == kind]
        things = [thing_of(row, tables, skeletons, shift) for row in chosen]
        tracks = [thing.track_id for thing in things]
        if len(set(tracks)) < len(tracks):  # of instances without a track, or of a mistake
            things = [Thing(t.category, t.points, score=t.score) for t in things]
        if things:
            yield frame, [thing for thing in things if thing.points]


def thing_of(row: Any, tables: Mapping[str, Array], skeletons: Sequence[Skeleton], shift: float) -> Thing:
    predicted = int(row["instance_type"]) == PREDICTED
    skeleton = skeletons[int(row["skeleton"])]
    points = tables["pred_points" if predicted else "points"][int(row["point_id_start"]) : int(row["point_id_end"])]
    if len(points) != len(skeleton):
        raise IndexError(f"an instance has {len(points)} points, its skeleton {len(skeleton)}")
    found: dict[str, Point] = {}
    for name, point in zip(skeleton.keypoints, points, strict=True):
        x, y = float(point["x"]) + shift, float(point["y"]) + shift
        if bool(point["visible"]) and math.isfinite(x) and math.isfinite(y):
            found[name] = (x, y, 2)
    track = int(row["track"])
    score = float(row["score"]) if predicted else None
    return Thing(skeleton.name, found, track_id=None if track < 0 else track, score=score)
