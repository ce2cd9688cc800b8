"""Converts a weights file of another project (``ae convert``).

A pose model becomes a model file, ready to predict. An encoder becomes a bare safetensors file; training starts from it
by the recipe's ``network.start``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import safetensors.torch
from torch import Tensor

from associative_embedding.io.files import atomic_write
from associative_embedding.io.outputs import check_output, own_mark
from associative_embedding.model_files.checkpoint import save_model
from associative_embedding.model_files.converters.efficientnet_lite import efficientnet_lite0_state
from associative_embedding.model_files.converters.hrnet_imagenet import hrnet_state
from associative_embedding.model_files.converters.movenet import movenet_state
from associative_embedding.model_files.converters.published_pose_models import PROJECTS, load_published

ENCODERS: dict[str, Callable[[str | Path], dict[str, Tensor]]] = {
    "movenet": movenet_state,
    "efficientnet-lite0": efficientnet_lite0_state,
    "hrnet-imagenet": hrnet_state,
}

CONVERTED = b"converted_from"  # in the metadata of every file


def convert(
    path: str,
    source: str | None = None,
    output: str | None = None,
    *,
    skeleton: str | None = None,
    input_size: int | None = None,
) -> Path:
    """Converts a weights file.

    Args:
        path: the file.
        source: where it comes from, a key of `ENCODERS` or of `published_pose_models.PROJECTS`; default: a pose model
            whose project is recognised by the names of its tensors, or a ``.json`` of MoveNet.
        output: the file to write; default: the name of `path` with ``.safetensors``, in the current folder.
        skeleton: of a pose model, see `published_pose_models.load_published`.
        input_size: of a pose model, in pixels, see there.

    Returns:
        the file written.

    Raises:
        ValueError: for a file that is missing, or that does not come from `source`, or an output that no conversion
            wrote.
        OSError: when the file cannot be written.
    """
    if source not in [None, *ENCODERS, *PROJECTS]:
        raise ValueError(f"cannot convert from {source!r}; known are {', '.join([*ENCODERS, *PROJECTS])}")
    if source is None and Path(path).suffix == ".json":
        source = "movenet"
    for name, value in (("skeleton", skeleton), ("input_size", input_size)):
        if value is not None and source in ENCODERS:
            raise ValueError(f"{source} is an encoder and has no {name}; leave it out")
    if input_size is not None and input_size < 1:
        raise ValueError(f"input_size must be at least 1, not {input_size}")
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    target = Path(output or Path(path).with_suffix(".safetensors").name)
    # Not a model that was trained: only what an earlier conversion wrote.
    check_output(target, own_mark(CONVERTED), [path, skeleton])
    if source not in ENCODERS:
        save_model(target, *load_published(path, source, skeleton=skeleton, input_size=input_size))
    else:
        # safetensors refuses tensors that are not contiguous.
        state = {name: value.contiguous() for name, value in ENCODERS[source](path).items()}
        atomic_write(target, safetensors.torch.save(state, metadata={"converted_from": source}))
    return target
