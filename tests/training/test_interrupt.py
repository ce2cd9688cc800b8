"""A run that is interrupted saves first."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from associative_embedding.data.settings import SourceConfig
from associative_embedding.training import train as training
from associative_embedding.training.interrupt import Interrupt
from associative_embedding.training.train import train
from support.run_states import assert_same
from support.tiny import tiny_recipe


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_saves_first(
    tmp_path: Path, source: SourceConfig, whole: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    recipe = tiny_recipe(tmp_path, source)
    original, handler = training.update, signal.getsignal(number)

    def interrupting(state: Any, *arguments: Any) -> None:
        if state.step == 6:
            signal.raise_signal(number)
        original(state, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "update", interrupting)
        with pytest.raises(KeyboardInterrupt, match=r"interrupted at step 7; saved in .*run, the same command resumes"):
            train(recipe)
    assert signal.getsignal(number) == handler
    assert torch.load(tmp_path / "run" / "state.pt", weights_only=True)["step"] == 7
    train(recipe)
    assert_same(tmp_path / "run", whole)


def test_the_second_interrupt_does_not_wait() -> None:
    interrupt = Interrupt()
    with interrupt.listening():
        signal.raise_signal(signal.SIGINT)
        assert interrupt.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_interrupted_while_validating_all_is_saved_already(tmp_path: Path, source: SourceConfig) -> None:
    recipe = tiny_recipe(tmp_path, source, validate_every=3)

    def validate(*_: Any) -> dict[str, Any]:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("goes on after Ctrl-C")

    with pytest.raises(KeyboardInterrupt, match=r"validation of step 3; saved in .*run, the same command resumes"):
        train(recipe, validate=validate)
    assert torch.load(tmp_path / "run" / "state.pt", weights_only=True)["step"] == 3
