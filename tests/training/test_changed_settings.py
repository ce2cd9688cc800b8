"""A run that continues with other settings tells which."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from associative_embedding.data.settings import SourceConfig
from associative_embedding.training.changed_settings import changed_lines, changed_settings
from associative_embedding.training.run_folder import plain
from associative_embedding.training.train import train
from support.tiny import log_of, tiny_recipe


def test_a_continued_run_names_the_settings_that_changed(
    tmp_path: Path, source: SourceConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tiny_recipe(tmp_path, source, steps=1)
    model = train(first)
    train(replace(first, train=replace(first.train, steps=2, save_every=7)))
    assert "other settings" not in capsys.readouterr().err
    other = replace(
        first,
        train=replace(first.train, steps=3, lr=0.5),
        data=replace(first.data, sigma=2.0),
        network=replace(first.network, start=str(model)),
    )
    train(other)
    lines = capsys.readouterr().err
    assert "ae: continues at step 2 with other settings: network.start (" in lines
    assert f"data.sigma (1.0 -> 2.0), train.lr ({first.train.lr} -> 0.5)\n" in lines
    assert "ae: network.start is not read: the run continues with its own weights\n" in lines
    starts = [line for line in log_of(tmp_path / "run") if line["event"] == "start"]
    assert ["changed" in line for line in starts] == [False, False, True]
    assert starts[2]["changed"]["data.sigma"] == [1.0, 2.0]


def test_an_unreadable_recipe_tells_nothing(tmp_path: Path, source: SourceConfig) -> None:
    now = plain(tiny_recipe(tmp_path, source))
    path = tmp_path / "recipe.yaml"
    assert changed_settings(path, now) == {}
    for text in ("[", "a", "{old: 1, train: {lr: [1]}}"):
        path.write_text(text)
    assert list(changed_lines(changed_settings(path, now), 1)) == [
        f"continues at step 1 with other settings: train.lr ([1] -> {now['train']['lr']})"
    ]
