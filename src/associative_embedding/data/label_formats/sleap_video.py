"""The videos of a SLEAP file: what their frames are called, and the frames that the file itself holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from associative_embedding.data.label_formats.hdf5 import own, table
from associative_embedding.io.files import atomic_write

ENCODED = {"png": ".png", "jpg": ".jpg", "jpeg": ".jpg"}
MAX_FRAME = 256 * 2**20


@dataclass(frozen=True)
class Video:
    """
    Attributes:
        number: in the file, from 0 on.
        stem: folder that its frames are in.
        size: (H, W), or None.
        files: of a sequence of images, else empty.
        dataset: where its frames are in the file, or "".
        suffix: of its frames.
    """

    number: int
    stem: str
    size: tuple[int, int] | None
    files: tuple[str, ...] = ()
    dataset: str = ""
    suffix: str = ".png"

    def name_of(self, frame: int) -> str:
        return self.files[frame] if self.files and not self.dataset else f"{self.stem}/{frame:06d}{self.suffix}"


def video_of(file: Any, description: Mapping[str, Any], number: int, where: str) -> Video:
    """A row of ``videos_json``."""
    backend = description["backend"]
    inside = backend.get("filename") == "." and str(backend.get("dataset") or "")
    source = description.get("source_video") or {}
    stated = source.get("filename") if inside else backend.get("filename") or description.get("filename")
    stated = stated[0] if isinstance(stated, list) and stated else stated
    stem = PureWindowsPath(str(stated or f"video{number}")).stem  # understands both kinds of slashes
    stem = stem if stem.strip(".") else "video"  # no way out of the folder
    shape = backend.get("shape") or (None, backend.get("height_"), backend.get("width_"))
    good = len(shape) >= 3 and all(isinstance(side, int) and side > 0 for side in shape[1:3])
    files = () if inside else tuple(str(name) for name in backend.get("filenames") or ())
    suffix = ".png"
    if inside and (frames := own(file, inside)) is not None:
        suffix = ENCODED.get(str(frames.attrs.get("format", "png")), ".png")
    size = (int(shape[1]), int(shape[2])) if good else None
    return Video(number, f"{stem}-{number}" if number else stem, size, files, str(inside or ""), suffix)


def save_frame(file: Any, video: Video, frame: int, folder: Path) -> None:
    """Write a frame that the file holds as an encoded image; of another video nothing.

    Raises:
        OSError: when it cannot be written.
    """
    frames = own(file, video.dataset) if video.dataset else None
    if frames is None or str(frames.attrs.get("format")) not in ENCODED:
        return
    stated = table(file, f"{video.dataset.rpartition('/')[0]}/frame_numbers")
    numbers = [] if stated is None else stated.tolist()
    row = numbers.index(frame) if frame in numbers else frame
    if row < len(frames):
        data = np.asarray(frames[row]).astype(np.int8).tobytes()
        if 0 < len(data) <= MAX_FRAME:
            atomic_write(folder / video.name_of(frame), data)
