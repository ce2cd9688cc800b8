"""Video in and out: files, cameras, streams and folders of frames; H.264. One frame in memory at a time.

Files and streams are read and written by PyAV (the extra ``[video]``), cameras by OpenCV.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import cv2
import numpy as np

from associative_embedding.io.images import EXTENSIONS, read_image
from associative_embedding.io.optional_packages import need
from associative_embedding.structures.arrays import Array

VIDEO_EXTENSIONS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv")
STREAMS = ("rtsp://", "rtsps://", "rtmp://", "udp://", "srt://")
FPS = 30.0  # of a folder of frames, or where a file states none
MAX_SIDE = 8192  # pixels of a frame
CLOCK = Fraction(1, 90000)  # seconds, of the times that are written
TIMEOUT = 10  # seconds that a stream may be silent


@dataclass(frozen=True, eq=False)
class Frame:
    """Attributes:
    number: from 0 on, of all frames of the video.
    time: seconds since its start.
    image: ``(H, W, 3)`` uint8 RGB, upright.
    name: for messages and results.
    """

    number: int
    time: float
    image: Array
    name: str


@dataclass(frozen=True)
class Part:
    """Which frames are looked at: every so many-th of those from `start` to `end`, in seconds (None = the last)."""

    start: float = 0.0
    end: float | None = None
    every: int = 1

    def __post_init__(self) -> None:
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise ValueError(f"start and end must be seconds, 0 <= start < end, not {self.start:g} and {self.end}")
        if self.every < 1:
            raise ValueError(f"every must be 1 or more, not {self.every}")

    def has(self, number: int, time: float) -> bool:
        return time >= self.start and number % self.every == 0

    def is_over(self, time: float) -> bool:
        return self.end is not None and time >= self.end


@dataclass(frozen=True)
class Video:
    """Attributes:
    source: what it was opened by.
    fps: frames a second, the mean where that varies.
    count: number of frames as its header states it, 0 = unknown.
    """

    source: str
    fps: float
    count: int

    def expected(self, part: Part) -> int | None:
        """About how many frames a part has, None = unknown."""
        if not self.count:
            return None if part.end is None else int((part.end - part.start) * self.fps / part.every)
        last = self.count if part.end is None else min(self.count, part.end * self.fps)
        return max(0, int((last - part.start * self.fps) / part.every + 0.5))


def is_video(source: str) -> bool:
    """Whether a source is a video by its name: a file, a stream, or a camera's number."""
    return source.isdecimal() or source.startswith(STREAMS) or source.lower().endswith(VIDEO_EXTENSIONS)


def open_video(source: str, fps: float | None = None) -> Video:
    """
    Args:
        source: a file, a stream's URL, a camera's number, or a folder or pattern of frames in the order of their names.
        fps: of a folder of frames, which cannot state it.

    Raises:
        ValueError: one line, for a source that is no video.
        ImportError: naming the extra that is missing.
    """
    if source.isdecimal():
        return Video(source, FPS, 0)
    if is_folder(source):
        return Video(source, fps or FPS, len(frame_files(source)))
    with container_of(source) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or FPS)
        count = stream.frames or int(rate * float(container.duration or 0) / 1e6)
        return Video(source, rate, max(0, count))


def read_frames(video: Video, part: Part | None = None) -> Iterator[Frame]:
    """The frames of a part of a video, one after the other.

    Raises:
        ValueError: one line; also for a frame that cannot be read, after those before it.
    """
    part = part or Part()
    if video.source.isdecimal():
        frames = camera_frames(int(video.source))
    elif is_folder(video.source):
        frames = folder_frames(video)
    else:
        frames = file_frames(video, part)
    try:
        for number, time, image, name in frames:
            if part.is_over(time):
                return
            if part.has(number, time):
                yield Frame(number, time, image() if callable(image) else image, name)
    finally:
        frames.close()


Raw = Iterator[tuple[int, float, Any, str]]  # number, time, the image or what gives it, name


def file_frames(video: Video, part: Part) -> Any:
    """Frames of a file or stream; their times are the file's own, so a varying rate stays as it is."""
    av = load_av()
    with container_of(video.source) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        zero = float((stream.start_time or 0) * stream.time_base)
        first = 0
        if part.start > 0 and "://" not in video.source:
            container.seek(int((part.start + zero) * 1e6))  # to the key frame before
            first = -1  # numbers then follow from times
        try:
            for i, frame in enumerate(container.decode(stream)):
                time = max(0.0, frame.time - zero) if frame.time is not None else i / video.fps
                if max(frame.width, frame.height) > MAX_SIDE:
                    raise ValueError(f"{video.source}: a frame of {frame.width}x{frame.height} is too large")
                number = i if first == 0 else round(time * video.fps)
                yield number, time, lambda frame=frame: upright(frame), f"{without_password(video.source)}#{number}"
        except av.FFmpegError as error:
            raise ValueError(f"{video.source}: cannot be read on ({one_line(error)})") from None


def without_password(source: str) -> str:
    """A source as results name it: a URL without ``user:password@``."""
    return re.sub(r"//[^/@]*@", "//", source) if "://" in source else source


def upright(frame: Any) -> Array:
    """``(H, W, 3)`` uint8 RGB, turned as the file asks for (phones film sideways)."""
    image = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4  # counter-clockwise
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else np.asarray(image)


def folder_frames(video: Video) -> Any:
    for number, path in enumerate(frame_files(video.source)):
        yield number, number / video.fps, lambda path=path: read_image(path), path


def camera_frames(number: int) -> Any:
    """Frames of a camera, until it ends.

    Raises:
        ValueError: when there is no such camera.
    """
    camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise ValueError(f"there is no camera {number}")
        start = cv2.getTickCount()
        for i in range(2**62):
            good, image = camera.read()
            if not good:
                return
            time = (cv2.getTickCount() - start) / cv2.getTickFrequency()
            yield i, time, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), f"camera {number}#{i}"
    finally:
        camera.release()


def is_folder(source: str) -> bool:
    return os.path.isdir(source) or glob.has_magic(source)


def frame_files(source: str) -> list[str]:
    """The images of a folder or pattern; numbers in their names count as numbers, so 10 comes after 9.

    Raises:
        ValueError: when there is none.
    """
    paths = glob.iglob(source) if glob.has_magic(source) else (entry.path for entry in os.scandir(source))
    frames = [path for path in paths if path.lower().endswith(EXTENSIONS) and os.path.isfile(path)]
    if not frames:
        raise ValueError(f"{source}: holds no image ({', '.join(EXTENSIONS)})")
    return sorted(frames, key=lambda path: [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", path)])


def container_of(source: str) -> Any:
    """An open PyAV container with a video in it. A file cannot make it open anything else.

    Raises:
        ValueError: one line, when it cannot be read or holds no video.
    """
    av = load_av()
    if "://" in source:
        name, options, timeout = source, {"rtsp_transport": "tcp"}, TIMEOUT
    else:
        name, options, timeout = f"file:{source}", {"protocol_whitelist": "file"}, None
    try:
        container = av.open(name, options=options, timeout=timeout)
    except av.FFmpegError as error:
        raise ValueError(f"{source}: not a video that can be read ({one_line(error)})") from None
    if not container.streams.video:
        container.close()
        raise ValueError(f"{source}: holds no video")
    return container


def load_av() -> ModuleType:
    """
    Raises:
        ValueError: naming the extra.
    """
    av = need("av", "video", "a video")
    av.logging.set_level(None)  # what fails is said once, by us
    return av


def one_line(error: Any) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0]


class VideoWriter:
    """H.264 in MP4, in fragments: what was written can be played even after ``kill -9``.

    Frames keep their times, so a varying rate stays. Odd sides lose their last row or column, as H.264 needs even ones.

    Args:
        path: of the ``.mp4`` file.
        fps: about how many frames a second there will be.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, fps
        self._container: Any = None
        self._stream: Any = None
        self._last = -1

    def add(self, image: Array, time: float) -> None:
        """The next frame, ``(H, W, 3)`` uint8 RGB, all of one size, and its time in seconds.

        Raises:
            ValueError: for another size than the first one's.
            OSError: when it cannot be written.
        """
        av = load_av()
        height, width = (side - side % 2 for side in image.shape[:2])
        try:
            if self._container is None:
                self._open(av, width, height)
            if (self._stream.width, self._stream.height) != (width, height):
                raise ValueError(f"{self.path}: a video's frames must have one size, not also {width}x{height}")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
            frame.time_base = CLOCK
            frame.pts = self._last = max(self._last + 1, round(time / CLOCK))
            self._container.mux(self._stream.encode(frame))
        except av.FFmpegError as error:
            raise OSError(f"cannot write {self.path}: {one_line(error)}") from None

    def _open(self, av: ModuleType, width: int, height: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        self._container = av.open(f"file:{self.path}", "w", format="mp4", options=flags)
        self._stream = self._container.add_stream("libx264", rate=Fraction(self.fps).limit_denominator(1001))
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.options = {"crf": "20", "preset": "veryfast"}
        self._stream.codec_context.time_base = CLOCK
        self._stream.codec_context.gop_size = max(1, round(2 * self.fps))

    def close(self) -> None:
        if self._container is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._container = None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
