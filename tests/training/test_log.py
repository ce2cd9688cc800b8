"""The log of a run: means, rates, json lines and TensorBoard."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch

from associative_embedding.training.log import Log, Meter
from support.tiny import log_of


def test_the_meter_gives_means_and_starts_anew() -> None:
    meter = Meter()
    for value in (1.0, 2.0, 6.0):
        meter.add(4, {"loss": torch.tensor(value)})
    log = meter.take()
    assert log["loss"] == 3
    assert log["images_per_second"] > 0
    meter.add(4, {"loss": torch.tensor(5.0)})
    assert meter.take()["loss"] == 5


def test_the_meter_does_not_count_pauses() -> None:
    meter = Meter()
    meter.add(100, {"loss": torch.tensor(1.0)})
    with meter.paused():
        time.sleep(0.5)
    assert meter.take()["images_per_second"] > 100 / 0.5


def test_the_log_is_one_json_object_a_line(tmp_path: Path) -> None:
    Log(tmp_path / "new", silent=True).write("train", 1, {"loss": 1.0})
    assert not (tmp_path / "new").exists()
    log = Log(tmp_path / "new")
    log.write("train", 1, {"loss": 1.0})
    log.write("train", 2, {"loss": None})
    assert [(e["event"], e["step"], e["loss"]) for e in log_of(tmp_path / "new")] == [
        ("train", 1, 1.0),
        ("train", 2, None),
    ]


def test_tensorboard_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"pip install 'associative-embedding\[tensorboard\]'"):
        Log(tmp_path, tensorboard=True)


def test_tensorboard_gets_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, float, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            seen.append((name, value, step))

        def flush(self) -> None:
            pass

    module = type(sys)("tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    Log(tmp_path, tensorboard=True).write("train", 3, {"loss": 0.5, "device": "cpu"})
    assert seen == [("train/loss", 0.5, 3)]
