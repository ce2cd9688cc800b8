"""Summarises a model for people and programs: its file, its network, its input and its settings (``ae info``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from associative_embedding.model_files.exported_network import is_exported
from associative_embedding.model_files.find import WEIGHTS, model_path
from associative_embedding.model_files.runtime import load_network
from associative_embedding.networks.device import CPU
from associative_embedding.networks.network import Network
from associative_embedding.tasks.task import Task

MEGABYTE = 1e6
WIDE = 14  # characters of the first column
LONGEST = 2000  # characters of a line; the notes in a file may have any length


def model_summary(model: str | Path) -> dict[str, Any]:
    """Returns everything known about a model, as values for json.

    Args:
        model: see `find.model_path`.

    Returns:
        ``model``: the name that was given. ``file``: its path, ``bytes``: its size, ``sha256``: its digest (of the
        .xml for OpenVINO, which has two files). ``card``: the path of a shipped model's card, else None. ``finds``:
        what it finds, in words. ``parameters``: of the network; None for an exported one. And the fields of
        `ModelInfo`, with the settings of the task.

    Raises:
        ValueError: for a model that cannot be found or read. The whole file is read, so damage is noticed.
    """
    path = model_path(model)
    # PyTorch for a model file: its parameters are counted, and no graph has to be exported.
    network, info = load_network(path, CPU, "auto" if is_exported(path) else "torch")
    card = path.with_suffix(".md")
    description = json.loads(info.to_json())
    del description["format"]
    return {
        "model": str(model),
        "file": str(path),
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "card": str(card) if path.parent == WEIGHTS and card.is_file() else None,
        "finds": categories_text(info.task),
        "parameters": sum(p.numel() for p in network.parameters()) if isinstance(network, Network) else None,
        **description,
    }


def categories_text(task: Task) -> str:
    """Returns what the models of a task find, for people: ``person, 17 keypoints``."""
    names = ", ".join(category["name"] for category in task.categories)
    return f"{names}, masks" if task.finds_masks else f"{names}, {task.channels} keypoints"


def summary_line(summary: Mapping[str, Any]) -> str:
    """Returns a model's summary in one line."""
    second = f", refined by {summary['refine']}" if summary["refine"] else ""
    columns = f"{summary['model']:<{WIDE}} {summary['task']:<{WIDE}}"
    return printable(f"{columns} {summary['finds']}{second} ({summary['bytes'] / MEGABYTE:.1f} MB)")


def summary_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yields a model's summary in lines, each with a name in front; a line without a value is left out."""
    for name, text in summary_rows(summary):
        if text:
            yield printable(f"{name:<{WIDE}} {text}")


def summary_rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields name and value of every line; an empty value if the model has none."""
    yield "model", f"{summary['model']}: {summary['task']}"
    yield "file", f"{summary['file']} ({summary['bytes'] / MEGABYTE:.1f} MB)"
    yield "SHA-256", summary["sha256"]
    yield "card", summary["card"] or ""
    yield "finds", summary["finds"]
    yield "keypoints", ", ".join(summary.get("skeleton", {}).get("keypoints", ()))
    count = f", {summary['parameters'] / 1e6:.1f} million parameters" if summary["parameters"] else ", exported"
    tags = f"tags of {summary['tag_size']} dimensions" if summary["tag_size"] else "no tags"
    yield "network", f"{summary['backbone']}{count}, {tags}"
    yield "options", settings_text(summary["options"])
    scales = " ".join(f"{scale:g}" for scale in summary["scales"])
    below = summary.get("fine_below")
    rule = f"; all of them only where somebody has less than {below} px at the smallest, or nobody is found"
    yield "input", f"{summary['input_size']} px on the {summary['resize']} side, times {scales}{rule if below else ''}"
    yield "tags of", " ".join(f"{scale:g}" for scale in summary.get("tag_scales") or ())
    yield "values", summary.get("normalize", "")
    yield "zoom", f"{summary['zoom']} input pixels per image pixel, in tiles" if summary["zoom"] else ""
    side = summary.get("refine_size")
    yield "refined by", f"{summary['refine']}, crops {side} px long" if side else summary["refine"]
    calibrated = " and ".join(f"with {name}" if name != "none" else "unrefined" for name in summary["calibration"])
    yield "scores", f"the share that is right (ae calibrate), {calibrated}" if calibrated else "raw"
    for name in ("conventions", "decode", "link", "notes"):
        yield name, settings_text(summary.get(name, {}))


def settings_text(values: Mapping[str, Any]) -> str:
    """Returns settings as ``name value, name value``."""
    return ", ".join(f"{name} {value}" for name, value in values.items())


def printable(text: str) -> str:
    """Returns a line without control characters: a model file may contain any text, also commands for a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text[:LONGEST])
