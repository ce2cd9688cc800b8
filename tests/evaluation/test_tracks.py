"""Evaluation of tracks: the ground truth itself is perfect."""

from __future__ import annotations

import numpy as np

from associative_embedding.evaluation.tracks import FrameResult, keypoint_numbers, track_numbers
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
    assert keypoint_numbers(frames)["pixels_mean"] == 0
