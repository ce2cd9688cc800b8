"""Reads videos frame by frame: files, streams, cameras, and folders of frames. One frame is in memory at a time.

Files and streams are read by PyAV (the extra ``[video]``), cameras by OpenCV.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from associative_embedding.io.console import say_error
from associative_embedding.io.decode_videos import MAX_SIDE, container_of, decoded_frames, picture_stream
from associative_embedding.io.find_videos import frame_files, is_camera, is_folder
from associative_embedding.io.images import OpenImage, is_stack, open_image, read_image, read_size
from associative_embedding.io.reading import PLAIN, Reading
from associative_embedding.structures.arrays import Array

FPS = 30.0  # of a folder of frames or a camera, and of a file that states none
SAMPLES = 8  # images of a folder whose headers are read to find the size of most
PER_SECOND = 1e6  # PyAV states the duration of a container in microseconds


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
        size: (H, W) in pixels of most frames of a folder, or of all of a stack; None = unknown.
        reading: what is read of its frames.
        stack: the image whose planes are the frames; None for all other sources.
    """

    source: str
    fps: float
    count: int
    size: tuple[int, int] | None = None
    reading: Reading = PLAIN
    stack: OpenImage | None = None

    @property
    def axes(self) -> str:
        """The axes of the planes that are its frames, see `OpenImage.axes`; "" for all other sources."""
        return self.stack.axes if self.stack else ""

    def expected(self, clip: Clip) -> int | None:
        """Returns about how many frames a clip has, None = unknown."""
        if not self.count:
            return None if clip.end is None else int((clip.end - clip.start) * self.fps / clip.every)
        last = self.count if clip.end is None else min(self.count, clip.end * self.fps)
        return max(0, int((last - clip.start * self.fps) / clip.every + 0.5))


# number, time in seconds, name, and a function that decodes the image: skipped frames are not converted
LazyFrame = tuple[int, float, str, Callable[[], Array]]
LazyFrames = Generator[LazyFrame, None, None]


def open_video(source: str, fps: float | None = None, reading: Reading = PLAIN) -> Video:
    """Opens a video to learn its rate and length.

    Args:
        source: a file, the URL of a stream, the number of a camera, a folder or glob pattern of frames in the order of
            their names, or a TIFF or OME-Zarr image of several planes: its times, else its pages, else its depth.
        fps: frames per second of a folder of frames or of planes; default: `FPS`.
        reading: what is read of the frames.

    Raises:
        ValueError: one line, for a source that is no video, or when PyAV is missing.
    """
    if is_camera(source):
        return Video(source, FPS, 0, reading=reading)
    if is_stack(source):
        return open_frames(source, fps or FPS, reading)
    if is_folder(source):
        paths = frame_files(source)
        return Video(source, fps or FPS, len(paths), usual_size(paths), reading)
    with container_of(source) as container:
        stream = picture_stream(container)
        rate = float(stream.average_rate or FPS)
        count = stream.frames or int(rate * float(container.duration or 0) / PER_SECOND)
        return Video(source, rate, max(0, count), reading=reading)


def open_frames(source: str, fps: float, reading: Reading) -> Video:
    """Returns the planes of an image as a video; those of a depth, unless it has times or pages as well."""
    opened = open_image(source, reading)
    if len(opened) == 1 and reading.project is None:
        opened = open_image(source, reading, apart=True)
    opened.say()
    return Video(source, fps, len(opened), opened.pictures.stack.size, reading, opened)


def usual_size(paths: list[str]) -> tuple[int, int] | None:
    """Returns the size (H, W) in pixels of most of `SAMPLES` images, or None if none can be read."""
    sizes: Counter[tuple[int, int]] = Counter()
    for path in paths[:: max(1, len(paths) // SAMPLES)]:
        with suppress(ValueError):  # read again as a frame, where the fault is reported
            sizes[read_size(path)] += 1
    return sizes.most_common(1)[0][0] if sizes else None


def read_frames(video: Video, clip: Clip | None = None) -> Iterator[Frame]:
    """Yields the frames of a clip one after the other; default: all frames.

    Raises:
        ValueError: one line, after the frames that can be read; frames that cannot are named.
    """
    clip, damaged = clip or Clip(), 0
    if is_camera(video.source):
        frames = camera_frames(int(video.source))
    elif video.stack is not None:
        frames = stack_frames(video, video.stack)
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
                    frame = Frame(number, time, shown(image(), video), name)
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


def shown(image: Array, video: Video) -> Array:
    """Returns a frame of a film or camera with the channel and range of values that are read; others have them."""
    reading = Reading(channel=video.reading.channel, normalize=video.reading.normalize)
    if reading == PLAIN or video.stack is not None or (is_folder(video.source) and not is_camera(video.source)):
        return image
    return read_image(image, reading=reading)


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
        yield number, number / video.fps, path, partial(read_image, path, reading=video.reading)


def stack_frames(video: Video, stack: OpenImage) -> LazyFrames:
    """Yields the planes of an image."""
    for number in range(len(stack)):
        title = stack.pictures.title(number) or "1"
        yield number, number / video.fps, f"{video.source}#{title}", partial(stack.array, number)


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
