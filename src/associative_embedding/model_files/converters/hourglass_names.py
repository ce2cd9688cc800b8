"""Renames the weights of published stacked hourglasses to the layers of `StackedHourglass`.

The names come from lists of all tensors, made by running pose-ae-train and mmpose 0.29.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count, takewhile
from typing import Any

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
    (r"remap_feature_convs\.(\d+)\.", r"merge_features.\1."),
    (r"remap_out_convs\.(\d+)\.", r"merge_outputs.\1."),
)
LAYERS = {"up1": "skip", "low1": "down", "low2": "inner", "low3": "up", "bn": "norm"}  # published -> ours


def our_name(name: str, blocks: Blocks) -> str:
    """Returns our name of a published tensor; an unknown name stays as it is.

    ``our_name("features.3.0.low2.up1.conv.bias", POSE_AE)`` is ``"hourglasses.3.inner.skip.conv.bias"``.
    """
    for pattern, block in blocks:
        if match := re.match(pattern, name):
            rest = name[match.end() :].split(".")
            return match.expand(block) + ".".join(LAYERS.get(layer, layer) for layer in rest)
    return name


def hourglass_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Derives the options of `StackedHourglass` from the shapes of its tensors, without norms and ``extra_outputs``.

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
        "widths": (*widths, len(state[f"hourglasses.0.{'inner.' * len(widths)}conv.weight"])),
        "stem": tuple(len(state[f"stem.{layer}.conv.weight"]) for layer in (0, 1, 3)),
    }
