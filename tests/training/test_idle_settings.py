"""Settings that a recipe changes in vain."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from associative_embedding.training.idle_settings import TAG_LOSS, idle_settings
from associative_embedding.training.recipe import DataConfig, LossConfig, NetworkConfig, Recipe, TrainConfig


def names(recipe: Recipe) -> list[str]:
    return [line.partition(" ")[0] for line in idle_settings(recipe)]


def test_a_recipe_of_defaults_has_none() -> None:
    assert names(Recipe()) == []
    assert names(Recipe(task="segmentation")) == []


@pytest.mark.parametrize(
    ("train", "line"),
    [
        ({"drops": (5,)}, "train.drops has no effect: it is for train.schedule: step"),
        ({"schedule": "constant", "lr_end": 0.5}, "train.lr_end has no effect: it is for train.schedule: cosine"),
        (
            {"optimizer": "adam", "weight_decay": 0.1},
            "train.weight_decay has no effect: it is for train.optimizer: adamw",
        ),
    ],
)
def test_settings_of_another_schedule_or_optimiser(train: dict[str, Any], line: str) -> None:
    assert list(idle_settings(Recipe(train=TrainConfig(**train)))) == [line]


def test_settings_that_are_read_have_no_line() -> None:
    assert names(Recipe(train=TrainConfig(schedule="step", drops=(5,), drop_factor=0.5))) == []
    assert names(Recipe(train=TrainConfig(optimizer="adamw", weight_decay=0.1, lr_end=0.5))) == []


def test_settings_of_other_tasks() -> None:
    recipe = Recipe(data=DataConfig(reach=5, validation_images=9))
    assert list(idle_settings(recipe)) == [
        "data.reach has no effect: it is for the task tracking",
        "data.validation_images has no effect: it is for runs with data.validation",
    ]
    assert names(replace(recipe, task="tracking")) == ["data.validation_images"]


def test_a_single_person_has_no_tags_to_teach() -> None:
    recipe = Recipe(task="single-person", network=NetworkConfig(tag_size=0), loss=LossConfig(pull=1.0))
    assert list(idle_settings(recipe)) == [
        "loss.pull has no effect: it is for the task pose or tracking or segmentation"
    ]


def test_the_settings_of_the_tag_loss_exist() -> None:
    assert set(TAG_LOSS) < {field.name for field in fields(LossConfig)}
