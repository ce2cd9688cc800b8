"""Checks that a set of published weights is the set that a network needs."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from associative_embedding.io.console import list_briefly


def check_weights(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str, published: Mapping[str, str] | None = None
) -> None:
    """Compares names, shapes and types of weights.

    Args:
        found: the published weights under the names of our network.
        expected: the state dict of our network.
        what: the weights that `found` should be, for the error message.
        published: our name -> published name, for the error message; default: the names are the same.

    Raises:
        ValueError: when weights are missing, left over, of another shape or no floats; the message names them.
    """
    theirs = published or {}
    faults = {
        "missing": [name for name in expected if name not in found],
        "left over": [theirs.get(name, name) for name in found if name not in expected],
        "another shape": [
            f"{theirs.get(name, name)} {tuple(value.shape)}, not {tuple(expected[name].shape)}"
            for name, value in found.items()
            if name in expected and value.shape != expected[name].shape
        ],
        "no floats": [
            f"{theirs.get(name, name)} {value.dtype}"
            for name, value in found.items()
            if name in expected and expected[name].is_floating_point() and not value.is_floating_point()
        ],
    }
    if any(faults.values()):
        text = "; ".join(f"{fault}: {list_briefly(names)}" for fault, names in faults.items() if names)
        raise ValueError(f"these are not {what}: {text}")
