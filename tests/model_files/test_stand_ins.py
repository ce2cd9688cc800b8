"""Published checkpoints hold numpy values and logs beside tensors; they are read, and no function of the file runs."""

from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from associative_embedding.model_files.checkpoint import read_torch
from support.malicious import Malicious

VALUES = [
    np.float64(0.5),
    np.float32(0.25),
    np.float16(2),
    np.int64(-3),
    np.uint8(7),
    np.bool_(True),
    np.complex128(1 + 2j),
    np.str_("best"),
    np.dtype(">f4").type(3),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_numpy_number_becomes_a_plain_one(value: Any, tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(2)}, "perf": value}, tmp_path / "c.pth")
    read = read_torch(tmp_path / "c.pth")
    assert read["perf"] == value.item()
    assert type(read["perf"]) is type(value.item())


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_names_of_numpy_1_and_2(name: bytes, legacy: bool, tmp_path: Path) -> None:
    torch.save({"perf": np.float64(0.5)}, tmp_path / "c.pth", _use_new_zipfile_serialization=False)
    data = (tmp_path / "c.pth").read_bytes()
    assert b"numpy._core.multiarray" in data
    (tmp_path / "c.pth").write_bytes(data.replace(b"numpy._core.multiarray", name))
    assert read_torch(tmp_path / "c.pth") == {"perf": 0.5}


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.array([1, 2], ">i2"), np.zeros(0)])
def test_an_array_keeps_its_values(array: Any, tmp_path: Path) -> None:
    torch.save({"history": array}, tmp_path / "c.pth")
    assert read_torch(tmp_path / "c.pth")["history"].array.tolist() == array.ravel().tolist()


def test_logs_of_mmengine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its training checkpoints hold buffers of arrays, whose methods are named by getattr."""
    module = types.ModuleType("mmengine.logging.history_buffer")

    class HistoryBuffer:
        def __init__(self) -> None:
            self.history, self.methods = np.ones(3), {"mean": HistoryBuffer.mean}

        def mean(self) -> float:
            return 1.0

    for part in (HistoryBuffer, HistoryBuffer.mean):
        part.__module__, part.__qualname__ = module.__name__, part.__qualname__.rpartition("<locals>.")[2]
    module.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    for name in ("mmengine", "mmengine.logging", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    weights = {"a": torch.arange(3.0)}
    torch.save({"state_dict": weights, "message_hub": {"loss": HistoryBuffer()}}, tmp_path / "c.pth")
    monkeypatch.undo()
    assert torch.equal(read_torch(tmp_path / "c.pth")["state_dict"]["a"], weights["a"])


@pytest.mark.parametrize(
    "value",
    [np.array([Path("x"), None], object), np.zeros(2, [("a", "O")]), np.datetime64("2020-01-01"), np.void(b"ab")],
    ids=["objects", "fields", "time", "void"],
)
def test_other_kinds_of_numpy_are_refused(value: Any, tmp_path: Path) -> None:
    torch.save({"value": value}, tmp_path / "c.pth")
    with pytest.raises(ValueError, match=r"c\.pth: not a") as caught:
        read_torch(tmp_path / "c.pth")
    assert "\n" not in str(caught.value)


class Reduced:
    """Pickles as a call of any function with any arguments."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def test_getattr_gives_nothing(tmp_path: Path) -> None:
    torch.save({"a": Reduced(getattr, "text", "upper")}, tmp_path / "c.pth")
    assert read_torch(tmp_path / "c.pth") == {"a": None}


@pytest.mark.parametrize("function", [eval, __import__, print, pickle.loads, np.load, np.frombuffer])
def test_what_is_not_on_the_list_is_named_and_not_called(function: Any, tmp_path: Path) -> None:
    torch.save({"a": Reduced(function, "1")}, tmp_path / "c.pth")
    with pytest.raises(ValueError, match="others could run code") as caught:
        read_torch(tmp_path / "c.pth")
    assert function.__name__ in str(caught.value)
    assert "torch.save(checkpoint['state_dict'], path)" in str(caught.value)


def test_code_beside_numpy_values_is_not_run(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    torch.save({"perf": np.float64(1), "a": Malicious(proof)}, tmp_path / "c.pth")
    with pytest.raises(ValueError, match="others could run code"):
        read_torch(tmp_path / "c.pth")
    assert not proof.exists()
