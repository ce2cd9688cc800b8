"""Comparison of the states of two training runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def assert_same(a: Path, b: Path) -> None:
    left, right = (torch.load(folder / "state.pt", weights_only=True) for folder in (a, b))
    assert left["step"] == right["step"]
    assert left["average"] is not None
    flat_left, flat_right = flatten(left), flatten(right)
    assert flat_left.keys() == flat_right.keys()
    for key, value in flat_left.items():
        same = torch.equal(value, flat_right[key]) if isinstance(value, torch.Tensor) else value == flat_right[key]
        assert same, key
    assert (a / "model.safetensors").read_bytes() == (b / "model.safetensors").read_bytes()


def flatten(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, inner in items for k, v in flatten(inner, f"{name}/{key}").items()}
    return {name: value}
