"""The csv table that ``ae predict --formats csv`` writes for images: a row for each instance."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from io import FileIO
from pathlib import Path

import numpy as np

from associative_embedding.apps.cli.results_file import identity
from associative_embedding.instances import Instances
from associative_embedding.instances.table import columns_of, csv_lines, to_lines
from associative_embedding.io.files import append, atomic_write, make_folder
from associative_embedding.io.outputs import Own, own_form

# columns that images of other channels, or of pixels whose size is not known, do not have: they stay empty there
OPTIONAL = re.compile(r"^(mean|max)_|_um2?$")
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
        self._columns: list[str] = []
        if done and not path.is_file():
            raise ValueError(f"{path}: is missing, so it cannot be continued; leave out --resume or --formats csv")

    def add(self, found: Instances) -> None:
        """Adds the rows of the next image.

        Raises:
            ValueError: when the table to continue has other columns.
            OSError: when the file cannot be written.
        """
        columns = columns_of(found)
        if not self._columns:
            self._columns = self._rows()[0] if self.done else list(columns)
        new = [name for name in columns if name not in self._columns]
        if not all(map(OPTIONAL.search, {*self._columns, *columns} - (set(self._columns) & set(columns)))):
            raise ValueError(f"{self.path}: has other columns, so it cannot be continued; choose another --output")
        if self._file is None:
            # without images that the results file does not have
            self._open([row for row in self._rows()[1:] if row and identity(row[0]) in self.done] if self.done else [])
        if new:
            self._columns += new
            self._open([[*row, *[""] * len(new)] for row in self._rows()[1:]])
        assert self._file is not None
        missing = np.full(len(found), np.nan)
        lines = to_lines({name: columns.get(name, missing) for name in self._columns})[1:]
        # One write for all rows of an image: after kill -9 the file ends with a whole row.
        append(self._file, "".join(lines).encode(), self.path)

    def _open(self, rows: list[list[str]]) -> None:
        if self._file is not None:
            self._file.close()
        make_folder(self.path.parent)
        atomic_write(self.path, "".join(csv_lines([self._columns, *rows])).encode())
        self._file = FileIO(self.path, "a")

    def _rows(self) -> list[list[str]]:
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))

    def close(self) -> None:
        """Closes the file, if there is one."""
        if self._file is not None:
            self._file.close()
