"""What a model is: its file, its network, how it looks at images and what it finds (``ae info``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from associative_embedding.model_files.exported_network import is_exported
from associative_embedding.model_files.find import WEIGHTS, model_path
from associative_embedding.model_files.runtime import load_network
from associative_embedding.networks.network import Network
from associative_embedding.tasks.task import Task

MEGABYTE = 1e6
WIDE = 14  # of the names in front of lines
LONGEST = 2000  # characters of a line


def describe(model: str | Path) -> dict[str, Any]:
    """All that a model file says of itself, and what can be told of it from outside; can be written as json.

    Args:
        model: as of `loading.load`.

    Returns:
        ``model``; ``file``, its size in ``bytes`` and its ``sha256`` (of OpenVINO's two files: the .xml); ``card``, the
        path of the text about a shipped one, else None; ``finds``, in words; ``parameters`` of the network, None of an
        exported one; and every attribute of `checkpoint.ModelInfo`, with the settings of its task.

    Raises:
        ValueError: as `loading.load`; a file is read in full, so that one that is damaged is noticed.
    """
    path = model_path(model)
    network, info = load_network(path, torch.device("cpu"), "auto" if is_exported(path) else "torch")
    card = path.with_suffix(".md")
    told = json.loads(info.to_json())
    del told["format"]
    return {
        "model": str(model),
        "file": str(path),
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "card": str(card) if path.parent == WEIGHTS and card.is_file() else None,
        "finds": finds(info.task),
        "parameters": sum(p.numel() for p in network.parameters()) if isinstance(network, Network) else None,
        **told,
    }


def finds(task: Task) -> str:
    """What a model of this task finds, for people: ``person, 17 keypoints``."""
    names = ", ".join(category["name"] for category in task.categories)
    return f"{names}, masks" if task.finds_masks else f"{names}, {task.channels} keypoints"


def overview(description: Mapping[str, Any]) -> str:
    """A model in one line, without control characters: a file can hold any text."""
    second = f", looked at again by {description['refine']}" if description["refine"] else ""
    start = f"{description['model']:<{WIDE}} {description['task']:<{WIDE}}"
    return printable(f"{start} {description['finds']}{second} ({description['bytes'] / MEGABYTE:.1f} MB)")


def details(description: Mapping[str, Any]) -> Iterator[str]:
    """A model in some lines, each with a name in front, without control characters."""
    for name, text in rows(description):
        if text:
            yield printable(f"{name:<{WIDE}} {text}")


def rows(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "model", f"{told['model']}: {told['task']}"
    yield "file", f"{told['file']} ({told['bytes'] / MEGABYTE:.1f} MB)"
    yield "SHA-256", told["sha256"]
    yield "card", told["card"] or ""
    yield "finds", told["finds"]
    yield "keypoints", ", ".join(told.get("skeleton", {}).get("keypoints", ()))
    count = f", {told['parameters'] / 1e6:.1f} million parameters" if told["parameters"] else ", exported"
    tags = f"tags of {told['tag_size']} dimensions" if told["tag_size"] else "no tags"
    yield "network", f"{told['backbone']}{count}, {tags}"
    yield "options", settings(told["options"])
    scales = " ".join(f"{scale:g}" for scale in told["scales"])
    yield "input", f"{told['input_size']} px on the {told['resize']} side, times {scales}"
    yield "zoom", f"{told['zoom']} input pixels an image pixel, in tiles" if told["zoom"] else ""
    yield "second look", told["refine"]
    for name in ("decode", "link", "notes"):
        yield name, settings(told.get(name, {}))


def settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:LONGEST])
