"""Which library computes the network: PyTorch, or on a CPU ONNX Runtime or OpenVINO, faster.

The exported graph is made once a model, in seconds, and kept in a folder of the user's (`cache_folder`).
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
from associative_embedding.model_files.export import OPSET, Format, export_model
from associative_embedding.model_files.exported_network import SUFFIXES, ExportedNetwork, is_exported, load_exported
from associative_embedding.networks.network import Network

NEEDS: dict[Format, tuple[str, ...]] = {"onnx": ("onnxruntime", "onnx"), "openvino": ("openvino",)}  # the fastest first
KEPT_BYTES = 2 * 2**30  # of graphs in the cache; a large hourglass has half a gigabyte


def load_network(path: Path, device: torch.device, runtime: Runtime) -> tuple[Network | ExportedNetwork, ModelInfo]:
    """The network of a model file, to be computed by a runtime.

    Args:
        path: a model file; one that ``ae export`` wrote has its runtime already.
        runtime: "auto" = on a CPU the first of ONNX Runtime and OpenVINO that is installed, else PyTorch; the variable
            ``AE_RUNTIME`` says what auto means.

    Raises:
        ValueError: for a file that cannot be read, a runtime that is not installed, does not know the device, or
            cannot compute the model.
    """
    if is_exported(path):
        if runtime not in ("auto", SUFFIXES[path.suffix.lower()]):
            raise ValueError(f"{path}: was exported for {SUFFIXES[path.suffix.lower()]}, not for {runtime}")
        return load_exported(path, device)
    chosen = chosen_runtime(runtime, device)
    if chosen == "torch":
        return load_model(path, device)
    try:
        return load_exported(cached_graph(path, chosen), device)
    except (ValueError, OSError, RuntimeError):
        if runtime != "auto":
            raise
        return load_model(path, device)  # which also says what is wrong, if it is the file


def chosen_runtime(runtime: Runtime, device: torch.device) -> Literal["torch", "onnx", "openvino"]:
    """
    Raises:
        ValueError: for one that is not known or does not know the device.
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
    return next((kind for kind, modules in NEEDS.items() if all(map(importlib.util.find_spec, modules))), "torch")


def cached_graph(path: Path, kind: Format) -> Path:
    """The exported graph of a model file, made if it is not there yet.

    Raises:
        ValueError: see `export_model`.
        OSError: when the cache cannot be written.
    """
    suffix = next(ending for ending, name in SUFFIXES.items() if name == kind)
    digest = hashlib.sha256(path.read_bytes() + f"{__version__} {OPSET}".encode()).hexdigest()
    target = cache_folder() / f"{digest}{suffix}"
    if not target.is_file():
        export_model(path, str(target), kind)
        forget(target.parent, suffix)
    os.utime(target)
    return target


def cache_folder() -> Path:
    """``AE_CACHE``, or ``associative-embedding`` in the user's folder for such things."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("AE_CACHE") or Path(base) / "associative-embedding")


def forget(folder: Path, suffix: str) -> None:
    """Remove what was not used for longest, beyond `KEPT_BYTES`; the graph used last stays, however large."""
    graphs = sorted(folder.glob(f"*{suffix}"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for number, graph in enumerate(graphs):
        files = list(folder.glob(f"{graph.stem}.*"))
        total += sum(file.stat().st_size for file in files)
        for file in files if number and total > KEPT_BYTES else ():
            file.unlink(missing_ok=True)
