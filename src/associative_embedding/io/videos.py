"""Reads videos frame by frame: files, streams, cameras, and folders of frames. One frame is in memory at a time.

Files and streams are read by PyAV (the extra ``[video]``), cameras by OpenCV.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from associative_embedding.io.console import one_line
from associative_embedding.io.find_images import EXTENSIONS
from associative_embedding.io.images import read_image
from associative_embedding.io.optional_packages import need
from associative_embedding.structures.arrays import Array

VIDEO_EXTENSIONS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv")
STREAMS = ("rtsp://", "rtsps://", "rtmp://", "udp://", "srt://")
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


def is_video(source: str) -> bool:
    """Returns whether a source is a video by its name: a file, a stream, or the number of a camera."""
    return source.isdecimal() or source.startswith(STREAMS) or source.lower().endswith(VIDEO_EXTENSIONS)


def open_video(source: str, fps: float | None = None) -> Video:
    """Opens a video to learn its rate and length.

    Args:
        source: a file, the URL of a stream, the number of a camera, or a folder or glob pattern of frames in the order
            of their names.
        fps: frames per second of a folder of frames; default: `FPS`.

    Raises:
        ValueError: one line, for a source that is no video, or when PyAV is missing.
    """
    if source.isdecimal():
        return Video(source, FPS, 0)
    if is_folder(source):
        return Video(source, fps or FPS, len(frame_files(source)))
    with container_of(source) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or FPS)
        count = stream.frames or int(rate * float(container.duration or 0) / PER_SECOND)
        return Video(source, rate, max(0, count))


def read_frames(video: Video, clip: Clip | None = None) -> Iterator[Frame]:
    """Yields the frames of a clip one after the other; default: all frames.

    Raises:
        ValueError: one line; for a frame that cannot be read, after the frames before it.
    """
    clip = clip or Clip()
    if video.source.isdecimal():
        frames = camera_frames(int(video.source))
    elif is_folder(video.source):
        frames = folder_frames(video)
    else:
        frames = file_frames(video, clip.start)
    try:
        for number, time, name, image in frames:
            if clip.is_over(time):
                return
            if clip.has(number, time):
                yield Frame(number, time, image(), name)
    finally:
        frames.close()  # a camera or a container is released at once, also when the reader stops early


def file_frames(video: Video, start: float) -> LazyFrames:
    """Yields the frames of a file or stream with the times of the file, so a varying rate is kept.

    Args:
        video: the file or stream.
        start: seconds; frames before the last key frame before this time are skipped.
    """
    av = load_av()
    name = without_password(video.source)
    with container_of(video.source) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"  # decodes with several threads
        zero = float((stream.start_time or 0) * stream.time_base)
        seeks = start > 0 and "://" not in video.source
        if seeks:
            container.seek(int((start + zero) * PER_SECOND))
        try:
            for i, frame in enumerate(container.decode(stream)):
                time = max(0.0, frame.time - zero) if frame.time is not None else i / video.fps
                if max(frame.width, frame.height) > MAX_SIDE:
                    raise ValueError(f"{video.source}: a frame of {frame.width}x{frame.height} is too large")
                number = round(time * video.fps) if seeks else i  # after seeking only the time is known
                yield number, time, f"{name}#{number}", partial(upright, frame)
        except av.FFmpegError as error:
            raise ValueError(f"{video.source}: cannot be read on ({ffmpeg_reason(error)})") from None


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


def is_folder(source: str) -> bool:
    """Returns whether a source is a folder or a glob pattern."""
    return os.path.isdir(source) or glob.has_magic(source)


def frame_files(source: str) -> list[str]:
    """Returns the images of a folder or glob pattern. Numbers in their names are compared as numbers: 9 before 10.

    Raises:
        ValueError: when there is none.
    """
    paths = glob.iglob(source) if glob.has_magic(source) else (entry.path for entry in os.scandir(source))
    frames = [path for path in paths if path.lower().endswith(EXTENSIONS) and os.path.isfile(path)]
    if not frames:
        raise ValueError(f"{source}: holds no image ({', '.join(EXTENSIONS)})")
    return sorted(frames, key=lambda path: [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", path)])


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
        raise ValueError(f"{source}: not a video that can be read ({ffmpeg_reason(error)})") from None
    if not container.streams.video:
        container.close()
        raise ValueError(f"{source}: holds no video")
    return container


def load_av() -> ModuleType:
    """Imports PyAV.

    Raises:
        ValueError: when it is not installed; the message names the extra.
    """
    av = need("av", "video", "a video")
    av.logging.set_level(None)  # FFmpeg would print every fault, which also becomes an error here
    return av


def ffmpeg_reason(error: Any) -> str:
    """Returns the reason in an error of PyAV, without the path and the number that its message also has."""
    return one_line(str(getattr(error, "strerror", None) or error))
