"""Reads DeepLabCut's labels: ``labeled-data/<video>/CollectedData_<scorer>.csv``.

They are set in napari, where the centre of a pixel has whole coordinates (napari.org, "Layers and coordinates"), so
half a pixel is added here.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from associative_embedding.data.label_formats.labels import LabelledImage, LabelledObject, Point, to_coco
from associative_embedding.data.label_formats.reading import finite, read_text
from associative_embedding.io.images import read_size
from associative_embedding.io.yaml_files import MAX_BYTES, load_yaml
from associative_embedding.structures.skeleton import Skeleton

HALF_PIXEL = 0.5
MAX_TABLE = 64 * 2**20  # bytes of a csv; its cells take many times as much
CATEGORY = "animal"
UNIQUE = "single"  # DeepLabCut's individual for body parts that occur once, for example the corners of a cage
HEADS = ("scorer", "individuals", "bodyparts", "coords")  # first cells of the head rows; individuals may be missing


@dataclass(frozen=True)
class Column:
    """One column of coordinates.

    Attributes:
        individual: name of the animal; "" in a project of one animal.
        part: name of the body part.
        axis: "x" or "y".
        index: place of the column in a row.
    """

    individual: str
    part: str
    axis: str
    index: int


@dataclass(frozen=True)
class LabelTable:
    """The content of one csv.

    Attributes:
        images: the labelled images, one for each row.
        parts: body parts of the animals in the order of the columns, also those that are never labelled.
    """

    images: list[LabelledImage]
    parts: list[str]


def read_deeplabcut(path: str | Path, images: str | Path | None = None) -> dict[str, Any]:
    """Reads the labels of one or several animals as a COCO dataset; file names are relative to the project's folder.

    The category is ``animal``; the parts of the individual ``single`` are a category ``single``. The edges are the
    skeleton in the project's ``config.yaml``. A part without coordinates is not labelled.

    Args:
        path: the ``.csv``, the folder of a video, or the folder of the project with all its labels.
        images: folder that replaces the project's folder, to read the sizes of the images that are there.

    Raises:
        ValueError: one line with the file and the line.
    """
    files = label_files(Path(path))
    tables = [read_label_table(file, images) for file in files]
    found = [image for table in tables for image in table.images]
    names = [image.name for image in found]
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: several files label the same images; give one of them")
    parts = list(dict.fromkeys(part for table in tables if table.images for part in table.parts))
    skeletons = {CATEGORY: Skeleton.build(CATEGORY, parts, edges_of(files[0], parts))} if parts else {}
    return to_coco(found, skeletons, str(path))


def label_files(path: Path) -> list[Path]:
    """Returns the csv files of a path, sorted.

    Raises:
        ValueError: for an HDF5 file, or a folder without labels.
    """
    if path.suffix in (".h5", ".hdf5"):
        raise ValueError(f"{path}: give the CollectedData_....csv, which DeepLabCut writes beside it")
    if not path.is_dir():
        return [path]
    found = sorted([*path.glob("CollectedData_*.csv"), *path.glob("labeled-data/*/CollectedData_*.csv")])
    if not found:
        raise ValueError(f"{path}: no CollectedData_....csv in it or in its labeled-data/*/")
    return found


def read_label_table(file: Path, images: str | Path | None) -> LabelTable:
    """Reads one csv; arguments and errors: see `read_deeplabcut`."""
    try:
        rows = list(csv.reader(read_text(file, MAX_TABLE).splitlines(), strict=True))
    except csv.Error as error:
        raise ValueError(f"{file}: not a csv file ({error})") from None
    columns, start, first = read_head(rows, str(file))
    found = []
    for number, row in enumerate(rows[start:], start=start + 1):
        if not any(row):
            continue
        if len(row) > len(rows[0]):
            raise ValueError(f"{file}: line {number}: has {len(row)} cells, not {len(rows[0])}; has it decimal commas?")
        # the path of the image is one cell, or in newer versions of DeepLabCut one cell for each folder
        name = "/".join(cell for cell in row[:first] if cell).replace("\\", "/")
        objects = read_row(row, columns, f"{file}: line {number}")
        found.append(LabelledImage(name, size_of(file, name, images), objects))
    return LabelTable(found, list(dict.fromkeys(column.part for column in columns if column.individual != UNIQUE)))


def read_head(rows: Sequence[Sequence[str]], where: str) -> tuple[list[Column], int, int]:
    """Returns the columns of coordinates, the number of head rows, and the number of columns before the coordinates.

    Raises:
        ValueError: if a head row is missing, or a column is neither x nor y.
    """
    heads = {row[0]: row for row in rows[:4] if row and row[0] in HEADS}
    if not {"scorer", "bodyparts", "coords"} <= set(heads) or any(
        len(r) != len(heads["scorer"]) for r in heads.values()
    ):
        raise ValueError(f"{where}: does not begin with the rows scorer, [individuals,] bodyparts and coords")
    axes, parts, individuals = heads["coords"], heads["bodyparts"], heads.get("individuals")
    # the head rows are empty above the path of the image
    first = next((i for i, cell in enumerate(axes) if i and cell), len(axes))
    if strange := sorted(set(axes[first:]) - {"x", "y"}):
        raise ValueError(f"{where}: has the column {strange[0]!r}; only labels are read (x, y), not predictions")
    columns = [Column(individuals[i] if individuals else "", parts[i], axes[i], i) for i in range(first, len(axes))]
    return columns, 4 if individuals else 3, first


def read_row(row: Sequence[str], columns: Sequence[Column], where: str) -> list[LabelledObject]:
    """Returns the animals of one image that have a labelled part.

    Raises:
        ValueError: if a coordinate is not a number.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}  # individual -> part -> axis -> pixels
    for column in columns:
        text = row[column.index].strip() if column.index < len(row) else ""
        if text and text.lower() != "nan":
            value = finite(text, where, f"{column.axis} of {column.part}")
            found.setdefault(column.individual, {}).setdefault(column.part, {})[column.axis] = value + HALF_PIXEL
    return [
        LabelledObject(UNIQUE if individual == UNIQUE else CATEGORY, complete_points(parts))
        for individual, parts in found.items()
        if complete_points(parts)
    ]


def complete_points(parts: Mapping[str, Mapping[str, float]]) -> dict[str, Point]:
    """Part -> point, for the parts with both coordinates."""
    return {name: (xy["x"], xy["y"], 2) for name, xy in parts.items() if len(xy) == 2}


def project_of(file: Path) -> Path:
    """``project/labeled-data/video/x.csv`` -> ``project``."""
    return Path(*file.resolve().parts[:-3])


def size_of(file: Path, name: str, images: str | Path | None) -> tuple[int, int] | None:
    """Returns the size (H, W) of an image, or None if it is not there: labels are often shared without images."""
    path = (project_of(file) if images is None else Path(images)) / name
    return read_size(path) if path.is_file() else None


def edges_of(file: Path, parts: Sequence[str]) -> list[tuple[str, str]]:
    """Returns the ``skeleton`` of the project's ``config.yaml``, without edges to other parts; empty without a file.

    Raises:
        ValueError: if the file is not YAML.
    """
    config = project_of(file) / "config.yaml"
    if not config.is_file():
        return []
    data = load_yaml(read_text(config, MAX_BYTES), config)
    edges = data.get("skeleton") if isinstance(data, dict) else None
    pairs = [edge for edge in edges if isinstance(edge, list) and len(edge) == 2] if isinstance(edges, list) else []
    known = set(parts)
    return [(a, b) for a, b in pairs if {type(a), type(b)} == {str} and {a, b} <= known and a != b]
