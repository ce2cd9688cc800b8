"""Writes the instances in a video to text files, line by line: json lines, MOTChallenge and csv.

A file is readable after every line, so a video that is stopped, or has no end, keeps its results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from associative_embedding import __version__
from associative_embedding.instances import Instances
from associative_embedding.instances.table import columns_of, to_lines
from associative_embedding.io.files import append, make_folder, utf8_name
from associative_embedding.io.outputs import Own, own_form
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.tracking.tracker import NO_TRACK


class LineFormat(Protocol):
    """A text format with some lines for each frame.

    Attributes:
        suffix: of its files.
        own: tests whether a file was written in this format by `LinesWriter`.
    """

    suffix: str
    own: Own

    def header(self, found: Instances, categories: Sequence[Mapping[str, Any]]) -> list[str]:
        """Returns the first lines of a file.

        Args:
            found: the instances of the first frame.
            categories: all that the model can find, in the COCO format.
        """
        ...

    def frame(self, found: Instances, number: int, time: float) -> list[str]:
        """Returns the lines of one frame: its number from 0, and its time in seconds."""
        ...


class JsonLines:
    """COCO in json lines.

    The first line has ``info`` and ``categories``, then each frame has one line with ``image`` and ``annotations``. The
    image id is the frame's number + 1; a keypoint is x, y, score.
    """

    suffix = ".jsonl"
    own = staticmethod(own_form(r'\{"info": \{"description": "Instances found by associative-embedding', rb"\}\n"))

    def header(self, found: Instances, categories: Sequence[Mapping[str, Any]]) -> list[str]:
        info = {"description": "Instances found by associative-embedding; a keypoint is x, y, score"}
        return [json.dumps({"info": info | {"version": __version__}, "categories": list(categories)})]

    def frame(self, found: Instances, number: int, time: float) -> list[str]:
        height, width = found.image_size
        image = {"id": number + 1, "file_name": utf8_name(found.source), "width": int(width), "height": int(height)}
        image |= {"frame": number, "time": round(time, 6)}
        # Python would write NaN, which other programs cannot read.
        return [json.dumps({"image": image, "annotations": found.to_coco(number + 1)}, allow_nan=False)]


class MotLines:
    """The text format of MOTChallenge: frame, track, left, top, width, height, score, -1, -1, -1.

    Frames, left and top count from 1, boxes are in pixels. Instances without a track are left out.
    """

    suffix = ".txt"
    own = staticmethod(own_form(r"\d+,\d+(,-?\d+\.\d{2}){4},\d\.\d{4},-1,-1,-1\n"))

    def header(self, found: Instances, categories: Sequence[Mapping[str, Any]]) -> list[str]:
        return []

    def frame(self, found: Instances, number: int, time: float) -> list[str]:
        if found.track_id is None:
            return []
        rows = zip(found.track_id, found.xywh.astype(float), found.score, strict=True)
        return [
            f"{number + 1},{track},{x + 1:.2f},{y + 1:.2f},{width:.2f},{height:.2f},{score:.4f},-1,-1,-1"
            for track, (x, y, width, height), score in rows
            if track >= 0
        ]


class CsvLines:
    """A table with a row for each instance: frame, time, track, and the columns of `table.columns_of`.

    Frames count from 0, the time is in seconds. A cell is empty without a track, and for a keypoint that was not found.
    """

    suffix = ".csv"
    own = staticmethod(own_form(r"frame,time,track_id,class(_id)?,score,x,y,width,height[,\n]"))

    def header(self, found: Instances, categories: Sequence[Mapping[str, Any]]) -> list[str]:
        return [to_lines(self._columns(found, 0, 0.0))[0].rstrip("\n")]

    def frame(self, found: Instances, number: int, time: float) -> list[str]:
        return [row.rstrip("\n") for row in to_lines(self._columns(found, number, time))[1:]]

    def _columns(self, found: Instances, number: int, time: float) -> dict[str, Array]:
        columns = columns_of(found)
        tracks = columns.pop("track_id", np.full(len(found), NO_TRACK))
        # The name of the image would only repeat the number of the frame.
        del columns["image"]
        return {
            "frame": np.full(len(found), number),
            "time": np.full(len(found), round(time, 6)),
            "track_id": np.array(["" if track == NO_TRACK else track for track in tracks.tolist()], dtype=object),
            **columns,
        }


FORMATS: dict[str, type[LineFormat]] = {"jsonl": JsonLines, "mot": MotLines, "csv": CsvLines}


class LinesWriter:
    """Writes a text file frame by frame.

    Args:
        path: the file.
        line_format: the format of its lines.
        categories: all categories of the model, in the COCO format.
    """

    def __init__(self, path: Path, line_format: LineFormat, categories: Sequence[Mapping[str, Any]]) -> None:
        self.path, self.line_format, self.categories = path, line_format, categories
        self._file: FileIO | None = None

    def add(self, found: Instances, number: int, time: float) -> None:
        """Writes the instances of the next frame.

        Raises:
            OSError: when the file cannot be written.
        """
        # Opened with the first frame: a video that cannot be read must not empty the results of an earlier run.
        if self._file is None:
            self._file = self._open()
            self._write(self.line_format.header(found, self.categories))
        self._write(self.line_format.frame(found, number, time))

    def _open(self) -> FileIO:
        try:
            make_folder(self.path.parent)
            return open(self.path, "wb", buffering=0)
        except OSError as error:
            raise OSError(f"cannot write {self.path}: {error.strerror or error}") from None

    def _write(self, lines: Sequence[str]) -> None:
        assert self._file is not None
        # One write for all lines of a frame: after kill -9 the file ends with a whole line.
        append(self._file, "".join(f"{line}\n" for line in lines).encode(), self.path)

    def close(self) -> None:
        """Closes the file, if there is one."""
        if self._file is not None:
            self._file.close()
