"""What was found in a video, in files that grow line by line and are whole after every line."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO

from associative_embedding import __version__
from associative_embedding.instances import Instances


class Lines(Protocol):
    """Lines of text for a frame."""

    suffix: str

    def head(self, categories: Sequence[Mapping[str, Any]]) -> list[str]: ...

    def frame(self, found: Instances, number: int, time: float) -> list[str]: ...


class JsonLines:
    """COCO in json lines: first ``info`` and ``categories``, then a line a frame: ``image`` and its ``annotations``.

    The image id is the frame's number + 1; a keypoint is x, y, score.
    """

    suffix = ".jsonl"

    def head(self, categories: Sequence[Mapping[str, Any]]) -> list[str]:
        info = {"description": "Instances found by associative-embedding; a keypoint is x, y, score"}
        return [json.dumps({"info": info | {"version": __version__}, "categories": list(categories)})]

    def frame(self, found: Instances, number: int, time: float) -> list[str]:
        height, width = found.image_size
        image = {"id": number + 1, "file_name": found.source, "width": int(width), "height": int(height)}
        image |= {"frame": number, "time": round(time, 6)}
        return [json.dumps({"image": image, "annotations": found.to_coco(number + 1)}, allow_nan=False)]


class MotLines:
    """MOTChallenge text: frame from 1 on, track, left and top from 1 on, width, height, score, -1, -1, -1.

    Instances without a track are left out.
    """

    suffix = ".txt"

    def head(self, categories: Sequence[Mapping[str, Any]]) -> list[str]:
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
    """A table, a row an instance: frame, time, track, class, score, box, and x, y, score of each keypoint."""

    suffix = ".csv"

    def head(self, categories: Sequence[Mapping[str, Any]]) -> list[str]:
        columns = ["frame", "time", "track_id", "class_id", "score", "x", "y", "width", "height"]
        names = [name for category in categories for name in category.get("keypoints", [])]
        return [row([*columns, *(f"{name}_{part}" for name in names for part in ("x", "y", "score"))])]

    def frame(self, found: Instances, number: int, time: float) -> list[str]:
        tracks = [""] * len(found) if found.track_id is None else found.track_id.tolist()
        return [
            row(
                [
                    number,
                    f"{time:.6f}",
                    "" if tracks[i] == -1 else tracks[i],
                    int(found.class_id[i]),
                    f"{found.score[i]:.4f}",
                    *(f"{value:.2f}" for value in found.xywh[i]),
                    *(
                        f"{value:.2f}" if k % 3 < 2 else f"{value:.4f}"
                        for k, value in enumerate(found.keypoints[i].flat)
                    ),
                ]
            )
            for i in range(len(found))
        ]


def row(values: Sequence[object]) -> str:
    class Line:
        text = ""

        def write(self, text: str) -> None:
            self.text += text

    line = Line()
    csv.writer(line, lineterminator="").writerow(values)
    return line.text


FORMATS: dict[str, type[Lines]] = {"jsonl": JsonLines, "mot": MotLines, "csv": CsvLines}


class LinesWriter:
    """A file of such lines, written and flushed frame by frame; it begins with the first frame.

    Args:
        path: of the file.
        lines: their form.
        categories: what can be found, as COCO categories.
    """

    def __init__(self, path: Path, lines: Lines, categories: Sequence[Mapping[str, Any]]) -> None:
        self.path, self.lines, self.categories = path, lines, categories
        self._file: TextIO | None = None

    def add(self, found: Instances, number: int, time: float) -> None:
        """The instances of the next frame.

        Raises:
            OSError: when it cannot be written.
        """
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8")
            self._write(self.lines.head(self.categories))
        self._write(self.lines.frame(found, number, time))

    def _write(self, lines: Sequence[str]) -> None:
        assert self._file is not None
        self._file.write("".join(f"{line}\n" for line in lines))  # one call, one write: no half line after kill -9
        self._file.flush()

    def __enter__(self) -> LinesWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
