"""Keeps exported graphs in a folder of the user: making one takes seconds, reading it a fraction of one.

A graph is used only if nobody else can have changed it, and its digest is the one in the record beside it. A damaged,
exchanged or foreign one is made anew. Files: ``KEY.onnx``, or ``KEY.xml`` and ``KEY.bin``; and the record ``KEY.json``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from associative_embedding import __version__
from associative_embedding.io.console import remark
from associative_embedding.io.files import atomic_write
from associative_embedding.io.lock_files import locked_in_turn
from associative_embedding.io.private_files import private_folder, read_private
from associative_embedding.io.temporary_files import PRIVATE
from associative_embedding.model_files.exported_network import GRAPHS, OPSET, Format

KEPT_BYTES = 2 * 2**30  # of all graphs; a large hourglass has half a gigabyte
KEPT_SECONDS = 90 * 24 * 3600  # after the last use of a graph
PATIENCE = 300  # seconds to wait for another process that makes a graph
LOCK = "graphs.lock"
SUFFIXES: dict[Format, tuple[str, ...]] = {"onnx": (".onnx",), "openvino": (".xml", ".bin")}  # the opened one first
OWN_NAME = re.compile(r"([0-9a-f]{64})\.(onnx|xml|bin|json)")


class CacheError(OSError):
    """The folder of the cache, or of temporary files, cannot be used."""


class Graph(NamedTuple):
    """An exported network.

    Attributes:
        path: the file that a runtime opens. It is missing if the cache could not be written.
        files: what its files contain, by suffix.
    """

    path: Path
    files: dict[str, bytes]


def cached_graph(model: Path, form: Format) -> Graph:
    """Returns the graph of a model file, and makes it if the cache does not have it.

    If it cannot be written, one line states it, and the next start makes it again.

    Raises:
        CacheError: for a folder that cannot be made, or that other users own or can write; see `make_graph`.
        ValueError: see `load_model` and `exported_files`.
    """
    folder, made_from = cache_folder(), origin(model, form)
    key = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()
    path = folder / f"{key}{SUFFIXES[form][0]}"
    try:
        private_folder(folder, tighten=not os.environ.get("AE_CACHE"))
    except OSError as error:
        raise CacheError(f"{error}; AE_CACHE sets another folder") from None
    files = read_graph(path, made_from)
    if files is None:
        with locked_in_turn(folder / LOCK, PATIENCE):
            # Another process may have made it meanwhile.
            files = read_graph(path, made_from) or make_graph(path, model, made_from)
    with suppress(OSError):
        os.utime(path)  # the time of the last use, for `remove_unused`
    return Graph(path, files)


def origin(model: Path, form: Format) -> dict[str, Any]:
    """Returns all that a graph depends on; the content of the model file counts, not its name."""
    try:
        exporter = version(form)
    except PackageNotFoundError:  # some systems install packages without their description
        exporter = "unknown"
    return {
        "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "package": __version__,
        "format": form,
        "opset": OPSET,
        "graphs": GRAPHS,
        "exporters": {"torch": version("torch"), form: exporter},
    }


def read_graph(path: Path, made_from: Mapping[str, Any]) -> dict[str, bytes] | None:
    """Returns the files of a graph by suffix; None if one is missing, damaged, exchanged or not the user's own."""
    try:
        known = json.loads(read_private(path.with_suffix(".json")))
        files = {suffix: read_private(path.with_suffix(suffix)) for suffix in SUFFIXES[made_from["format"]]}
    except (OSError, ValueError, RecursionError):
        return None
    return files if known == record(files, made_from) else None


def record(files: Mapping[str, bytes], made_from: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the record of a graph contains."""
    return {
        "written_by": "associative-embedding",
        "made_from": dict(made_from),
        "sha256": {suffix: hashlib.sha256(data).hexdigest() for suffix, data in files.items()},
    }


def make_graph(path: Path, model: Path, made_from: Mapping[str, Any]) -> dict[str, bytes]:
    """Makes a graph, writes its files to the cache, and returns them by suffix.

    Raises:
        CacheError: when even a temporary file cannot be written.
    """
    # They import torch, which a graph that is there does not need.
    from associative_embedding.model_files.checkpoint import load_model
    from associative_embedding.model_files.export import exported_files

    network, info = load_model(model)
    try:
        files = exported_files(network, info, made_from["format"])
    except OSError as error:
        raise CacheError(str(error)) from None
    try:
        for suffix, data in files.items():
            replace_file(path.with_suffix(suffix), data)
        # The record comes last: without it the other files are nothing.
        replace_file(path.with_suffix(".json"), json.dumps(record(files, made_from)).encode() + b"\n")
    except OSError as error:
        for suffix in files:
            path.with_suffix(suffix).unlink(missing_ok=True)
        remark(f"{error}: the graph of {model.name} is not kept, and is made again at the next start")
        return files
    with suppress(OSError):  # another process may remove the same files
        remove_unused(path.parent, path.stem)
    return files


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file that only this user can read, and replaces what has its name, also a link.

    Raises:
        OSError: see `atomic_write`.
    """
    if path.is_symlink():  # `atomic_write` would follow it
        path.unlink()
    atomic_write(path, data, permissions=PRIVATE)


def cache_folder() -> Path:
    """Returns ``$AE_CACHE``, or ``associative-embedding`` in the user's cache folder (``$XDG_CACHE_HOME``)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("AE_CACHE") or Path(base) / "associative-embedding")


def remove_unused(folder: Path, used: str) -> None:
    """Removes the graphs that were not used for `KEPT_SECONDS`, and the longest unused beyond `KEPT_BYTES`.

    Args:
        folder: of the cache. Files with other names than `OWN_NAME` stay.
        used: the key of a graph that stays.
    """
    graphs: dict[str, list[tuple[float, int, Path]]] = {}
    for path in folder.iterdir():
        if name := OWN_NAME.fullmatch(path.name):
            about = path.lstat()
            graphs.setdefault(name[1], []).append((about.st_mtime, about.st_size, path))
    last_use = {key: max(time for time, _, _ in files) for key, files in graphs.items()}
    total = 0
    for key in sorted(graphs, key=lambda key: (key == used, last_use[key]), reverse=True):
        total += sum(size for _, size, _ in graphs[key])
        if key != used and (total > KEPT_BYTES or time.time() - last_use[key] > KEPT_SECONDS):
            for _, _, path in graphs[key]:
                path.unlink(missing_ok=True)
