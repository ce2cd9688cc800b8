"""``ae convert``: other projects' weights to a model file, or those of an encoder to one for ``network.start``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import safetensors.torch
from torch import Tensor

from associative_embedding.io.files import atomic_write
from associative_embedding.model_files.checkpoint import save_model
from associative_embedding.model_files.converters.efficientnet_lite import (
    efficientnet_lite0_state,
)
from associative_embedding.model_files.converters.movenet import movenet_state
from associative_embedding.model_files.converters.published_pose_models import PROJECTS, load_foreign

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
