"""Google's MoveNet Lightning, MultiPose and Thunder (Apache 2.0) -> weights of a `PyramidNetwork`, for training.

The files are TensorFlow.js graph models. Each graph is a MobileNetV2 of some width, a feature pyramid to stride 4, and
four to six heads, one of them a keypoint heatmap of 17 channels. Encoder, pyramid and this head fit exactly into a
`PyramidNetwork` over `MobileNetV2`.
"""

from __future__ import annotations

import fnmatch
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from associative_embedding.structures.arrays import Array

DTYPES = {"float32": np.float32, "float16": np.float16, "int32": np.int32, "uint8": np.uint8}
ENCODER = "model_1/model/"
# Our module <- the layer of the graph, for all modules but the encoder. The number at * differs between the models:
# it counts the heads.
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
    """Reads the weights of a TensorFlow.js graph model.

    Args:
        path: the ``.json`` file of the model; its binary shards lie in the same folder.

    Returns:
        name of the node -> float32 or integers.

    Raises:
        ValueError: when it is no graph model, or its shards are missing or of another length.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        weights: dict[str, Array] = {}
        shards = [Path(shard).name for group in document["weightsManifest"] for shard in group["paths"]]
        if len(set(shards)) < len(shards):  # a short list could repeat a large file any number of times
            raise ValueError(f"{path}: its weights name a file twice")
        for group in document["weightsManifest"]:
            weights |= read_group(path, group["paths"], group["weights"])
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, AttributeError, KeyError, TypeError):
        raise ValueError(f"{path}: not a TensorFlow.js graph model (no whole weightsManifest)") from None
    return weights


def read_group(path: Path, shards: list[str], entries: list[dict[str, Any]]) -> dict[str, Array]:
    """Reads the weights of one group: they follow each other without gaps in the joined shards.

    Args:
        path: the ``.json`` file of the model.
        shards: names of the binary files; folders in them are ignored.
        entries: name, shape and type of each weight.

    Raises:
        ValueError: when a shard is missing, the shards have another length, or a type is not supported.
    """
    files = [path.parent / Path(shard).name for shard in shards]
    if missing := [str(file) for file in files if not file.is_file()]:
        raise ValueError(f"{path}: its weights {', '.join(missing)} are missing; put them beside it")
    data = b"".join(file.read_bytes() for file in files)
    weights: dict[str, Array] = {}
    offset = 0
    for entry in entries:
        name, shape, dtype = entry["name"], entry["shape"], entry["dtype"]
        stored = entry.get("quantization", {}).get("dtype", dtype)
        # float16 for float32 needs only a conversion; a scale would be 8- or 16-bit quantization.
        if not {stored, dtype} <= DTYPES.keys() or "scale" in entry.get("quantization", {}):
            raise ValueError(f"{path}: weight {name} is stored as {stored}, which is not supported")
        if not all(type(side) is int and side >= 0 for side in shape):
            raise ValueError(f"{path}: weight {name} has the shape {shape!r:.60}")
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
    """Returns MoveNet's encoder, pyramid and keypoint heatmap head as a state dict of `PyramidNetwork`, without tags.

    Raises:
        ValueError: see `read_tfjs`; also when a weight is missing, with its name.
    """
    weights = read_tfjs(path)

    def find(ending: str) -> Array:
        names = fnmatch.filter(weights, f"*/{ending}")
        if len(names) != 1:
            raise ValueError(f"{path}: {len(names)} weights end in {ending}; is this a MoveNet?")
        return weights[names[0]]

    state = {**encoder_state(find), **head_state(find)}
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}


def encoder_state(find: Callable[[str], Array]) -> dict[str, Array]:
    """Returns the weights of `MobileNetV2`. The batch norms of the graph are folded into its convolutions.

    Args:
        find: the end of a weight's name -> its values.
    """
    state = {}
    for ours, theirs in encoder_layers().items():
        kind = "depthwise" if theirs.endswith("depthwise") else "Conv2D"
        folded = f"{ENCODER}{theirs}/{kind}"
        state[f"encoder.{ours}.weight"] = kernel(find(f"{folded}_weights"), depthwise=kind == "depthwise")
        state[f"encoder.{ours}.bias"] = find(f"{folded}_bn_offset")
    return state


def head_state(find: Callable[[str], Array]) -> dict[str, Array]:
    """Returns the weights of the pyramid and of the heatmap head; see `encoder_state`."""
    state = {}
    for ours, theirs in LAYERS.items():
        if "separable" in theirs:
            inner = f"{theirs}/separable_conv2d"
            folded = ours.startswith("heatmap_pyramid")  # a folded batch norm changes the names of the weights
            state[f"{ours}.0.weight"], state[f"{ours}.1.weight"] = balanced(
                kernel(find(f"{inner}/ReadVariableOp"), depthwise=True),
                kernel(find(f"{inner}_weights" if folded else f"{inner}/ReadVariableOp_1")),
            )
            state[f"{ours}.1.bias"] = find(f"{inner}_bn_offset" if folded else f"{theirs}/BiasAdd/ReadVariableOp")
        else:
            state[f"{ours}.weight"] = kernel(find(f"{theirs}/Conv2D/ReadVariableOp"))
            state[f"{ours}.bias"] = find(f"{theirs}/BiasAdd/ReadVariableOp")
    return state


def encoder_layers() -> dict[str, str]:
    """Returns our convolution in `MobileNetV2` -> the layer of the graph."""
    layers = {"stem.0": "Conv1", "last.0": "Conv_1"}
    for block in range(17):
        name = f"block_{block}" if block else "expanded_conv"
        layers[f"blocks.{block}.depthwise.0"] = f"{name}_depthwise"
        layers[f"blocks.{block}.project"] = f"{name}_project"
        if block:  # the first block does not expand
            layers[f"blocks.{block}.expand.0"] = f"{name}_expand"
    return layers


def balanced(depthwise: Array, pointwise: Array) -> tuple[Array, Array]:
    """Rescales the two convolutions of a separable one so that their weights are equally large in every channel.

    The result is the same: between them is only one scale per channel, which is arbitrary. The published pointwise
    weights contain the batch norm and are a thousand times smaller than the depthwise ones. Steps of Adam are equally
    large for all weights, so they would destroy the small ones (experiments/notes).

    Args:
        depthwise: ``(C, 1, h, w)``.
        pointwise: ``(out, C, 1, 1)``.

    Returns:
        both, rescaled.
    """
    size_in, size_out = (
        np.sqrt(np.square(w).mean(axis=a)) for w, a in ((depthwise, (1, 2, 3)), (pointwise, (0, 2, 3)))
    )
    both = (size_in > 0) & (size_out > 0)  # a channel of zeros has no scale
    scale = np.where(both, np.sqrt(size_out / np.where(both, size_in, 1)), 1).astype(np.float32)
    return depthwise * scale[:, None, None, None], pointwise / scale[:, None, None]


def kernel(weight: Array, *, depthwise: bool = False) -> Array:
    """Transposes TensorFlow's (height, width, in, out) to PyTorch's (out, in, height, width).

    Depthwise: (height, width, channels, 1) to (channels, 1, height, width).
    """
    return weight.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
