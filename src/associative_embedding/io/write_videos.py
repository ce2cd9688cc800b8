"""Writes videos, H.264 in MP4, by PyAV (the extra ``[video]``). One frame is in memory at a time."""

from __future__ import annotations

from contextlib import closing, nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from associative_embedding.io.decode_videos import load_av, reason_of
from associative_embedding.io.files import make_folder
from associative_embedding.io.outputs import DRAWN_MARK
from associative_embedding.structures.arrays import Array

CLOCK = Fraction(1, 90000)  # seconds, the unit of the times in the file; usual in MPEG, and fine enough for any rate
KEY_FRAME_SECONDS = 2  # between two key frames, where players can start and a fragment of the file ends


class FilmFile:
    """The file that FFmpeg writes a film to. It keeps the first error: FFmpeg forgets the one of a write at the end.

    Raises:
        OSError: when the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.error = path, ""
        try:
            make_folder(path.parent)
            self.file = open(path, "wb", buffering=0)  # noqa: SIM115  # `close` closes it
        except OSError as error:
            raise OSError(f"cannot write {path}: {error.strerror or error}") from None

    def write(self, data: bytes) -> int:
        """Writes all of the data, or keeps the error and writes nothing from then on."""
        rest = memoryview(data)
        try:
            while rest and not self.error:
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            self.error = error.strerror or str(error)
        return len(data)

    def check(self) -> None:
        """Raises the error that was kept, if there is one."""
        if self.error:
            raise OSError(f"cannot write {self.path}: {self.error}")


class VideoWriter:
    """Writes an MP4 file in fragments: after ``kill -9`` the frames written before can still be played.

    Frames keep their times, so a varying rate is kept. H.264 needs even sides: an odd side loses its last row or
    column.

    Args:
        path: the ``.mp4`` file.
        fps: about how many frames per second there will be.
        size: (H, W) of the frames in pixels; None = the size of the first.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int] | None = None) -> None:
        self.path, self.fps, self.size = path, fps, size
        self._container: Any = None
        self._stream: Any = None
        self._file: Any = None
        self._last = -1  # time of the last frame, in units of `CLOCK`

    def add(self, image: Array, time: float) -> None:
        """Writes the next frame.

        Args:
            image: ``(H, W, 3)`` uint8 RGB; all frames have one size.
            time: seconds since the start of the video.

        Raises:
            ValueError: for another size than the first frame's.
            OSError: when the file cannot be written.
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
            frame.pts = self._last = max(self._last + 1, round(time / CLOCK))  # times must increase
            self._container.mux(self._stream.encode(frame))
        except av.FFmpegError as error:
            raise OSError(f"cannot write {self.path}: {reason_of(error)}") from None
        self._file.check()

    def fits(self, image: Array) -> bool:
        """Returns whether an image ``(H, W, 3)`` has the size of the video; without a size the first image gives it."""
        if self.size is None:
            self.size = image.shape[:2]
        return all(side // 2 == own // 2 for side, own in zip(image.shape[:2], self.size, strict=True))

    def _open(self, av: ModuleType, width: int, height: int) -> None:
        self._file = FilmFile(self.path)
        flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}  # a fragment at each key frame
        self._container = av.open(self._file, "w", format="mp4", options=flags)
        self._container.metadata["comment"] = DRAWN_MARK.decode()
        self._stream = self._container.add_stream("libx264", rate=Fraction(self.fps).limit_denominator(1001))
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        # crf: quality, 0 (lossless) to 51. Frames that are predicted from later ones (bf) would shift all times by two.
        self._stream.options = {"crf": "20", "preset": "veryfast", "bf": "0"}
        self._stream.codec_context.time_base = CLOCK
        self._stream.codec_context.gop_size = max(1, round(KEY_FRAME_SECONDS * self.fps))

    def close(self) -> None:
        """Writes the frames that the encoder still holds, and closes the file.

        Raises:
            OSError: when they cannot be written.
        """
        container, self._container = self._container, None
        if self._file is None:
            return
        av = load_av()
        try:
            with closing(self._file.file), closing(container) if container else nullcontext():
                if container:
                    container.mux(self._stream.encode(None))
        except av.FFmpegError as error:
            raise OSError(f"cannot write {self.path}: {reason_of(error)}") from None
        self._file.check()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # On a full disk closing fails too; the error inside the block came first and says why.
        with suppress(OSError) if error else nullcontext():
            self.close()
