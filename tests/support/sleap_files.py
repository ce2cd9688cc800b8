"""SLEAP files, built table by table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

FRAME = np.dtype([(n, "u8") for n in ("frame_id",)] + [("video", "u4")] + [(n, "u8") for n in (
    "frame_idx", "instance_id_start", "instance_id_end")])  # fmt: skip
INSTANCE = np.dtype([("instance_id", "i8"), ("instance_type", "u1"), ("frame_id", "u8"), ("skeleton", "u4"),
    ("track", "i4"), ("from_predicted", "i8"), ("score", "f4"), ("point_id_start", "u8"), ("point_id_end", "u8"),
    ("tracking_score", "f4")])  # fmt: skip
POINT = np.dtype([("x", "f8"), ("y", "f8"), ("visible", "?"), ("complete", "?")])
PREDICTED = np.dtype([*POINT.descr, ("score", "f8")])
EDGE = {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [1]}]}
MIRROR = {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [2]}]}


def description() -> dict[str, Any]:
    """Nodes are of all skeletons; the links are head - tail, and two that are each other's mirror."""
    links = [
        {"source": 2, "target": 0, "type": EDGE},
        {"source": 2, "target": 1, "type": {"py/id": 1}},
        {"source": 0, "target": 1, "type": MIRROR},
        {"source": 1, "target": 0, "type": {"py/id": 2}},
    ]
    graph = {"graph": {"name": "fly"}, "links": links, "nodes": [{"id": 2}, {"id": 0}, {"id": 1}]}
    nodes = [{"name": name, "weight": 1.0} for name in ("wing_a", "wing_b", "head")]
    return {"version": "2.0.0", "skeletons": [graph], "nodes": nodes}


VIDEO = {
    "filename": "C:\\films\\two flies.mp4",
    "backend": {"filename": "C:\\films\\two flies.mp4", "shape": [9, 60, 80, 1]},
}


def build(
    path: Path, *, version: float | None = 1.2, videos: Any = (VIDEO,), types: tuple[int, ...] = (0, 0, 1)
) -> Path:
    """Frame 5 with two instances, frame 7 with one; three points each."""
    import h5py

    points = np.array([(10, 20, True, True), (np.nan, np.nan, False, False), (12.5, 21, True, True),
                       (1, 2, True, True), (3, 4, False, False), (5, 6, True, False), (7, 8, True, True),
                       (7, 8, True, True), (7, 8, True, True)], POINT)  # fmt: skip
    rows = [(i, t, i // 2, 0, i if i < 2 else -1, -1, 0.25 * i, 3 * i, 3 * i + 3, 0) for i, t in enumerate(types)]
    with h5py.File(path, "w") as file:
        group = file.create_group("metadata")
        group.attrs["json"] = np.bytes_(json.dumps(description()))
        if version is not None:
            group.attrs["format_id"] = version
        file["frames"] = np.array([(0, 0, 5, 0, 2), (1, 0, 7, 2, 3)], FRAME)
        file["instances"] = np.array(rows, INSTANCE)
        file["points"] = points
        file["pred_points"] = np.array([(*row, 0.5) for row in points.tolist()], PREDICTED)
        file["videos_json"] = [json.dumps(video) for video in videos]
        file["tracks_json"] = [json.dumps([0, name]) for name in ("a", "b")]
    return path
