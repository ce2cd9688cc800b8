"""Weights of published networks that are computed from the names of the tensors (reference/goldens)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def fill_by_name(name: str, shape: list[int], gain: float = 1.2) -> Tensor:
    """The weights rule of the goldens: a value for every tensor that depends on its published name alone."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    value = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if len(shape) > 1:
        value *= np.float32(gain / np.sqrt(np.prod(shape[1:])))
    elif name.endswith("running_var"):
        value = np.abs(value) * 0.1 + 0.9
    else:
        value = 1 + 0.05 * value if name.endswith("weight") else 0.05 * value
    return torch.from_numpy(value.astype(np.float32))


def random_weights(shapes: Iterable[tuple[str, list[int]]], seed: int = 0) -> dict[str, Tensor]:
    """Weights with which numbers stay of one size from layer to layer."""
    torch.manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, shape in shapes:
        if not shape:
            state[name] = torch.tensor(7)  # batches that a batch norm has seen
        elif len(shape) > 1:
            state[name] = torch.randn(shape) / float(np.prod(shape[1:])) ** 0.5
        else:
            state[name] = torch.rand(shape) + (0.5 if name.endswith("running_var") else 0.0)
    return state


def official_shapes(shared: Path, stem: str) -> list[tuple[str, list[int]]]:
    content = json.loads((shared / "reference" / "goldens" / f"{stem}_state_dict.json").read_text())
    return [(name, shape) for name, shape in (content["keys"] if isinstance(content, dict) else content)]
