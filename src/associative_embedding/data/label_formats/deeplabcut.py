"""DeepLabCut's labels: ``labeled-data/<video>/CollectedData_<scorer>.csv``.

They are set in napari, where a pixel's centre has whole coordinates (napari.org, "Layers and coordinates"), so half a
pixel is added here.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from associative_embedding.data.label_formats.labels import Picture, Point, Thing, to_coco
from associative_embedding.data.label_formats.reading import finite, image_size, read_text
from associative_embedding.structures.skeleton import Skeleton

HALF = 0.5
CATEGORY = "animal"
MAX_CONFIG = 2**20
HEADS = ("scorer", "individuals", "bodyparts", "coords")


@dataclass(frozen=True)
class Column:
    """Where the coordinates of a body part are: its individual, its name, x or y, and the column."""

    individual: str
    part: str
    axis: str
    index: int


def read_deeplabcut(path: str | Path, images: str | Path | None = None) -> dict[str, Any]:
    """Labels of one or several animals as a COCO dataset; a ``file_name`` is relative to the project's folder.

    The category is ``animal``; parts of the individual ``single`` are a category of their own. The edges are those of
    the project's ``config.yaml``. What has no coordinates is not labelled.

    Args:
        path: the ``.csv``, the folder of a video, or of the project: all its labels.
        images: takes the place of the project's folder, where sizes are read from the images that are there.

    Raises:
        ValueError: one line with the file and the line.
    """
    files = files_of(Path(path))
    found: list[Picture] = []
    for file in files:
        found += pictures_of(file, images)
    names = [picture.name for picture in found]
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: several files label the same images; give one of them")
    parts = list(dict.fromkeys(name for picture in found for name in picture.more["parts"]))
    skeletons = {CATEGORY: Skeleton.build(CATEGORY, parts, edges_of(files[0], parts))} if parts else {}
    plain = [Picture(picture.name, picture.size, picture.things) for picture in found]
    return to_coco(plain, skeletons, str(path))


def files_of(path: Path) -> list[Path]:
    if path.suffix in (".h5", ".hdf5"):
        raise ValueError(f"{path}: give the CollectedData_....csv, which DeepLabCut writes beside it")
    if not path.is_dir():
        return [path]
    found = sorted([*path.glob("CollectedData_*.csv"), *path.glob("labeled-data/*/CollectedData_*.csv")])
    if not found:
        raise ValueError(f"{path}: no CollectedData_....csv in it or in its labeled-data/*/")
    return found


def pictures_of(file: Path, images: str | Path | None) -> list[Picture]:
    try:
        rows = list(csv.reader(read_text(file).splitlines(), strict=True))
    except csv.Error as error:
        raise ValueError(f"{file}: not a csv file ({error})") from None
    columns, start, first = header(rows, str(file))
    parts = list(dict.fromkeys(column.part for column in columns if column.individual != "single"))
    pictures = []
    for number, row in enumerate(rows[start:], start=start + 1):
        if not any(row):
            continue
        name = "/".join(cell for cell in row[:first] if cell).replace("\\", "/")
        things = things_of(row, columns, f"{file}: line {number}")
        pictures.append(Picture(name, size_of(file, name, images), things, {"parts": parts}))
    return pictures


def header(rows: Sequence[Sequence[str]], where: str) -> tuple[list[Column], int, int]:
    """The columns, the number of rows before the data, and of columns before the coordinates."""
    heads = {row[0]: row for row in rows[:4] if row and row[0] in HEADS}
    if not {"scorer", "bodyparts", "coords"} <= set(heads) or any(
        len(r) != len(heads["scorer"]) for r in heads.values()
    ):
        raise ValueError(f"{where}: does not begin with the rows scorer, [individuals,] bodyparts and coords")
    axes, parts, individuals = heads["coords"], heads["bodyparts"], heads.get("individuals")
    first = next((i for i, cell in enumerate(axes) if i and cell), len(axes))
    if strange := sorted(set(axes[first:]) - {"x", "y"}):
        raise ValueError(f"{where}: has the column {strange[0]!r}; only labels are read (x, y), not predictions")
    columns = [Column(individuals[i] if individuals else "", parts[i], axes[i], i) for i in range(first, len(axes))]
    return columns, 4 if individuals else 3, first


def things_of(row: Sequence[str], columns: Sequence[Column], where: str) -> list[Thing]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for column in columns:
        text = row[column.index].strip() if column.index < len(row) else ""
        if text and text.lower() != "nan":
            value = finite(text, where, f"{column.axis} of {column.part}")
            found.setdefault(column.individual, {}).setdefault(column.part, {})[column.axis] = value + HALF
    return [
        Thing("single" if individual == "single" else CATEGORY, complete(parts))
        for individual, parts in found.items()
        if complete(parts)
    ]


def complete(parts: Mapping[str, Mapping[str, float]]) -> dict[str, Point]:
    return {name: (xy["x"], xy["y"], 2) for name, xy in parts.items() if len(xy) == 2}


def project_of(file: Path) -> Path:
    """``project/labeled-data/video/x.csv`` -> ``project``."""
    return Path(*file.resolve().parts[:-3])


def size_of(file: Path, name: str, images: str | Path | None) -> tuple[int, int] | None:
    path = (project_of(file) if images is None else Path(images)) / name
    return image_size(path) if path.is_file() else None


def edges_of(file: Path, parts: Sequence[str]) -> list[tuple[str, str]]:
    """The ``skeleton`` of the project's settings, as far as it names these parts."""
    config = project_of(file) / "config.yaml"
    if not config.is_file():
        return []
    try:
        data = yaml.safe_load(read_text(config, MAX_CONFIG))
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{config}: not a YAML file ({' '.join(str(error).split())[:120]})") from None
    edges = data.get("skeleton") if isinstance(data, dict) else None
    pairs = [edge for edge in edges if isinstance(edge, list) and len(edge) == 2] if isinstance(edges, list) else []
    return [(a, b) for a, b in pairs if a in parts and b in parts and a != b]
