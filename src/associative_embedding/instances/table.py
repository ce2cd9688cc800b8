"""Instances -> a table with a row for each: csv, or a pandas DataFrame."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from associative_embedding.instances.found import Found
from associative_embedding.instances.measure import measurements
from associative_embedding.io.files import atomic_write, utf8_name
from associative_embedding.io.optional_packages import need
from associative_embedding.structures.arrays import Array

DECIMALS = 4  # below the precision of any model


def columns_of(instances: Found) -> dict[str, Array]:
    """Returns column name -> ``(N,)`` values: image, class, score, box and, if there are any, tracks and keypoints.

    Objects with masks are measured, see `measurements`. Boxes and keypoints are in image pixels. A keypoint that was
    not found has NaN as x and y, so that a mean over a column leaves it out, and the score 0.
    """
    x, y, width, height = instances.xywh.T
    columns: dict[str, Array] = {
        "image": np.full(len(instances), utf8_name(instances.source), dtype=object),
        "class": instances.class_name,
        "score": instances.score,
        **{"x": x, "y": y, "width": width, "height": height},
    }
    if instances.track_id is not None:
        columns["track_id"] = instances.track_id
    if instances.masks is not None:
        columns |= measurements(instances)
    for name, (x, y, score) in zip(keypoint_names(instances), instances.keypoints.transpose(1, 2, 0), strict=True):
        lost = score == 0
        columns |= {f"{name}_x": np.where(lost, np.nan, x), f"{name}_y": np.where(lost, np.nan, y)}
        columns[f"{name}_score"] = score
    return columns


def keypoint_names(instances: Found) -> tuple[str, ...]:
    """Returns the names of the K keypoints; none for masks."""
    return () if instances.skeleton is None else instances.skeleton.keypoints


def to_csv(instances: Found) -> str:
    """Returns the table as csv, with a line of names; NaN is an empty cell."""
    return "".join(to_lines(columns_of(instances)))


def to_lines(columns: Mapping[str, Array]) -> list[str]:
    """Returns a table as lines of csv, the line of names first; see `columns_of`."""
    rows = zip(*(map(cell, values.tolist()) for values in columns.values()), strict=True)
    return csv_lines([list(columns), *rows])


def csv_lines(rows: Iterable[Iterable[Any]]) -> list[str]:
    """Returns rows as csv, each with the end of its line; texts with a comma or a line break are quoted."""
    lines = []
    for row in rows:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(row)
        lines.append(text.getvalue())
    return lines


def cell(value: Any) -> Any:
    """Returns a value as it stands in a csv file."""
    if not isinstance(value, float):
        return value
    return "" if np.isnan(value) else f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")


def save_csv(instances: Found, path: str | Path) -> None:
    """Writes the table.

    Raises:
        OSError: see `atomic_write`.
    """
    atomic_write(path, to_csv(instances).encode())


def to_pandas(instances: Found) -> Any:
    """Returns the table as a ``pandas.DataFrame``.

    Raises:
        ValueError: when pandas is not installed (extra ``[notebook]``).
    """
    return need("pandas", "notebook", "a DataFrame").DataFrame(columns_of(instances))
