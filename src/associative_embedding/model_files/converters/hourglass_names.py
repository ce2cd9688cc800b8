"""Renames the weights of published stacked hourglasses to the layers of `StackedHourglass`.

The names of pose-ae-train come from its state dict (checked against a list made by running it). The names of mmpose
come from the source of its 0.x versions (mmpose/models/backbones/hourglass_ae.py), not from a checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count, takewhile
from typing import Any

import torch
from torch import Tensor

Blocks = tuple[tuple[str, str], ...]  # beginning of a published name (a pattern) -> beginning of ours

POSE_AE: Blocks = (
    (r"pre\.", "stem."),
    (r"features\.(\d+)\.0\.", r"hourglasses.\1."),
    (r"features\.(\d+)\.1\.", r"refine.\1.0."),
    (r"features\.(\d+)\.2\.", r"refine.\1.1."),
    (r"outs\.(\d+)\.conv\.", r"outputs.\1."),
    (r"merge_features\.(\d+)\.conv\.conv\.", r"merge_features.\1."),
    (r"merge_preds\.(\d+)\.conv\.conv\.", r"merge_outputs.\1."),
)
MMPOSE: Blocks = (
    (r"stem\.", "stem."),
    (r"hourglass_modules\.(\d+)\.0\.", r"hourglasses.\1."),
    (r"hourglass_modules\.(\d+)\.1\.", r"refine.\1.0."),
    (r"hourglass_modules\.(\d+)\.2\.", r"refine.\1.1."),
    (r"out_convs\.(\d+)\.conv\.", r"outputs.\1."),
    (r"remap_feature_convs\.(\d+)\.conv\.", r"merge_features.\1."),
    (r"remap_out_convs\.(\d+)\.conv\.", r"merge_outputs.\1."),
)
LAYERS = {"up1": "skip", "low1": "down", "low2": "inner", "low3": "up", "bn": "norm"}  # published -> ours


def our_name(name: str, blocks: Blocks) -> str:
    """Returns the name in ``StackedHourglass.state_dict()`` of a published tensor; an unknown name stays as it is.

    ``our_name("features.3.0.low2.up1.conv.bias", POSE_AE)`` is ``"hourglasses.3.inner.skip.conv.bias"``.
    """
    for pattern, block in blocks:
        if match := re.match(pattern, name):
            rest = name[match.end() :].split(".")
            return match.expand(block) + ".".join(LAYERS.get(layer, layer) for layer in rest)
    return name


def fold_batch_norms(state: Mapping[str, Tensor], eps: float = 1e-5) -> dict[str, Tensor]:
    """Multiplies each batch norm (``x.bn``) into the convolution before it (``x.conv``).

    The network computes the same in eval mode. mmpose has batch norms between convolution and ReLU, where
    `StackedHourglass` has none.

    Args:
        state: published weights.
        eps: of the batch norms.

    Returns:
        the weights without batch norms; every folded convolution has a bias.
    """
    folded = {name: value for name, value in state.items() if ".bn." not in name}
    for name in [name for name in state if name.endswith(".bn.running_var")]:
        layer = name.removesuffix(".bn.running_var")
        # In double precision, so that folding adds no rounding error of its own.
        norm = {
            leaf: state[f"{layer}.bn.{leaf}"].double() for leaf in ("weight", "bias", "running_mean", "running_var")
        }
        scale = norm["weight"] / (norm["running_var"] + eps).sqrt()
        weight = state[f"{layer}.conv.weight"]
        bias = state.get(f"{layer}.conv.bias", torch.zeros_like(norm["bias"])).double()
        folded[f"{layer}.conv.weight"] = (weight.double() * scale[:, None, None, None]).to(weight.dtype)
        folded[f"{layer}.conv.bias"] = (norm["bias"] + (bias - norm["running_mean"]) * scale).to(weight.dtype)
    return folded


def hourglass_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Derives the options of `StackedHourglass` from the shapes of its tensors, without ``extra_outputs``.

    Args:
        state: weights under our names.

    Raises:
        KeyError: the name of a missing tensor.
    """
    # Each level is nested in the one above it; only the innermost has no skip branch.
    levels = takewhile(lambda level: f"hourglasses.0.{'inner.' * level}skip.conv.weight" in state, count())
    widths = [len(state[f"hourglasses.0.{'inner.' * level}skip.conv.weight"]) for level in levels]
    return {
        "stacks": sum(re.fullmatch(r"outputs\.\d+\.weight", name) is not None for name in state),
        "widths": [*widths, len(state[f"hourglasses.0.{'inner.' * len(widths)}conv.weight"])],
        "stem": [len(state[f"stem.{layer}.conv.weight"]) for layer in (0, 1, 3)],
        "batch_norm": "stem.0.norm.weight" in state,
    }
