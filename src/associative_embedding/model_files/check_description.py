"""Checks that what a model file states is possible, and fits its tensors, before anything of it is built.

Model files come from anybody. A description of a few hundred bytes can ask for a network of terabytes, or for an input
that takes hours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from associative_embedding.io.reading import AUTO, Reading

MAX_DESCRIPTION = 2**20  # characters of the json
MAX_OPTIONS = 10_000  # characters of the json of the backbone's options
MAX_SCALES = 16
MAX_SIDE = 4096  # pixels of the input, at the largest scale
MAX_ENLARGE = 32
SMALLEST_ZOOM = 0.01
CALLS_PER_TENSOR = 50  # of torch to build a network; our backbones need at most 7
CALLS = 1000  # of torch to build a network, whatever its number of tensors
MOST_CALLS = 100_000  # of torch to build the network of a recipe; our largest needs 6656
MOST_VALUES = 2 * 10**9  # weights of the network of a recipe; the paper's has 1.4e8
SHOWN = 60  # characters of a name or value in a message

Shapes = Mapping[str, tuple[int, ...]]  # name of a tensor -> its shape


def check_values(values: dict[str, Any], task: str) -> None:
    """Checks types and ranges of a description.

    Args:
        values: the decoded json, without ``format`` and ``task``.
        task: name of the task; a model for one person needs no tags.

    Raises:
        ValueError: for a value of another type than in `ModelInfo`, or out of range.
        KeyError: without ``decode``.
    """
    limits = (("input_size", 1, MAX_SIDE), ("enlarge", 1, MAX_ENLARGE), ("tag_size", int(task != "single-person"), 1e6))
    for key, least, most in limits:
        value = values.get(key, 1)
        if type(value) is not int or value < least:  # isinstance would accept True
            raise ValueError(f"{key} must be a positive integer{' or 0' * (not least)}, not {value!r:.{SHOWN}}")
        if value > most:
            raise ValueError(f"{key} must be at most {most:g}, not {value}")
    check_scales(values)
    normalize = values.get("normalize", AUTO)
    if not isinstance(normalize, str) or len(normalize) > SHOWN:
        raise ValueError(f"normalize must be a short text, not {normalize!r:.{SHOWN}}")
    Reading(normalize=normalize)
    zoom = values.get("zoom", 0.0)
    if type(zoom) not in (int, float) or not (zoom == 0 or SMALLEST_ZOOM <= zoom < 100):
        raise ValueError(f"zoom must be 0, or a number in [{SMALLEST_ZOOM}, 100), not {zoom!r:.{SHOWN}}")
    if values.get("resize", "long") not in ("long", "short"):
        raise ValueError(f"resize must be 'long' or 'short', not {values['resize']!r:.{SHOWN}}")
    kinds = {"backbone": str, "refine": str, "options": dict, "notes": dict, "calibration": dict}
    for key, kind in {**kinds, "decode": dict}.items():
        given = values[key] if key == "decode" else values.get(key, kind())
        if not isinstance(given, kind):
            raise ValueError(f"{key} must be a {'text' if kind is str else 'mapping'}, not {given!r:.{SHOWN}}")
    if len(json.dumps(values.get("options", {}))) > MAX_OPTIONS:
        raise ValueError(f"options are more than {MAX_OPTIONS} characters")


def check_scales(values: Mapping[str, Any]) -> None:
    """Checks the scales of a description, and the largest input of the network.

    Raises:
        ValueError: for a value of another type, or out of range.
    """
    scales, side = values.get("scales", [1.0]), values.get("input_size", 1)
    if not isinstance(scales, list) or not scales or not all(type(s) in (int, float) and 0 < s < 100 for s in scales):
        raise ValueError(f"scales must be a list of positive numbers, not {scales!r:.{SHOWN}}")
    if len(scales) > MAX_SCALES:
        raise ValueError(f"scales must be at most {MAX_SCALES} numbers, not {len(scales)}")
    if side * max(scales) > MAX_SIDE:
        raise ValueError(f"the input size {side} times {max(scales):g} is more than {MAX_SIDE} pixels")
    used = values.get("tag_scales")
    if used is not None and (not isinstance(used, list) or not used or not all(scale in scales for scale in used)):
        raise ValueError(f"tag_scales must be some of the scales {scales}, not {used!r:.{SHOWN}}")


def check_shapes(build: Callable[[], nn.Module], shapes: Shapes) -> None:
    """Checks that a description and the tensors of its file are of the same network. No memory is taken for weights.

    Args:
        build: makes the network of the description, see `shapes_of`.
        shapes: of the tensors in the file.

    Raises:
        ValueError: for a network of other tensors, or of far more than the file has.
        RuntimeError: for shapes that torch refuses.
    """
    own = shapes_of(build, CALLS + CALLS_PER_TENSOR * len(shapes))
    if own is None:
        raise ValueError("the network would have far more tensors than the file")
    if own == shapes:
        return
    name = min(name for name in own.keys() | shapes.keys() if own.get(name) != shapes.get(name))
    of_file, of_network = (str(list(some[name]) if name in some else "no tensor") for some in (shapes, own))
    raise ValueError(
        f"the file has {len(shapes)} tensors and the network {len(own)}; "
        f"{name:.{SHOWN}} has the shape {of_file:.{SHOWN}} in the file and {of_network:.{SHOWN}} in the network"
    )


def check_size(build: Callable[[], nn.Module]) -> None:
    """Checks that a network can be built at all; its options come from a recipe.

    Raises:
        ValueError: for a network beyond the limits, or of options that it does not have.
    """
    own = shapes_of(build, MOST_CALLS)
    if own is None or sum(map(math.prod, own.values())) > MOST_VALUES:
        raise ValueError(f"network.options: the network would have more than {MOST_VALUES:.1g} weights or many layers")


def shapes_of(build: Callable[[], nn.Module], calls: int) -> Shapes | None:
    """Returns the shapes of a network's tensors without memory for them; None if it needs more calls of torch.

    Args:
        build: called on torch's device "meta", whose tensors have no content.
        calls: highest number of calls of torch's functions.
    """
    # An exception may come from the call that would turn gradients on again behind `no_grad`: then the outermost does.
    gradients = torch.set_grad_enabled(torch.is_grad_enabled())
    try:
        with gradients, _Calls(calls), torch.device("meta"):
            return {name: tuple(value.shape) for name, value in build().state_dict().items()}
    except _TooManyCallsError:
        return None


class _TooManyCallsError(Exception):
    """No ValueError: what builds a network turns those into messages about its options."""


class _Calls(TorchFunctionMode):
    """Limits the number of torch's functions that are called in this thread."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left -= 1
        if self.left < 0:
            raise _TooManyCallsError
        return func(*args, **(kwargs or {}))
