"""What is written as a MATLAB file is what SciPy and the project's own reader find in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scipy.io import loadmat

from associative_embedding.io.matlab import read_matlab
from associative_embedding.io.outputs import own_mark
from associative_embedding.io.write_matlab import write_matlab

VALUES: list[Any] = [
    [{"x": 1.5, "name": "a"}, {"x": -2.0, "name": "Zoë"}],
    [{"inner": [{"point": [{"x": 0.0, "y": 1e300}]}], "none": []}],
    [{"n" * 31: 3.0}],
    [],
]


def plain(value: Any) -> Any:
    """As `read_matlab` returns it: one structure without its list, and an empty list as an empty array."""
    if isinstance(value, list):
        rows = [{key: plain(item) for key, item in row.items()} for row in value]
        return rows[0] if len(rows) == 1 else rows
    return value


def listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: listed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [listed(item) for item in value]
    return [] if getattr(value, "size", 1) == 0 else value


@pytest.mark.parametrize("value", VALUES)
def test_is_read_again(value: Any, tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.mat"
    write_matlab(path, "pred", value)
    assert listed(read_matlab(path, "pred", plain=True)) == plain(value)
    assert own_mark()(path)
    before = path.read_bytes()
    write_matlab(path, "pred", value)
    assert path.read_bytes() == before


def test_is_read_by_scipy(tmp_path: Path) -> None:
    write_matlab(tmp_path / "a.mat", "pred", VALUES[0])
    pred = loadmat(tmp_path / "a.mat")["pred"]
    assert (pred.shape, pred.dtype.names) == ((1, 2), ("x", "name"))
    assert [row["x"].item() for row in pred[0]] == [1.5, -2]
    assert pred[0, 1]["name"][0].startswith("Zoë")
    write_matlab(tmp_path / "b.mat", "pred", VALUES[1])
    inner = loadmat(tmp_path / "b.mat")["pred"][0, 0]
    assert inner["none"].shape == (0, 0)
    assert inner["inner"][0, 0]["point"][0, 0]["y"].item() == 1e300
