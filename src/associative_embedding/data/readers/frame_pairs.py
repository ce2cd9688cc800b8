"""Pairs of frames of one video: the tag loss compares tags of both, so a track gets one tag (paper, section 5)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.structures.sample import Sample


class FramePairs:
    """All pairs of frames of one video that lie at most `reach` frames apart, a map-style data set of `Sample`.

    A sample is the first frame; its `Sample.later` is the second. Frames are in the order of the annotation file.
    Frames of different videos (``video_id`` of the file's images) are never paired.

    Args:
        images: frames whose instances have track ids.
        reach: largest distance of the two frames, in frames.

    Raises:
        ValueError: when an annotation has no track id, or no two frames are near enough.
    """

    def __init__(self, images: CocoKeypoints, reach: int) -> None:
        if not all(record.track_id is not None for record in images.records):
            raise ValueError(f"{images.source}: the task tracking needs a 'track_id' in every annotation")
        self.images = images
        videos = np.array([record.video_id for record in images.records])
        # each frame with the 1, 2 ... `reach` frames after it; then only pairs inside of one video stay
        first = np.repeat(np.arange(len(videos)), reach)
        second = first + np.tile(np.arange(1, reach + 1), len(videos))
        inside = second < len(videos)
        first, second = first[inside], second[inside]
        self.pairs = np.stack([first, second], axis=1)[videos[first] == videos[second]]
        if not len(self.pairs):
            raise ValueError(f"{images.source}: no two frames of one video lie within {reach} frames")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        first, second = self.pairs[index]
        return replace(self.images[int(first)], later=self.images[int(second)])
