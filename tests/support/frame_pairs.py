"""Videos of drawn figures that walk."""

from __future__ import annotations

from pathlib import Path

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from support.tiny import FIGURE


def frames_of(video: str) -> CocoKeypoints:
    return CocoKeypoints(video, str(Path(video).parent / "images"), FIGURE)
