"""Learning rates, parameter groups, what is frozen, and the average of the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from associative_embedding.data.settings import SourceConfig
from associative_embedding.inference.load import load
from associative_embedding.training import optimizer as optimisation
from associative_embedding.training.optimizer import learning_rate, parameter_groups, update_average
from associative_embedding.training.recipe import TrainConfig
from associative_embedding.training.train import train
from associative_embedding.training.validation import build_validation
from support.tiny import tiny_recipe


def test_learning_rate_warms_up_and_follows_its_schedule() -> None:
    config = TrainConfig(steps=100, lr=1.0, warmup=10, lr_end=0.1)
    assert learning_rate(replace(config, schedule="constant"), 0) == pytest.approx(0.1)
    assert learning_rate(replace(config, schedule="constant"), 9) == learning_rate(
        replace(config, schedule="constant"), 99
    )
    cosine = [learning_rate(config, step) for step in (50, 100)]
    assert cosine == pytest.approx([0.55, 0.1])
    steps = replace(config, schedule="step", drops=(20, 40), warmup=0)
    assert [learning_rate(steps, s) for s in (19, 20, 40)] == pytest.approx([1, 0.1, 0.01])
    assert [learning_rate(replace(steps, drop_factor=0.5), s) for s in (19, 20, 40)] == [1, 0.5, 0.25]


def body() -> nn.Module:
    return nn.ModuleDict({"encoder": nn.Conv2d(3, 4, 1), "head": nn.Conv2d(4, 2, 1)})


def test_parameters_have_their_own_rate_and_decay() -> None:
    module = body()
    config = TrainConfig(lr=1.0, lr_factors={"encoder": 0.1}, weight_decay=0.5)
    optimizer = optimisation.build_optimizer(module, config, ())
    optimisation.set_learning_rate(optimizer, 0.2)
    found = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    assert found[id(module["encoder"].weight)] == pytest.approx((0.02, 0.5))
    assert found[id(module["encoder"].bias)] == pytest.approx((0.02, 0))
    assert found[id(module["head"].weight)] == pytest.approx((0.2, 0.5))


def test_frozen_parameters_do_not_learn() -> None:
    module = body()
    groups = parameter_groups(module, TrainConfig(), ("encoder.weight",))
    assert not module["encoder"].weight.requires_grad
    assert sum(len(g["params"]) for g in groups) == 3


def test_frozen_norms_keep_their_statistics(tmp_path: Path, source: SourceConfig) -> None:
    recipe = tiny_recipe(tmp_path, source, validate=True, steps=4, ema=0, validate_every=2)
    network = replace(recipe.network, options={**recipe.network.options, "batch_norm": True}, frozen=("stem",))
    path = train(replace(recipe, network=network), validate=build_validation(recipe))
    means = {n: v for n, v in load(path).network.state_dict().items() if n.endswith("running_mean")}
    assert {bool(v.any()) for n, v in means.items() if n.startswith("body.stem")} == {False}
    assert {bool(v.any()) for n, v in means.items() if not n.startswith("body.stem")} == {True}


@pytest.mark.parametrize(
    ("frozen", "factors", "message"),
    [
        (("encodr",), {}, "no parameter .*'encodr'; there are encoder, head"),
        ((), {"tail": 1.0}, "'tail'"),
        (("encoder", "head"), {}, "every parameter"),
    ],
)
def test_prefixes_that_match_nothing_are_refused(frozen: tuple[str, ...], factors: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parameter_groups(body(), TrainConfig(lr_factors=factors), frozen)


def test_the_average_forgets_the_start_and_follows_the_weights() -> None:
    average, network = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    with torch.no_grad():
        average.weight.fill_(0), network.weight.fill_(1)
    network.num_batches_tracked.fill_(7)
    update_average(average, network, 0.9, step=0)
    assert float(average.weight.detach()) == pytest.approx(0.9)  # decay (1 + 0) / (10 + 0)
    update_average(average, network, 0.9, step=10**6)
    assert float(average.weight.detach()) == pytest.approx(0.91)
    assert int(average.num_batches_tracked) == 7
