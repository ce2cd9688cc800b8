"""Videos of drawn figures that walk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from associative_embedding.apps.cli.main import main


def test_drawn_videos(videos_json: str, tmp_path: Path) -> None:
    document = json.loads(Path(videos_json).read_text())
    assert [image["video_id"] for image in document["images"]] == [0] * 6 + [1] * 6
    of_first = [row for row in document["annotations"] if row["track_id"] == 1 and row["image_id"] <= 6]
    places = np.array([row["bbox"][:2] for row in of_first])
    assert 0 < np.abs(np.diff(places, axis=0)).max() < 15  # it moves, and does not jump
    assert main(["data", "synthetic", str(tmp_path / "a"), "--images", "1", "--frames", "2", "--size", "64"]) == 0
    assert main(["data", "synthetic", str(tmp_path / "a"), "--images", "1", "--frames", "1"]) == 1
