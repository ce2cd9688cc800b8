"""Pairs of frames of one video: the tag loss compares tags of both, so a track gets one tag (paper, section 5)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.readers.video_frames import in_order
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample


class FramePairs:
    """All pairs of frames of one video that lie at most `reach` frames apart, a map-style data set of `Sample`.

    A sample is the earlier frame; its `Sample.later` is the later one. Frames are in the order of their numbers, and
    their distance is the difference of the numbers (`video_frames`). Frames of different videos are never paired.

    Args:
        images: frames whose instances have track ids.
        reach: largest distance of the two frames, in frames.

    Raises:
        ValueError: when an annotation has no track id, no two frames are near enough, or no track is in two of them.
    """

    def __init__(self, images: CocoKeypoints, reach: int) -> None:
        check_tracks(images)
        self.images = images
        videos = np.array([record.video_id for record in images.records], np.int64)
        frames = np.array([record.frame for record in images.records], np.int64)
        order = in_order(videos, frames)
        pairs = near_pairs(videos[order], frames[order], reach)
        if not len(pairs):
            raise ValueError(f"{images.source}: no two frames of one video lie within {reach} frames; {self.advice}")
        self.pairs = order[pairs]
        tracks = [set(np.asarray(record.track_id).tolist()) for record in images.records]
        if not any(tracks[a] & tracks[b] for a, b in self.pairs):  # nearly always the first pair has one
            raise ValueError(f"{images.source}: no 'track_id' is in two frames within {reach} frames; {self.advice}")

    @property
    def advice(self) -> str:
        """What to do where no pair of frames is found."""
        return f"there are {self.images.videos}; raise data.reach, or correct these keys of the images"

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        first, second = self.pairs[index]
        return replace(self.images[int(first)], later=self.images[int(second)])


def check_tracks(images: CocoKeypoints) -> None:
    """Checks that all people of all images have a track id.

    Raises:
        ValueError: naming the first image where one has none.
    """
    for record in images.records:
        if len(record.keypoints) and record.track_id is None:
            name = f"{images.source}: image {record.image_id} ({record.file_name})"
            raise ValueError(f"{name}: needs a 'track_id' in every annotation")


def near_pairs(videos: Array, frames: Array, reach: int) -> Array:
    """Returns ``(P, 2)`` int64, the places of all pairs of frames of one video that are at most `reach` apart.

    Args:
        videos, frames: ``(N,)`` video and frame number of each, in order (`in_order`).
        reach: largest difference of the frame numbers.
    """
    pairs = [np.zeros((0, 2), np.int64)]
    starts = np.flatnonzero(np.diff(videos, prepend=-1))
    for start, at in zip(starts, np.split(frames, starts[1:]), strict=True):
        places = np.arange(len(at))
        count = np.searchsorted(at, at + reach, side="right") - places - 1  # later frames within reach
        first = np.repeat(places, count)
        nth = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
        pairs.append(start + np.stack([first, first + 1 + nth], axis=1))
    return np.concatenate(pairs)
