"""Checks that a description fits the tensors of its file, and is of a network that can be built, before it is built."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from associative_embedding.model_files.check_description import SHOWN

CALLS_PER_TENSOR = 50  # of torch to build a network; our backbones need at most 7
CALLS = 1000  # of torch to build a network, whatever its number of tensors
MOST_CALLS = 100_000  # of torch to build the network of a recipe; our largest needs 6656
MOST_VALUES = 2 * 10**9  # weights of the network of a recipe; the paper's has 1.4e8

Shapes = Mapping[str, tuple[int, ...]]  # name of a tensor -> its shape


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
