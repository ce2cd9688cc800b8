"""Chooses what runs a network: PyTorch, or on a CPU the faster ONNX Runtime or OpenVINO.

The other two need an exported graph. It is made once per model, in seconds, and kept by `graph_cache`.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from associative_embedding.io.console import remark
from associative_embedding.io.optional_packages import Runtime
from associative_embedding.model_files.exported_network import (
    FORMATS,
    ExportedNetwork,
    Format,
    is_exported,
    load_exported,
)
from associative_embedding.model_files.graph_cache import CacheError, cached_graph
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.networks.device import CPU

if TYPE_CHECKING:
    from associative_embedding.networks.network import Network

NEEDS: dict[Format, tuple[str, ...]] = {"onnx": ("onnxruntime", "onnx"), "openvino": ("openvino",)}  # the fastest first


def load_network(path: Path, device: str, runtime: Runtime) -> tuple[Network | ExportedNetwork, ModelInfo]:
    """Returns the network of a file, run by a runtime, and the description of its model.

    Args:
        path: a model file; or a file that ``ae export`` wrote, which already belongs to a runtime.
        device: where the network runs, see `choose_device`.
        runtime: "auto" = the environment variable ``AE_RUNTIME``; without it, on a CPU the first of ONNX Runtime and
            OpenVINO that is installed and can run the model, else PyTorch.

    Raises:
        ValueError: for a file that cannot be read, or a runtime that is not installed, does not support the device, or
            cannot run the model.
        OSError: when a runtime other than "auto" is chosen and the cache of its graph cannot be used.
    """
    if is_exported(path):
        if runtime not in ("auto", FORMATS[path.suffix.lower()]):
            raise ValueError(f"{path}: was exported for {FORMATS[path.suffix.lower()]}, not for {runtime}")
        return load_exported(path, device)
    chosen = chosen_runtime(runtime, device)
    if chosen == "torch":
        return load_by_torch(path, device)
    try:
        graph = cached_graph(path, chosen)
        return load_exported(graph.path, device, graph.files)
    except (ValueError, OSError, RuntimeError) as error:
        if runtime != "auto":
            raise
        if isinstance(error, CacheError):
            remark(f"{error}; PyTorch runs the network in place of {chosen}")
        # PyTorch runs every model. If the file itself is damaged, this raises the error about it.
        return load_by_torch(path, device)


def load_by_torch(path: Path, device: str) -> tuple[Network, ModelInfo]:
    """Returns what `load_model` does; torch is imported here, and takes longer than an image."""
    from associative_embedding.model_files.checkpoint import load_model

    return load_model(path, device)


def chosen_runtime(runtime: Runtime, device: str) -> Literal["torch", "onnx", "openvino"]:
    """Returns the runtime to use; see `load_network`.

    Raises:
        ValueError: for an unknown runtime, or one that does not support the device.
    """
    wanted = os.environ.get("AE_RUNTIME", "auto") if runtime == "auto" else runtime
    if wanted not in ("auto", "torch", *NEEDS):
        raise ValueError(f"runtime {wanted!r} is none of auto, torch, {', '.join(NEEDS)}")
    if wanted == "torch" or (wanted == "auto" and device != CPU):
        return "torch"
    if wanted != "auto":
        if device != CPU:
            raise ValueError(f"--runtime {wanted} is for the CPU here; on {device} use torch, or export the model")
        return wanted  # type: ignore[return-value]
    return next((form for form, modules in NEEDS.items() if all(map(importlib.util.find_spec, modules))), "torch")
