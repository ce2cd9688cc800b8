"""A run that was stopped, however it was stopped, ends with the same weights, bit for bit."""

from __future__ import annotations

import multiprocessing
import pickle
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from associative_embedding.data.settings import SourceConfig
from associative_embedding.training.recipe import NetworkConfig, Recipe
from associative_embedding.training.train import train
from support.run_states import assert_same
from support.tiny import HOURGLASS, tiny_data, tiny_recipe

# Trains, slowly, by a recipe; or kills itself in the middle of the writing of the second state.
DRIVER = """
import os, pickle, signal, sys, time
import torch
from associative_embedding.io import files as output
from associative_embedding.training import train as training
recipe, deadly = pickle.load(open(sys.argv[1], "rb"))
update, replace, states = training.update, os.replace, []
def slow(*arguments):
    time.sleep(0.2)
    update(*arguments)
def kill(partial, target):
    states.extend([target] * str(target).endswith("state.pt"))
    if deadly and len(states) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(partial, target)
training.update, output.os.replace = slow, kill
training.train(recipe)
"""


def start(folder: Path, recipe: Recipe, *, deadly: bool) -> subprocess.Popen[bytes]:
    (folder / "job").write_bytes(pickle.dumps((recipe, deadly)))
    command = [sys.executable, "-c", DRIVER, str(folder / "job")]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.slow
def test_killed_at_any_moment_and_while_saving(tmp_path: Path, source: SourceConfig, whole: Path) -> None:
    recipe = tiny_recipe(tmp_path, source, log_every=1, save_every=2)
    log = tmp_path / "run" / "log.jsonl"
    step = random.randint(3, 7)
    process = start(tmp_path, recipe, deadly=False)
    wait_for(lambda: log.is_file() and f'"train", "step": {step},' in log.read_text())
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert '"step": 12' not in log.read_text()
    saved = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["step"]
    assert 2 <= saved < 12

    assert start(tmp_path, recipe, deadly=True).wait() == -signal.SIGKILL
    between = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["step"]
    assert between == saved + 2  # one more was saved, the one after it was not

    train(recipe)
    assert_same(tmp_path / "run", whole)
    starts = [line for line in log.read_text().splitlines() if '"start"' in line]
    assert [f'"step": {n},' in line for n, line in zip((0, saved, between), starts, strict=True)] == [True] * 3


def test_loader_processes_change_nothing(tmp_path: Path, source: SourceConfig, whole: Path) -> None:
    recipe = tiny_recipe(tmp_path, source)
    train(replace(recipe, data=replace(recipe.data, workers=1)))
    assert_same(tmp_path / "run", whole)


@pytest.mark.slow
def test_spawned_loader_processes_change_nothing(tmp_path: Path, source: SourceConfig, whole: Path) -> None:
    """The start method of Windows and macOS: data, task and augmentation are pickled."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        recipe = tiny_recipe(tmp_path, source)
        train(replace(recipe, data=replace(recipe.data, workers=1)))
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert_same(tmp_path / "run", whole)


def test_a_finished_run_stays_as_it_is(tmp_path: Path, source: SourceConfig, whole: Path) -> None:
    recipe = tiny_recipe(tmp_path, source)
    train(recipe)
    train(recipe)
    assert_same(tmp_path / "run", whole)


def test_a_bad_sample_ends_the_run_after_saving(tmp_path: Path) -> None:
    """The image is smaller than the annotations say, which only reading it shows."""
    source = tiny_data(tmp_path, images=6)
    bad = Path(source.images) / "000004.jpg"
    small = tiny_data(tmp_path / "small", images=4, size=(48, 48))
    bad.write_bytes((Path(small.images) / "000004.jpg").read_bytes())
    recipe = tiny_recipe(tmp_path, source, batch=1)
    for workers in (0, 1):
        with pytest.raises(ValueError, match=r"^\S*000004.jpg: image 4 is 48x48") as caught:
            train(replace(recipe, data=replace(recipe.data, workers=workers)))
        assert "\n" not in str(caught.value)
    step = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["step"]
    assert 0 <= step < 6


def test_new_settings_count_in_the_next_run(tmp_path: Path, source: SourceConfig) -> None:
    train(tiny_recipe(tmp_path, source, steps=2, lr_factors={"stem": 0.1}))
    for optimizer, decay in (("adamw", 0.25), ("adam", 0.0)):  # Adam has no decay
        settings = {"steps": 4, "weight_decay": 0.25, "lr_factors": {"stem": 0.5}, "optimizer": optimizer}
        train(tiny_recipe(tmp_path, source, **settings))
        groups = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["optimizer"]["param_groups"]
        assert {(g["weight_decay"], g["factor"]) for g in groups} == {(d, f) for d in (decay, 0.0) for f in (0.5, 1.0)}
    assert not any(g.get("decoupled_weight_decay") for g in groups)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": {"seed": 1}}, r"state.pt: is of another seed \(it has 0, the recipe 1\); choose another output"),
        ({"network": {"tag_size": 1}}, r"is of another tag_size \(it has 2, the recipe 1\)"),
        ({"network": {"options": HOURGLASS | {"stacks": 1}}}, r"is of other network options \(it has .*'stacks': 2"),
        ({"network": {"frozen": ("stem",)}}, "does not fit the recipe's frozen or lr_factors"),
        ({"data": {"skeleton": "coco-17"}}, r"is of another skeleton \(it has 5, the recipe 17\)"),
        ({"train": {"steps": 3}}, "has 12 steps, more than train.steps = 3"),
    ],
)
def test_a_state_of_another_run_is_refused(
    tmp_path: Path, source: SourceConfig, whole: Path, change: dict[str, dict[str, Any]], message: str
) -> None:
    recipe = replace(tiny_recipe(tmp_path, source), output=str(whole))
    recipe = replace(recipe, **{key: replace(getattr(recipe, key), **values) for key, values in change.items()})
    with pytest.raises(ValueError, match=message):
        train(recipe)


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps({"a": 1}), None])
def test_a_broken_state_is_refused(tmp_path: Path, source: SourceConfig, whole: Path, content: bytes | None) -> None:
    (tmp_path / "run").mkdir()
    data = (whole / "state.pt").read_bytes()
    (tmp_path / "run" / "state.pt").write_bytes(data[: len(data) // 2] if content is None else content)
    with pytest.raises(ValueError, match=r"state.pt: not a .*remove it") as caught:
        train(tiny_recipe(tmp_path, source))
    assert "\n" not in str(caught.value)


def test_a_model_starts_another_run(
    tmp_path: Path, source: SourceConfig, whole: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`network.start` takes what fits, whatever the tag dimension."""
    recipe = tiny_recipe(tmp_path, source, steps=1)
    start_from = NetworkConfig(
        backbone="hourglass",
        tag_size=1,
        options={**recipe.network.options, "stacks": 1},
        start=str(whole / "model.safetensors"),
    )
    train(replace(recipe, network=start_from))
    first = (tmp_path / "run" / "log.jsonl").read_text().splitlines()[0]
    assert '"fresh": 2,' in first  # weight and bias of the one layer whose channels differ
    line = r"ae: network.start: \S+ has \d+ of \d+ tensors; fresh: body.outputs.0.bias, body.outputs.0.weight"
    assert re.search(line, capfd.readouterr().err)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"step": "5"},
        {"network": [1]},
        {"network": {"a": 1}},
        {"optimizer": {}},
        {"optimizer": {"state": {0: 1}, "param_groups": [{"params": [0]}]}},
        {"average": 3},
        {"identity": 3},
        {"identity": "(" * 1000},
        {"identity": "1"},
        {"identity": "(1, 2, 3, 4)"},
        {"identity": "('a', 1, [('b', 'c', 'd')], 0)"},
    ],
    ids=str,
)
def test_a_state_with_strange_values_is_one_line(
    change: dict[str, Any], tmp_path: Path, source: SourceConfig, whole: Path
) -> None:
    recipe = tiny_recipe(tmp_path, source)
    state = torch.load(whole / "state.pt", weights_only=True)
    Path(recipe.output).mkdir()
    torch.save({**state, **change}, Path(recipe.output) / "state.pt")
    with pytest.raises(ValueError, match=r"state\.pt: .*(remove it|does not fit)") as error:
        train(recipe)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"stacks": 10**6}, {"widths": [10**5, 10**5]}, {"stem": [1] * 100_000}])
def test_a_recipe_of_a_network_beyond_the_memory_is_one_line(
    options: dict[str, Any], tmp_path: Path, source: SourceConfig
) -> None:
    recipe = tiny_recipe(tmp_path, source)
    recipe = replace(recipe, network=replace(recipe.network, options={**HOURGLASS, **options}))
    with pytest.raises(ValueError, match=r"network\.options: the network would have more than 2e\+09 weights"):
        train(recipe)
