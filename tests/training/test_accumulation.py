"""Several small batches a step are one large batch: the same samples, and the same weights but for rounding."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.stream import Steps
from associative_embedding.training import train as training
from associative_embedding.training.recipe import Recipe, TrainConfig
from associative_embedding.training.train import train
from support.tiny import tiny_recipe


def state_after(recipe: Recipe) -> dict[str, Any]:
    train(recipe)
    return torch.load(Path(recipe.output) / "state.pt", weights_only=True)  # type: ignore[no-any-return]


def assert_close(a: dict[str, Any], b: dict[str, Any], **limits: float) -> None:
    for part in ("network", "average"):
        for name, value in a[part].items():
            torch.testing.assert_close(b[part][name], value, **limits, msg=lambda m, n=name: f"{n}: {m}")


def test_parts_are_the_numbers_of_one_batch() -> None:
    for rank in (0, 1):
        whole = [n for step in Steps(6, 3, 4, rank=rank, world=2) for n in step]
        parts = Steps(2, 3, 4, 3, rank, 2)
        assert [n for part in parts for n in part] == whole
        assert len(parts) == len(list(parts)) == 12


def test_two_parts_are_one_batch_twice_as_large(tmp_path: Path, source: SourceConfig) -> None:
    settings: dict[str, Any] = {"steps": 6, "clip": 1.0, "log_every": 3}
    one = state_after(tiny_recipe(tmp_path / "one", source, batch=4, **settings))
    two = state_after(tiny_recipe(tmp_path / "two", source, batch=2, accumulate=2, **settings))
    assert two["step"] == one["step"] == 6
    assert_close(one, two, rtol=1e-3, atol=1e-5)
    logs = [(tmp_path / name / "run" / "log.jsonl").read_text().splitlines() for name in ("one", "two")]
    losses = [[float(x.split('"loss": ')[1].split(",")[0]) for x in log if '"train"' in x] for log in logs]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_frozen_norms_do_not_know_of_parts(tmp_path: Path, source: SourceConfig) -> None:
    """All that holds a batch norm is frozen, and so the same whatever the batch."""
    states = []
    for batch, parts in ((4, 1), (2, 2)):
        recipe = tiny_recipe(tmp_path / str(parts), source, steps=4, batch=batch, accumulate=parts)
        options = {**recipe.network.options, "batch_norm": True}
        frozen = ("stem", "hourglasses", "refine")
        states.append(replace(recipe, network=replace(recipe.network, options=options, frozen=frozen)))
    assert_close(*map(state_after, states), rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_interrupted_in_a_step_it_resumes_to_the_same_weights(
    tmp_path: Path, source: SourceConfig, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    recipe = tiny_recipe(tmp_path / "stopped", source, steps=6, accumulate=2)
    recipe = replace(recipe, data=replace(recipe.data, workers=workers))
    original = training.criterion

    def interrupting(*arguments: Any) -> Any:
        if arguments[-1] == 3:  # in each part of the step; the step is done before it stops
            signal.raise_signal(signal.SIGINT)
            monkeypatch.setattr(training, "criterion", original)
        return original(*arguments)

    monkeypatch.setattr(training, "criterion", interrupting)
    with pytest.raises(KeyboardInterrupt, match="interrupted at step 4; saved"):
        train(recipe)
    stopped = state_after(recipe)
    whole = state_after(replace(recipe, output=str(tmp_path / "whole")))
    assert_close(whole, stopped, rtol=0, atol=0)


def test_a_recipe_says_how_many() -> None:
    assert TrainConfig().accumulate == 1
    with pytest.raises(ValueError, match=r"train.accumulate must be at least 1, not 0"):
        TrainConfig(accumulate=0)
