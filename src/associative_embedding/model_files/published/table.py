"""The table of published models, ``models.json``: what each is, where it comes from, how its file is recognised."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("models.json")
DIGEST = 64  # hexadecimal digits of a whole SHA-256


@dataclass(frozen=True)
class PublishedModel:
    """A checkpoint that a project published.

    Attributes:
        name: the name of the model here.
        aliases: other names; upper and lower case, and "-" and "_", are the same.
        project: a key of `published_pose_models.PROJECTS`, and of `projects`.
        dataset: that it was trained on, a key of `datasets`.
        keypoints: K, number of keypoint types.
        skeleton: a key of `known_skeletons.SKELETONS`.
        input_size: pixels, see `ModelInfo`.
        udp: whether it was trained with unbiased coordinates.
        parameters: number of weights.
        ap: published AP at one scale with the mirror image, and `ap_multi_scale` at several; None = not published.
        urls: addresses of the file, the first is tried first; empty = a person must download it.
        file: name of the file in the cache.
        sha256: 64 hexadecimal digits, or the first ones, as the project published them; "" = none are known.
        bytes: size of the file, about if not `bytes_exact`.
        place: where a person finds the file, if it has no address.
        status: what is known of the file.
    """

    name: str
    aliases: tuple[str, ...]
    project: str
    dataset: str
    keypoints: int
    skeleton: str
    input_size: int
    udp: bool
    parameters: int
    ap: float | None
    ap_multi_scale: float | None
    urls: tuple[str, ...]
    file: str
    sha256: str
    bytes: int
    bytes_exact: bool
    place: str
    status: str


@cache
def read_table() -> dict[str, Any]:
    """Returns the content of the table: ``projects`` and ``datasets`` with their terms, and ``models``."""
    return json.loads(TABLE.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


@cache
def published_models() -> tuple[PublishedModel, ...]:
    """Returns all published models, in the order of the table."""
    rows = read_table()["models"]
    return tuple(
        PublishedModel(**{**row, "aliases": tuple(row["aliases"]), "urls": tuple(row["urls"])}) for row in rows
    )


def find_published(name: str) -> PublishedModel | None:
    """Returns the published model of a name or an alias, None if there is none."""
    wanted = plain(name)
    for model in published_models():
        if wanted in map(plain, (model.name, *model.aliases)):
            return model
    return None


def plain(name: str) -> str:
    """Returns a name in the form in which names are compared."""
    return name.lower().replace("_", "-")


def terms(model: PublishedModel) -> Mapping[str, str]:
    """Returns the title, address, licence and terms of a model's project, and of its data set (``data``)."""
    table = read_table()
    return {**table["projects"][model.project], "data": table["datasets"][model.dataset]}


def summary(model: PublishedModel) -> dict[str, Any]:
    """Returns what ``ae info --published --json`` writes of a model."""
    return {**model.__dict__, "aliases": list(model.aliases), "urls": list(model.urls), "terms": dict(terms(model))}


def table_lines() -> Iterator[str]:
    """Yields the table of all published models in lines for people, and the terms of their projects below it."""
    head = ("name", "data", "keypoints", "input", "parameters", "AP", "download", "licence")
    rows = [head, *map(row, published_models())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
    yield ""
    yield "AP: as published, at one scale with the mirror image. by hand: no address is known; ae names the place."
    for project in read_table()["projects"].values():
        yield f"{project['title']}, {project['address']}: {project['licence']}. {project['terms']}"
    for name, text in read_table()["datasets"].items():
        yield f"data {name}: {text}"


def row(model: PublishedModel) -> tuple[str, ...]:
    """Returns the cells of one model in `table_lines`."""
    return (
        model.name,
        model.dataset,
        str(model.keypoints),
        f"{model.input_size} px{' udp' if model.udp else ''}",
        f"{model.parameters / 1e6:.1f} M",
        "-" if model.ap is None else f"{100 * model.ap:.1f}",
        f"{model.bytes / 1e6:.0f} MB" if model.urls else "by hand",
        terms(model)["licence"],
    )
