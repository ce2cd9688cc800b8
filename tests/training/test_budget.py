"""Runs that end before their last step: by their time, or as their validations get no better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from associative_embedding.data.settings import SourceConfig
from associative_embedding.model_files.checkpoint import read_description
from associative_embedding.training import clock
from associative_embedding.training import train as training
from associative_embedding.training.train import train
from support.tiny import log_of, tiny_recipe


def steps_take(
    seconds: float, monkeypatch: pytest.MonkeyPatch, after: Callable[[int], None] = lambda step: None
) -> None:
    """Lets time pass by steps alone, so that a busy machine changes nothing."""
    now, update = [0.0], training.update

    def slow(state: Any, *arguments: Any) -> None:
        now[0] += seconds
        update(state, *arguments)
        after(state.step)

    monkeypatch.setattr(training, "update", slow)
    monkeypatch.setattr(clock, "now", lambda: now[0])


def rates(folder: Path) -> list[float]:
    return [line["lr"] for line in log_of(folder) if line["event"] == "train"]


def test_a_budget_ends_a_run_with_the_rate_that_its_last_step_would_have(
    tmp_path: Path, source: SourceConfig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    steps_take(1, monkeypatch)
    train(tiny_recipe(tmp_path, source, steps=1000, time="20s", warmup=100, log_every=1))
    run = tmp_path / "run"
    assert log_of(run)[-1]["step"] == 20
    assert rates(run)[0] < 0.2 * max(rates(run))  # the warm-up is as long a part of the run as of all steps
    assert rates(run)[-1] < 0.03 * max(rates(run))
    assert "ended at step 20 of 1000: its time of 20s is used" in capfd.readouterr().err


def test_a_budget_that_is_large_enough_changes_nothing(
    tmp_path: Path, source: SourceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps_take(1, monkeypatch)
    plain = tiny_recipe(tmp_path / "a", source, steps=4, log_every=1)
    train(plain)
    train(replace(plain, output=str(tmp_path / "b"), train=replace(plain.train, time="10h")))
    assert rates(tmp_path / "b") == rates(Path(plain.output))


def test_sessions_share_the_budget(tmp_path: Path, source: SourceConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(step: int) -> None:
        if step == 8:
            raise KeyboardInterrupt

    recipe = tiny_recipe(tmp_path, source, steps=1000, time="20s", warmup=0, log_every=1, save_every=8)
    with monkeypatch.context() as patch:
        steps_take(1, patch, after=lambda step: interrupt(step - 1))
        with pytest.raises(KeyboardInterrupt):
            train(recipe)
    assert torch.load(tmp_path / "run" / "state.pt", weights_only=True)["seconds"] == 8
    steps_take(1, monkeypatch)
    train(recipe)
    assert log_of(tmp_path / "run")[-1]["step"] == 20
    steps = log_of(tmp_path / "run")
    train(recipe)  # again: nothing is left to do
    assert [line for line in log_of(tmp_path / "run")[len(steps) :] if line["event"] == "train"] == []


def test_a_run_ends_when_validations_get_no_better_and_keeps_the_best_model(
    tmp_path: Path, source: SourceConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    scores = iter([0.1, 0.5, 0.4, 0.5, 0.9])
    recipe = tiny_recipe(tmp_path, source, steps=100, validate_every=2, patience=2)
    path = train(recipe, validate=lambda *_: {"AP": next(scores)})
    assert log_of(path.parent)[-1]["step"] == 8
    assert read_description(path).notes == {"steps": 4}  # type: ignore[union-attr]
    assert "ended early at step 8: no better than AP 0.500 of step 4 in 2 validations" in capfd.readouterr().err
    train(recipe, validate=lambda *_: {"AP": 0.4})  # again: it does not go on
    assert log_of(path.parent)[-1]["step"] == 8
    assert read_description(path).notes == {"steps": 4}  # type: ignore[union-attr]


def test_patience_waits_until_something_is_found(tmp_path: Path, source: SourceConfig) -> None:
    scores = iter([0.0, 0.0, 0.0, 0.2, 0.1, 0.1, 0.9])
    path = train(
        tiny_recipe(tmp_path, source, steps=7, validate_every=1, patience=2),
        validate=lambda *_: {"AP": next(scores)},
    )
    assert log_of(path.parent)[-1]["step"] == 6
    assert read_description(path).notes == {"steps": 4}  # type: ignore[union-attr]


def test_patience_needs_validations(tmp_path: Path, source: SourceConfig) -> None:
    with pytest.raises(ValueError, match=r"train\.patience counts validations: set train\.validate_every, too"):
        tiny_recipe(tmp_path, source, patience=2)
