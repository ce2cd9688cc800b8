"""Settings of a recipe that would have no effect, or leave nothing to learn, are refused before anything is read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from associative_embedding.training.recipe import DataConfig, LossConfig, NetworkConfig, Recipe, TrainConfig
from associative_embedding.training.state import build_state
from support.tiny import HOURGLASS


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"tags": "groups", "near": 3}, "near"),
        ({"tags": "pixels", "official_push": True}, "official_push"),
        ({"tags": "pixels", "push_kernel": "max"}, "push_kernel"),
        ({"push_kernel": "max", "push_sigma": 0.5}, "push_sigma"),
        ({"heatmap": "focal", "foreground": 2.0}, "foreground"),
    ],
)
def test_a_loss_setting_without_effect_is_refused(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=rf"loss\.{name} has no meaning with loss\.\w+: \w+; leave one of them out"):
        LossConfig(**settings)


def test_the_tag_loss_is_the_papers_for_the_task() -> None:
    """Section 3.4 for masks, section 3.3 for keypoints, unless the recipe states another."""
    assert Recipe(task="segmentation").loss.tags == "pixels"
    assert Recipe(task="segmentation", loss=LossConfig(near=24)).loss == LossConfig(tags="pixels", near=24)
    assert Recipe(task="segmentation", loss=LossConfig(tags="groups")).loss.tags == "groups"
    assert Recipe().loss.tags == Recipe(task="tracking").loss.tags == "groups"
    with pytest.raises(ValueError, match=r"loss\.near has no meaning with loss\.tags: groups"):
        Recipe(loss=LossConfig(near=3))
    with pytest.raises(ValueError, match=r"loss\.official_push has no meaning with loss\.tags: pixels"):
        Recipe(task="segmentation", loss=LossConfig(official_push=True))


@pytest.mark.parametrize(
    ("task", "data"),
    [("segmentation", {"sigma": 1.0}), ("segmentation", {"sigma_growth": 0.1}), ("pose", {"zoom": 1.0})],
)
def test_a_data_setting_of_another_task_is_refused(task: Any, data: dict[str, Any]) -> None:
    (name,) = data
    with pytest.raises(ValueError, match=rf"data\.{name} is for \w+, so it has no effect with the task {task}"):
        Recipe(task=task, data=DataConfig(**data))


def test_weights_that_teach_nothing_are_refused() -> None:
    nothing = LossConfig(heatmap_weight=0, pull=0, push=0)
    with pytest.raises(ValueError, match="nothing would be learned"):
        Recipe(loss=nothing)
    single = Recipe(task="single-person", network=NetworkConfig(tag_size=0))
    with pytest.raises(ValueError, match="nothing would be learned"):
        replace(single, loss=LossConfig(heatmap_weight=0))
    with pytest.raises(ValueError, match="foreground must be positive"):
        LossConfig(foreground=0)
    Recipe(loss=replace(nothing, push=1))  # tags alone


def test_learning_rates_that_teach_nothing_are_refused() -> None:
    network = NetworkConfig("hourglass", options=dict(HOURGLASS))
    names = ("stem", "hourglasses", "refine", "outputs", "merge")
    recipe = Recipe(network=network, train=TrainConfig(lr_factors=dict.fromkeys(names, 0.0)))
    with pytest.raises(ValueError, match="lr_factors are 0 for every parameter"):
        build_state(recipe, 5, torch.device("cpu"))
