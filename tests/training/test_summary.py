"""What a run prints at its start: the model, the names, the validation and the steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from associative_embedding.data.settings import SourceConfig
from associative_embedding.tasks.segmentation.task import SegmentationTask
from associative_embedding.tasks.single_person.settings import RefineConfig
from associative_embedding.training.batches import build_stream, build_task
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.state import build_state
from associative_embedding.training.summary import device_words, model_line, names_line, steps_line, validation_lines
from associative_embedding.training.validation import build_validation
from support.tiny import tiny_recipe


def steps_of(recipe: Recipe, world: int = 1) -> str:
    stream = build_stream(recipe.data, build_task(recipe), seed=0)
    return steps_line(recipe, [mixture.dataset for mixture in stream.mixtures], world)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"steps": 1, "batch": 1}, "1 step of 1 sample, 64 x 64 pixels; 6 in all, about 17% of them"),
        ({"steps": 3}, "3 steps of 2 samples, 64 x 64 pixels; 6 in all, each about once"),
        ({"steps": 9, "accumulate": 4}, "9 steps of 8 samples, 64 x 64 pixels; 6 in all, each about 12 times"),
        ({"steps": 3, "time": "30m"}, "3 steps of 2 samples, 64 x 64 pixels; 6 in all, each about once; at most 30m"),
    ],
)
def test_steps_and_how_often_a_sample_is_shown(
    tmp_path: Path, source: SourceConfig, settings: dict[str, object], text: str
) -> None:
    assert steps_of(tiny_recipe(tmp_path, source, **settings)) == text


@pytest.mark.parametrize(
    ("task", "data", "refine", "text"),
    [
        ("pose", {"more_sizes": (128, 96)}, {}, "squares of 64, 96 and 128 pixels"),
        ("single-person", {}, {"rule": "published"}, "64 x 64 pixels"),
        ("single-person", {}, {"beside": 1.0}, "64 x 64 pixels"),
        ("single-person", {}, {}, "crops 64 pixels long, as narrow as the person"),
        ("single-person", {"more_sizes": (96,)}, {}, "crops 64 and 96 pixels long, as narrow as the person"),
    ],
)
def test_the_sizes_of_inputs(
    tmp_path: Path, source: SourceConfig, task: Any, data: dict[str, Any], refine: dict[str, Any], text: str
) -> None:
    recipe = tiny_recipe(tmp_path, source, steps=3)
    network = replace(recipe.network, tag_size=2 * (task == "pose"))
    recipe = replace(
        recipe, task=task, network=network, data=replace(recipe.data, **data), refine=RefineConfig(**refine)
    )
    assert f"3 steps of 2 samples, {text}; " in steps_of(recipe)


def test_processes_share_a_step(tmp_path: Path, source: SourceConfig) -> None:
    assert steps_of(tiny_recipe(tmp_path, source, steps=3), world=2).startswith("3 steps of 4 samples")


def test_the_model_and_what_of_it_is_trained(tmp_path: Path, source: SourceConfig) -> None:
    recipe = tiny_recipe(tmp_path, source)
    state = build_state(recipe, 5, torch.device("cpu"))
    total = sum(parameter.numel() for parameter in state.network.parameters())
    assert model_line(recipe, state).startswith(f"task pose, hourglass with {total:,} parameters, on cpu, ")
    frozen = replace(recipe, network=replace(recipe.network, frozen=("stem",)))
    state = build_state(frozen, 5, torch.device("cpu"))
    share = sum(p.numel() for p in state.network.parameters() if p.requires_grad) / total
    assert f" parameters ({share:.0%} trained), on cpu" in model_line(frozen, state)


def test_names_and_device(tmp_path: Path, source: SourceConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    task = build_task(tiny_recipe(tmp_path, source))
    assert names_line(task) == "5 keypoints: nose, left_shoulder, right_shoulder, left_hip, right_hip"
    assert names_line(SegmentationTask(("nucleus",))) == "1 class: nucleus"
    assert names_line(SegmentationTask(tuple("abc"))) == "3 classes: a, b, c"
    for threads, words in ((1, "cpu, 1 thread"), (4, "cpu, 4 threads")):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=threads: count)
        assert device_words(torch.device("cpu")) == words


def test_the_validation(tmp_path: Path, source: SourceConfig) -> None:
    recipe = tiny_recipe(tmp_path, source, validate=True)
    lines = list(validation_lines(recipe, build_task(recipe), build_validation(recipe)))
    assert lines == [
        f"validation: {source.annotations}: 6 images, 13 individuals, 5 of 5 keypoint types labelled",
    ]
    (line,) = validation_lines(recipe, build_task(recipe), None)
    assert line.startswith("data.validation is empty: ")
