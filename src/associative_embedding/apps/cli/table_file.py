"""The csv table that ``ae predict --formats csv`` writes for images: a row for each instance."""

from __future__ import annotations

import csv
from collections.abc import Collection
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from associative_embedding.apps.cli.results_file import identity
from associative_embedding.instances import Instances
from associative_embedding.instances.table import columns_of, csv_lines, to_lines
from associative_embedding.io.files import append, atomic_write, make_folder
from associative_embedding.io.outputs import Own, own_form

OWN_TABLE: Own = own_form(r"image,class,score,x,y,width,height[,\n]")


class TableFile:
    """Writes the table image by image. It is whole after each image; without an image an earlier file stays.

    Args:
        path: the ``.csv`` file.
        done: `identity` of the images whose rows an earlier run wrote, which stay; None = a new table.

    Raises:
        ValueError: when rows should stay, and there is no table, or it cannot be read.
    """

    def __init__(self, path: Path, done: Collection[str] | None = None) -> None:
        self.path, self.done = path, done
        self._file: FileIO | None = None
        if done and not path.is_file():
            raise ValueError(f"{path}: is missing, so it cannot be continued; leave out --resume or --formats csv")

    def add(self, found: Instances) -> None:
        """Adds the rows of the next image.

        Raises:
            ValueError: when the table to continue has other columns.
            OSError: when the file cannot be written.
        """
        header, *rows = to_lines(columns_of(found))
        if self._file is None:
            self._file = self._open(header)
        # One write for all rows of an image: after kill -9 the file ends with a whole row.
        append(self._file, "".join(rows).encode(), self.path)

    def _open(self, header: str) -> FileIO:
        lines = [header]
        if self.done:
            lines = self._kept()
            if lines[0] != header:
                raise ValueError(f"{self.path}: has other columns, so it cannot be continued; choose another --output")
        make_folder(self.path.parent)
        atomic_write(self.path, "".join(lines).encode())
        return open(self.path, "ab", buffering=0)

    def _kept(self) -> list[str]:
        """Returns the lines of the earlier table, without images that the results file does not have."""
        with self.path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        kept = [row for row in rows[1:] if row and identity(row[0]) in (self.done or ())]
        return csv_lines(rows[:1] + kept)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
