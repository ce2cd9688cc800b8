"""Chooses what runs a network: PyTorch, or on a CPU the faster ONNX Runtime or OpenVINO.

The other two need an exported graph. It is made once per model, in seconds, and kept in `cache_folder`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path
from typing import Literal

import torch

from associative_embedding import __version__
from associative_embedding.io.optional_packages import Runtime
from associative_embedding.model_files.checkpoint import ModelInfo, load_model
from associative_embedding.model_files.export import OPSET, export_model
from associative_embedding.model_files.exported_network import (
    FORMATS,
    SUFFIX,
    ExportedNetwork,
    Format,
    is_exported,
    load_exported,
)
from associative_embedding.networks.network import Network

NEEDS: dict[Format, tuple[str, ...]] = {"onnx": ("onnxruntime", "onnx"), "openvino": ("openvino",)}  # the fastest first
KEPT_BYTES = 2 * 2**30  # of graphs in the cache; a large hourglass has half a gigabyte


def load_network(path: Path, device: torch.device, runtime: Runtime) -> tuple[Network | ExportedNetwork, ModelInfo]:
    """Returns the network of a file, run by a runtime, and the description of its model.

    Args:
        path: a model file; or a file that ``ae export`` wrote, which already belongs to a runtime.
        device: where the network runs.
        runtime: "auto" = the environment variable ``AE_RUNTIME``; without it, on a CPU the first of ONNX Runtime and
            OpenVINO that is installed and can run the model, else PyTorch.

    Raises:
        ValueError: for a file that cannot be read, or a runtime that is not installed, does not support the device, or
            cannot run the model.
        OSError: when a runtime other than "auto" is chosen and its graph cannot be written to the cache.
    """
    if is_exported(path):
        if runtime not in ("auto", FORMATS[path.suffix.lower()]):
            raise ValueError(f"{path}: was exported for {FORMATS[path.suffix.lower()]}, not for {runtime}")
        return load_exported(path, device)
    chosen = chosen_runtime(runtime, device)
    if chosen == "torch":
        return load_model(path, device)
    try:
        return load_exported(cached_graph(path, chosen), device)
    except (ValueError, OSError, RuntimeError):
        if runtime != "auto":
            raise
        # PyTorch runs every model. If the file itself is damaged, this raises the error about it.
        return load_model(path, device)


def chosen_runtime(runtime: Runtime, device: torch.device) -> Literal["torch", "onnx", "openvino"]:
    """Returns the runtime to use; see `load_network`.

    Raises:
        ValueError: for an unknown runtime, or one that does not support the device.
    """
    wanted = os.environ.get("AE_RUNTIME", "auto") if runtime == "auto" else runtime
    if wanted not in ("auto", "torch", *NEEDS):
        raise ValueError(f"runtime {wanted!r} is none of auto, torch, {', '.join(NEEDS)}")
    if wanted == "torch" or (wanted == "auto" and device.type != "cpu"):
        return "torch"
    if wanted != "auto":
        if device.type != "cpu":
            raise ValueError(f"--runtime {wanted} is for the CPU here; on {device} use torch, or export the model")
        return wanted  # type: ignore[return-value]
    return next((form for form, modules in NEEDS.items() if all(map(importlib.util.find_spec, modules))), "torch")


def cached_graph(path: Path, form: Format) -> Path:
    """Returns the exported graph of a model file, and makes it first if the cache does not have it.

    Raises:
        ValueError: see `export_model`.
        OSError: when the cache cannot be written.
    """
    suffix = SUFFIX[form]
    # The content is the key, not the path: other weights under an old name must not get the old graph.
    digest = hashlib.sha256(path.read_bytes() + f"{__version__} {OPSET}".encode()).hexdigest()
    target = cache_folder() / f"{digest}{suffix}"
    if not target.is_file():
        export_model(path, str(target), form)
        remove_unused(target.parent, suffix)
    os.utime(target)  # the time of the last use, for `remove_unused`
    return target


def cache_folder() -> Path:
    """Returns ``$AE_CACHE``, or ``associative-embedding`` in the user's cache folder (``$XDG_CACHE_HOME``)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("AE_CACHE") or Path(base) / "associative-embedding")


def remove_unused(folder: Path, suffix: str) -> None:
    """Removes the graphs whose last use is longest ago, beyond `KEPT_BYTES`. The graph used last always stays."""
    graphs = sorted(folder.glob(f"*{suffix}"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for number, graph in enumerate(graphs):
        files = list(folder.glob(f"{graph.stem}.*"))  # with its .bin and .json
        total += sum(file.stat().st_size for file in files)
        for file in files if number and total > KEPT_BYTES else ():
            file.unlink(missing_ok=True)
