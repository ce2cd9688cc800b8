"""Pairs of frames of one video, so that the tag loss can ask for one tag a track (paper, section 5: tracking)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.structures.sample import Sample


class FramePairs:
    """All pairs of frames of one video that lie at most `reach` frames apart, a map-style data set.

    The later frame is the first one's `Sample.later`. Frames follow each other in the order of the annotation file;
    frames of different videos (``video_id`` of the file's images) are never paired.

    Args:
        images: frames whose instances have track ids.
        reach: greatest distance of two frames.

    Raises:
        ValueError: when the annotations have no track ids, or no two frames are near each other.
    """

    def __init__(self, images: CocoKeypoints, reach: int) -> None:
        if not all(record.track_id is not None for record in images.records):
            raise ValueError(f"{images.source}: the task tracking needs a 'track_id' in every annotation")
        self.images = images
        videos = np.array([record.video_id for record in images.records])
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
