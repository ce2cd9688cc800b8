"""Reads videos frame by frame: files, streams, cameras, and folders of frames. One frame is in memory at a time.

Files and streams are read by PyAV (the extra ``[video]``), cameras by OpenCV.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from associative_embedding.io.console import say_error
from associative_embedding.io.decode_videos import decoded_frames, picture_stream, reason_of
from associative_embedding.io.find_videos import frame_files, is_camera, is_folder
from associative_embedding.io.images import read_image
from associative_embedding.io.optional_packages import need
from associative_embedding.structures.arrays import Array

FPS = 30.0  # of a folder of frames or a camera, and of a file that states none
MAX_SIDE = 8192  # pixels of a frame
TIMEOUT = 10  # seconds that a stream may be silent
PER_SECOND = 1e6  # PyAV states the duration of a container in microseconds, and seeks in them


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a video.

    Attributes:
        number: of the frame, from 0, among all frames of the video.
        time: seconds since the start of the video.
        image: ``(H, W, 3)`` uint8 RGB, upright.
        name: for messages and results: source and number, or the file of the frame.
    """

    number: int
    time: float
    image: Array
    name: str


@dataclass(frozen=True)
class Clip:
    """The frames of a video to read.

    Attributes:
        start: seconds, the time of the first frame.
        end: seconds, reading stops before this time; None = at the end of the video.
        every: read each frame whose number is a multiple of this.

    Raises:
        ValueError: for values out of range.
    """

    start: float = 0.0
    end: float | None = None
    every: int = 1

    def __post_init__(self) -> None:
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise ValueError(f"start and end must be seconds, 0 <= start < end, not {self.start:g} and {self.end}")
        if self.every < 1:
            raise ValueError(f"every must be 1 or more, not {self.every}")

    def has(self, number: int, time: float) -> bool:
        """Returns whether a frame before the end belongs to the clip."""
        return time >= self.start and number % self.every == 0

    def is_over(self, time: float) -> bool:
        """Returns whether a frame of this time, in seconds, lies behind the clip."""
        return self.end is not None and time >= self.end


@dataclass(frozen=True)
class Video:
    """A video that can be read.

    Attributes:
        source: the argument of `open_video`.
        fps: frames per second; the mean if the rate varies.
        count: number of frames as the header of the file states it, 0 = unknown.
    """

    source: str
    fps: float
    count: int

    def expected(self, clip: Clip) -> int | None:
        """Returns about how many frames a clip has, None = unknown."""
        if not self.count:
            return None if clip.end is None else int((clip.end - clip.start) * self.fps / clip.every)
        last = self.count if clip.end is None else min(self.count, clip.end * self.fps)
        return max(0, int((last - clip.start * self.fps) / clip.every + 0.5))


# number, time in seconds, name, and a function that decodes the image: skipped frames are not converted
LazyFrame = tuple[int, float, str, Callable[[], Array]]
LazyFrames = Generator[LazyFrame, None, None]


def open_video(source: str, fps: float | None = None) -> Video:
    """Opens a video to learn its rate and length.

    Args:
        source: a file, the URL of a stream, the number of a camera, or a folder or glob pattern of frames in the order
            of their names.
        fps: frames per second of a folder of frames; default: `FPS`.

    Raises:
        ValueError: one line, for a source that is no video, or when PyAV is missing.
    """
    if is_camera(source):
        return Video(source, FPS, 0)
    if is_folder(source):
        return Video(source, fps or FPS, len(frame_files(source)))
    with container_of(source) as container:
        stream = picture_stream(container)
        rate = float(stream.average_rate or FPS)
        count = stream.frames or int(rate * float(container.duration or 0) / PER_SECOND)
        return Video(source, rate, max(0, count))


def read_frames(video: Video, clip: Clip | None = None) -> Iterator[Frame]:
    """Yields the frames of a clip one after the other; default: all frames.

    Raises:
        ValueError: one line, after the frames that can be read; frames that cannot are named.
    """
    clip, damaged = clip or Clip(), 0
    if is_camera(video.source):
        frames = camera_frames(int(video.source))
    elif is_folder(video.source):
        frames = folder_frames(video)
    else:
        frames = file_frames(video, clip.start)
    try:
        for number, time, name, image in frames:
            if clip.is_over(time):
                break
            if clip.has(number, time):
                try:
                    frame = Frame(number, time, image(), name)
                except (ValueError, OSError) as error:
                    say_error(error)
                    damaged += 1
                    continue
                yield frame
    finally:
        frames.close()  # a camera or a container is released at once, also when the reader stops early
    if damaged:
        noun = "1 frame" if damaged == 1 else f"{damaged} frames"
        raise ValueError(f"{video.source}: {noun} cannot be read and {'is' if damaged == 1 else 'are'} left out")


def file_frames(video: Video, start: float) -> LazyFrames:
    """Yields the frames of a file or stream with the times of the file, so a varying rate is kept.

    Args:
        video: the file or stream.
        start: seconds; most frames before this time are skipped.
    """
    name = without_password(video.source)
    with container_of(video.source) as container:
        for number, time, frame in decoded_frames(container, video.source, video.fps, start):
            if max(frame.width, frame.height) > MAX_SIDE:
                raise ValueError(f"{video.source}: a frame of {frame.width}x{frame.height} is too large")
            yield number, time, f"{name}#{number}", partial(upright, frame)


def without_password(source: str) -> str:
    """Returns the name of a source for results: a URL without ``user:password@``."""
    return re.sub(r"//[^/@]*@", "//", source) if "://" in source else source


def upright(frame: Any) -> Array:
    """Converts a PyAV frame to ``(H, W, 3)`` uint8 RGB, turned as the file states it (phones film sideways)."""
    image = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4  # counter-clockwise
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else np.asarray(image)


def folder_frames(video: Video) -> LazyFrames:
    """Yields the frames of a folder or pattern."""
    for number, path in enumerate(frame_files(video.source)):
        yield number, number / video.fps, path, partial(read_image, path)


def camera_frames(number: int) -> LazyFrames:
    """Yields the frames of a camera until it ends; their times are the times of arrival.

    Raises:
        ValueError: when there is no such camera.
    """
    camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise ValueError(f"there is no camera {number}")
        start = cv2.getTickCount()
        for i in itertools.count():
            good, bgr = camera.read()
            if not good:
                return
            time = (cv2.getTickCount() - start) / cv2.getTickFrequency()
            yield i, time, f"camera {number}#{i}", partial(cv2.cvtColor, bgr, cv2.COLOR_BGR2RGB)
    finally:
        camera.release()


def container_of(source: str) -> Any:
    """Returns an open PyAV container of a video.

    A playlist inside of a file cannot open other files or addresses: only this file may be read.

    Raises:
        ValueError: one line, when it cannot be read or contains no video.
    """
    av = load_av()
    if "://" in source:
        name, options, timeout = source, {"rtsp_transport": "tcp"}, TIMEOUT
    else:
        name, options, timeout = f"file:{source}", {"protocol_whitelist": "file"}, None
    try:
        container = av.open(name, options=options, timeout=timeout)
    except av.FFmpegError as error:
        raise ValueError(f"{source}: not a video that can be read ({reason_of(error)})") from None
    if picture_stream(container) is None:
        sound = " but only sound" if container.streams.audio else ""
        container.close()
        raise ValueError(f"{source}: holds no video{sound}")
    return container


def load_av() -> ModuleType:
    """Imports PyAV.

    Raises:
        ValueError: when it is not installed; the message names the extra.
    """
    av = need("av", "video", "a video")
    av.logging.set_level(None)  # FFmpeg would print every fault, which also becomes an error here
    return av
