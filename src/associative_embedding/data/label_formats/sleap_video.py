"""The videos of a SLEAP file: the file names of their frames, and the frames that the file itself contains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from associative_embedding.data.label_formats.hdf5 import (
    TABLE_FLOOR,
    allowed,
    checked_dataset,
    own_node,
    read_attribute,
    read_table,
)
from associative_embedding.io.files import atomic_write
from associative_embedding.io.optional_packages import need
from associative_embedding.io.outputs import check_output

SUFFIXES = {"png": ".png", "jpg": ".jpg", "jpeg": ".jpg"}  # format of embedded frames -> suffix of their files
MAX_FRAME = 256 * 2**20  # bytes of an embedded frame
MAX_IMAGES = 2**50  # bytes of all embedded frames: the size of the file is the limit
IMAGES_RATIO = 4  # times the bytes of the file that its frames may have; images hardly pack


@dataclass(frozen=True)
class SleapVideo:
    """One video of a SLEAP file.

    Attributes:
        number: its index in the file, from 0.
        stem: name of the folder of its frames.
        size: (H, W), or None = not stated.
        files: file names of the frames, for a sequence of images; otherwise empty.
        dataset: path of the embedded frames in the SLEAP file; "" = not embedded.
        suffix: suffix of the frames' files.
    """

    number: int
    stem: str
    size: tuple[int, int] | None
    files: tuple[str, ...] = ()
    dataset: str = ""
    suffix: str = ".png"

    def name_of(self, frame: int) -> str:
        """Returns the file name of a frame, from 0."""
        return self.files[frame] if self.files and not self.dataset else f"{self.stem}/{frame:06d}{self.suffix}"


def read_video(file: Any, description: Mapping[str, Any], number: int) -> SleapVideo:
    """Reads one row of the table ``videos_json``.

    Args:
        file: the open ``h5py.File``.
        description: the parsed row.
        number: its index.
    """
    backend = description["backend"]
    # an embedded video has "." as its file, and the path of a dataset in it
    dataset = str(backend.get("dataset") or "") if backend.get("filename") == "." else ""
    source = description.get("source_video") or {}
    stated = source.get("filename") if dataset else backend.get("filename") or description.get("filename")
    stated = stated[0] if isinstance(stated, list) and stated else stated
    stem = PureWindowsPath(str(stated or f"video{number}")).stem  # splits at both kinds of slashes
    # the stem becomes a folder: "." and ".." would lead out of the folder of the images
    stem = stem if stem.strip(".") else "video"
    shape = backend.get("shape") or (None, backend.get("height_"), backend.get("width_"))
    good = len(shape) >= 3 and all(isinstance(side, int) and side > 0 for side in shape[1:3])
    suffix = ".png"
    if dataset and (frames := own_node(file, dataset)) is not None:
        suffix = SUFFIXES.get(str(read_attribute(file, frames, "format", "png")), ".png")
    return SleapVideo(
        number=number,
        stem=f"{stem}-{number}" if number else stem,  # two videos may have the same name in different folders
        size=(int(shape[1]), int(shape[2])) if good else None,
        files=() if dataset else tuple(str(name) for name in backend.get("filenames") or ()),
        dataset=dataset,
        suffix=suffix,
    )


def save_frames(file: Any, frames: Sequence[tuple[SleapVideo, int]], folder: Path) -> None:
    """Writes the frames that the file contains as encoded images; does nothing for any other frame.

    Args:
        file: the open ``h5py.File``.
        frames: videos, each with the number of a frame, from 0.
        folder: folder of the images.

    Raises:
        ValueError: if another image has the name of a frame, or the frames are larger together than the file explains.
        OSError: if one cannot be written.
    """
    opened: dict[int, EmbeddedFrames | None] = {}
    left = allowed(file, MAX_IMAGES, TABLE_FLOOR, IMAGES_RATIO)
    for video, number in dict.fromkeys(frames):
        if video.number not in opened:
            opened[video.number] = EmbeddedFrames.of(file, video)
        data = b"" if (embedded := opened[video.number]) is None else embedded.read(number)
        if (left := left - len(data)) < 0:
            raise ValueError(f"{file.filename}: its frames are larger together than the file explains; save it anew")
        if 0 < len(data) <= MAX_FRAME:
            path = folder / video.name_of(number)
            check_output(path, partial(has_bytes, data))
            atomic_write(path, data)


def has_bytes(data: bytes, path: Path) -> bool:
    """Whether a file has these bytes; zeros may follow."""
    return path.read_bytes().rstrip(b"\0") == data


@dataclass(frozen=True)
class EmbeddedFrames:
    """The encoded frames of a video that are in the file itself.

    Attributes:
        dataset: an image of bytes in each row, or a list of bytes of any length.
        row_of: number of a frame -> row; empty if the rows are the frames from 0 on.
    """

    dataset: Any
    row_of: Mapping[int, int]

    @classmethod
    def of(cls, file: Any, video: SleapVideo) -> EmbeddedFrames | None:
        """Returns the frames of a video, or None if it has none in a format that is read.

        Raises:
            ValueError: see `checked_dataset`.
        """
        dataset = checked_dataset(file, video.dataset) if video.dataset else None
        if dataset is None or str(read_attribute(file, dataset, "format")) not in SUFFIXES:
            return None
        kind = need("h5py", "sleap").check_vlen_dtype(dataset.dtype) or dataset.dtype
        if kind.kind not in "iu" or kind.itemsize != 1:
            raise ValueError(f"{file.filename}: {video.dataset} must contain bytes, not {kind}")
        # only some frames are embedded; this table has their numbers in the video
        stated = read_table(file, f"{video.dataset.rpartition('/')[0]}/frame_numbers")
        numbers = [] if stated is None else stated.tolist()
        return cls(dataset, {number: row for row, number in reversed([*enumerate(numbers)])})

    def read(self, frame: int) -> bytes:
        """Returns the encoded image of a frame, empty if it is not there."""
        row = self.row_of.get(frame, frame)
        # rows of one length end with zeros, which are no part of an image
        return bytes(np.asarray(self.dataset[row]).tobytes().rstrip(b"\0")) if row < len(self.dataset) else b""
