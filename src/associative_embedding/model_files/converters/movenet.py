"""Weights of Google's MoveNet Lightning, MultiPose and Thunder (Apache-2.0), read from TensorFlow.js graph models.

Each graph is a MobileNetV2 of some width with a feature pyramid to stride 4 and four to six heads, one of which is a
17-channel keypoint heatmap; that part loads exactly into a `PyramidNetwork` over `MobileNetV2`. The importer is needed
to train, never to predict.
"""

from __future__ import annotations

import fnmatch
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from associative_embedding.structures.arrays import Array

DTYPES = {"float32": np.float32, "float16": np.float16, "int32": np.int32, "uint8": np.uint8}
ENCODER = "model_1/model/"
# our module <- the graph's layer, for everything outside of the encoder; the heads are numbered by how many there are
LAYERS = {
    "heatmap_pyramid.top": "model_1/conv2d",
    "heatmap_pyramid.lateral.2": "model_1/conv2d_1",
    "heatmap_pyramid.lateral.1": "model_1/conv2d_2",
    "heatmap_pyramid.lateral.0": "model_1/conv2d_3",
    "heatmap_pyramid.smooth.2": "model_1/separable_conv2d",
    "heatmap_pyramid.smooth.1": "model_1/separable_conv2d_1",
    "heatmap_pyramid.smooth.0": "model_1/separable_conv2d_2",
    "heatmap_head.0": "kpt_heatmap_0/separable_conv2d_*",
    "heatmap_head.1": "kpt_heatmap_0/conv2d_*",
}


def read_tfjs(path: str | Path) -> dict[str, Array]:
    """The weights of a TensorFlow.js graph model, by node name, as float32 or integers.

    Raises:
        ValueError: when it is not such a model or its binary shards are missing or of another length.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        weights: dict[str, Array] = {}
        for group in document["weightsManifest"]:
            weights |= read_group(path, group["paths"], group["weights"])
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, AttributeError, KeyError, TypeError):
        raise ValueError(f"{path}: not a TensorFlow.js graph model (no whole weightsManifest)") from None
    return weights


def read_group(path: Path, shards: list[str], entries: list[dict[str, Any]]) -> dict[str, Array]:
    """The weights that follow each other in some binary files beside the model's json."""
    files = [path.parent / Path(shard).name for shard in shards]
    if missing := [str(file) for file in files if not file.is_file()]:
        raise ValueError(f"{path}: its weights {', '.join(missing)} are missing; put them beside it")
    data = b"".join(file.read_bytes() for file in files)
    weights: dict[str, Array] = {}
    offset = 0
    for entry in entries:
        name, shape, dtype = entry["name"], entry["shape"], entry["dtype"]
        stored = entry.get("quantization", {}).get("dtype", dtype)
        if not {stored, dtype} <= DTYPES.keys() or "scale" in entry.get("quantization", {}):
            raise ValueError(f"{path}: weight {name} is stored as {stored}, which is not supported")
        count = math.prod(shape)
        size = count * np.dtype(DTYPES[stored]).itemsize
        if offset + size > len(data):
            raise ValueError(f"{path}: its weights are truncated at {name}")
        weights[name] = np.frombuffer(data, DTYPES[stored], count, offset).astype(DTYPES[dtype]).reshape(shape)
        offset += size
    if offset != len(data):
        raise ValueError(f"{path}: {len(data) - offset} bytes of weights are left over")
    return weights


def movenet_state(path: str | Path) -> dict[str, Tensor]:
    """MoveNet's encoder, pyramid and keypoint heatmap head as a state dict of `PyramidNetwork` (no tag weights).

    Raises:
        ValueError: when a weight is missing, with its name.
    """
    weights = read_tfjs(path)

    def find(ending: str) -> Array:
        names = fnmatch.filter(weights, f"*/{ending}")
        if len(names) != 1:
            raise ValueError(f"{path}: {len(names)} weights end in {ending}; is this a MoveNet?")
        return weights[names[0]]

    state: dict[str, Any] = {}
    for ours, theirs in encoder_layers().items():
        kind = "depthwise" if theirs.endswith("depthwise") else "Conv2D"
        folded = f"{ENCODER}{theirs}/{kind}"  # batch norm is folded into the convolution
        state[f"encoder.{ours}.weight"] = kernel(find(f"{folded}_weights"), depthwise=kind == "depthwise")
        state[f"encoder.{ours}.bias"] = find(f"{folded}_bn_offset")
    for ours, theirs in LAYERS.items():
        if "separable" in theirs:
            inner = f"{theirs}/separable_conv2d"
            pyramid = ours.startswith("heatmap_pyramid")  # batch norm is folded in, under other names
            state[f"{ours}.0.weight"], state[f"{ours}.1.weight"] = balanced(
                kernel(find(f"{inner}/ReadVariableOp"), depthwise=True),
                kernel(find(f"{inner}_weights" if pyramid else f"{inner}/ReadVariableOp_1")),
            )
            state[f"{ours}.1.bias"] = find(f"{inner}_bn_offset" if pyramid else f"{theirs}/BiasAdd/ReadVariableOp")
        else:
            state[f"{ours}.weight"] = kernel(find(f"{theirs}/Conv2D/ReadVariableOp"))
            state[f"{ours}.bias"] = find(f"{theirs}/BiasAdd/ReadVariableOp")
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}


def encoder_layers() -> dict[str, str]:
    """Our convolution in `MobileNetV2` -> the graph's layer."""
    layers = {"stem.0": "Conv1", "last.0": "Conv_1"}
    for block in range(17):
        name = f"block_{block}" if block else "expanded_conv"
        layers[f"blocks.{block}.depthwise.0"] = f"{name}_depthwise"
        layers[f"blocks.{block}.project"] = f"{name}_project"
        if block:
            layers[f"blocks.{block}.expand.0"] = f"{name}_expand"
    return layers


def balanced(depthwise: Array, pointwise: Array) -> tuple[Array, Array]:
    """The two convolutions of a separable one, computing the same, with equally large weights in every channel.

    Between them is nothing but a channel's scale, which is arbitrary. The published pointwise weights, which took in
    the batch norm, are a thousandth of their depthwise ones: steps of Adam, which are as large for every weight, would
    wipe them out (docs/training-notes.md).

    Args:
        depthwise: ``(C, 1, h, w)``.
        pointwise: ``(out, C, 1, 1)``.
    """
    size_in, size_out = (
        np.sqrt(np.square(w).mean(axis=a)) for w, a in ((depthwise, (1, 2, 3)), (pointwise, (0, 2, 3)))
    )
    both = (size_in > 0) & (size_out > 0)
    scale = np.where(both, np.sqrt(size_out / np.where(both, size_in, 1)), 1).astype(np.float32)
    return depthwise * scale[:, None, None, None], pointwise / scale[:, None, None]


def kernel(weight: Array, *, depthwise: bool = False) -> Array:
    """TensorFlow's (height, width, in, out) -> PyTorch's (out, in, height, width).

    Depthwise: (height, width, channels, 1) -> (channels, 1, height, width).
    """
    return weight.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
