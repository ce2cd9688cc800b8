"""Whether a set of published weights is the one a network needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor


def check_weights(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str, published: Mapping[str, str] | None = None
) -> None:
    """
    Args:
        found: weights under our names.
        expected: our state dict.
        what: they should be.
        published: our name -> theirs, for the message.

    Raises:
        ValueError: weights are missing, left over or of another shape; the message names them.
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
    }
    if any(faults.values()):
        text = "; ".join(f"{fault}: {list_briefly(names)}" for fault, names in faults.items() if names)
        raise ValueError(f"these are not {what}: {text}")


def list_briefly(names: Sequence[str], most: int = 4) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
