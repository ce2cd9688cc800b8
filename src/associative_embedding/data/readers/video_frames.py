"""Which images of a COCO json are frames of one video, and in what order; many tools have keys of their own for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from associative_embedding.io.coco_values import whole
from associative_embedding.io.counts import counted
from associative_embedding.structures.arrays import Array

# COCO-like files of videos, PoseTrack 18 and 21, TAO
VIDEO_KEYS = ("video_id", "vid_id", "video", "sequence_id")
FRAME_KEYS = ("frame_id", "frame_index", "frame_number", "frame")
NO_VIDEO = -1
MAX_FRAME = 2**62  # so that a difference of two fits into an int64


@dataclass(frozen=True)
class VideoFrames:
    """The videos and frame numbers of the images of a file.

    Attributes:
        video: for each image the number of its video, from 0, or `NO_VIDEO`.
        frame: for each image its frame number; no two images of a video have the same.
        stated: the entries have the frame numbers; they do not come from file names or from the order of the file.
        note: where videos and numbers come from, for messages.
    """

    video: Sequence[int]
    frame: Sequence[int]
    stated: bool
    note: str


def video_frames(images: Sequence[Mapping[str, Any]]) -> VideoFrames:
    """Returns the videos and frame numbers of the entries in ``images``.

    Of `VIDEO_KEYS` and `FRAME_KEYS` the first one counts that gives each frame of a video a number of its own. Without
    a key, the images of a folder are a video, and a number in their names or their order in the file is that of the
    frame.
    """
    key = next((key for key in VIDEO_KEYS if any(image.get(key) is not None for image in images)), None)
    names = [folder_of(image) if key is None else image.get(key) for image in images]
    number = {name: i for i, name in enumerate(dict.fromkeys(str(name) for name in names if name is not None))}
    video = [NO_VIDEO if name is None else number[str(name)] for name in names]
    inside = [i for i, n in enumerate(video) if n != NO_VIDEO]
    for frame, how in numberings(images):  # noqa: B007  # the last one always fits
        if len({(video[i], frame[i]) for i in inside if frame[i] is not None}) == len(inside):
            break
    where = f"by '{key}'" if key else f"(no image states {' or '.join(map(repr, VIDEO_KEYS[:2]))}: one for each folder)"
    loose = len(images) - len(inside)
    left_out = f", {counted(loose, 'image')} of no video left out" if loose else ""
    note = f"{counted(len(number), 'video')} {where}, frames {how}{left_out}"
    return VideoFrames(video, [number or 0 for number in frame], how[4:-1] in FRAME_KEYS, note)


def folder_of(image: Mapping[str, Any]) -> str:
    """Returns the folder in the file name of an image entry."""
    return PurePosixPath(str(image.get("file_name")).replace("\\", "/")).parent.as_posix()


def numberings(images: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Sequence[int | None], str]]:
    """Yields numbers for all images, None where there is none, and where they come from; the best source first."""
    for key in FRAME_KEYS:
        yield [frame_number(image.get(key)) for image in images], f"by '{key}'"
    digits = [re.findall(r"\d+", PurePosixPath(str(image.get("file_name"))).stem) for image in images]
    for place in (1, 2, 3):  # from the end of the name
        yield [frame_number(found[-place]) if len(found) >= place else None for found in digits], "by their names"
    yield range(len(images)), "in the order of the file"


def frame_number(value: Any) -> int | None:
    """Returns an integer, also of a text or a float that is one; None for anything else."""
    value = whole(value)
    return value if type(value) is int and abs(value) < MAX_FRAME else None


def in_order(video: Sequence[int] | Array, frame: Sequence[int] | Array) -> Array:
    """Returns ``(M,)`` int64, the images that are frames of a video in order: video by video, each frame by frame."""
    videos = np.asarray(video, np.int64)
    order: Array = np.lexsort((np.asarray(frame, np.int64), videos))
    return np.asarray(order[videos[order] != NO_VIDEO])
