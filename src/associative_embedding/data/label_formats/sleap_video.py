"""The videos of a SLEAP file: the file names of their frames, and the frames that the file itself contains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from associative_embedding.data.label_formats.hdf5 import own_node, read_table
from associative_embedding.io.files import atomic_write
from associative_embedding.io.outputs import check_output

SUFFIXES = {"png": ".png", "jpg": ".jpg", "jpeg": ".jpg"}  # format of embedded frames -> suffix of their files
MAX_FRAME = 256 * 2**20  # bytes of an embedded frame


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
        suffix = SUFFIXES.get(str(frames.attrs.get("format", "png")), ".png")
    return SleapVideo(
        number=number,
        stem=f"{stem}-{number}" if number else stem,  # two videos may have the same name in different folders
        size=(int(shape[1]), int(shape[2])) if good else None,
        files=() if dataset else tuple(str(name) for name in backend.get("filenames") or ()),
        dataset=dataset,
        suffix=suffix,
    )


def save_frame(file: Any, video: SleapVideo, frame: int, folder: Path) -> None:
    """Writes a frame that the file contains as an encoded image; does nothing for any other frame.

    Args:
        file: the open ``h5py.File``.
        video: the video of the frame.
        frame: number of the frame in the video, from 0.
        folder: folder of the images.

    Raises:
        ValueError: if another image has this name.
        OSError: if it cannot be written.
    """
    frames = own_node(file, video.dataset) if video.dataset else None
    if frames is None or str(frames.attrs.get("format")) not in SUFFIXES:
        return
    # only some frames are embedded; this table has their numbers in the video
    stated = read_table(file, f"{video.dataset.rpartition('/')[0]}/frame_numbers")
    numbers = [] if stated is None else stated.tolist()
    row = numbers.index(frame) if frame in numbers else frame
    if row < len(frames):
        data = np.asarray(frames[row]).astype(np.int8).tobytes()  # the encoded image, as signed bytes
        if 0 < len(data) <= MAX_FRAME:
            path = folder / video.name_of(frame)
            check_output(path, lambda path: path.read_bytes() == data)
            atomic_write(path, data)
