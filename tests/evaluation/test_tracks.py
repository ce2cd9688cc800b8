"""Evaluation of tracks: the ground truth itself is perfect."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.evaluation.tracks import (
    FrameResult,
    TrackSettings,
    chosen_frames,
    keypoint_numbers,
    track_numbers,
)
from associative_embedding.instances import Instances
from associative_embedding.tasks.tracking.settings import LinkConfig
from support.frame_pairs import frames_of
from support.tiny import FIGURE


def test_the_truth_itself_is_perfect_in_several_videos(videos_json: str) -> None:
    """Every video has tracks 1 and 2, and they are not the same."""
    data = frames_of(videos_json)
    frames = []
    for i in range(len(data)):
        truth = data[i]
        assert truth.track_id is not None
        n = len(truth.keypoints)
        found = Instances(
            score=np.ones(n, np.float32),
            class_id=np.ones(n, np.int64),
            tag=10.0 * truth.track_id[:, None].astype(np.float32),
            keypoints=truth.keypoints,
            image_size=truth.image.shape[:2],
            skeleton=FIGURE,
        )
        frames.append(FrameResult(i, data.records[i].video_id, truth, found))
    numbers = track_numbers(frames, LinkConfig(by="tags", min_frames=1))
    assert (numbers["HOTA"], numbers["MOTA"], numbers["IDF1"], numbers["switches"]) == (1, 1, 1, 0)
    assert track_numbers(frames, LinkConfig(by="tags"))["MOTA"] == 1  # first frames have ids as well
    assert keypoint_numbers(frames)["pixels_mean"] == 0


@pytest.mark.parametrize(
    ("limit", "every", "expected"),
    [
        (0, 1, [(0, 0), (0, 1), (0, 2), (0, 5), (1, 0), (1, 1), (1, 2), (1, 5)]),
        (0, 2, [(0, 0), (0, 1), (1, 0), (1, 1)]),
        (5, 1, [(0, 0), (0, 1), (0, 2), (0, 5), (1, 0)]),
    ],
)
def test_frames_are_linked_in_their_order(
    videos_json: str, tmp_path: Path, limit: int, every: int, expected: list[tuple[int, int]]
) -> None:
    """Whatever their order in the file; a missing frame is a gap."""
    document = json.loads(Path(videos_json).read_text())
    document["images"] = [document["images"][i] for i in (5, 2, 11, 0, 8, 1, 6, 7)]  # 3 and 4 are missing
    ids = {image["id"] for image in document["images"]}
    document["annotations"] = [row for row in document["annotations"] if row["image_id"] in ids]
    (tmp_path / "mixed.json").write_text(json.dumps(document))
    images = str(Path(videos_json).parent / "images")
    data = CocoKeypoints(str(tmp_path / "mixed.json"), images, FIGURE)
    chosen = chosen_frames(data, TrackSettings("mixed.json", images, limit=limit, every=every))
    assert [(video, number) for _, video, number in chosen] == expected
    files = [image["file_name"] for image in json.loads(Path(videos_json).read_text())["images"]]
    first = {video: data.records[i].file_name for i, video, number in chosen if number == 0}
    assert first == {v: files[6 * v] for v in first}
