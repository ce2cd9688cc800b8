"""A model of one person: its samples, targets, network without tags, decode and training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.data.augmentation.augment import augment, random_view
from associative_embedding.data.settings import SourceConfig
from associative_embedding.detection.peaks import highest
from associative_embedding.inference.predictor import Predictor
from associative_embedding.model_files.checkpoint import load_model, start_from
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.networks.zoo import build_network
from associative_embedding.structures.geometry import centred, letterbox
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.pose.target import draw_gaussians
from associative_embedding.tasks.single_person.settings import RefineConfig
from associative_embedding.tasks.single_person.task import SinglePersonTask
from associative_embedding.training.batches import build_stream, build_task
from associative_embedding.training.recipe import LossConfig, NetworkConfig, Recipe
from associative_embedding.training.train import train
from associative_embedding.training.validation import build_validation
from support.person_crops import crops_of, images_of
from support.tiny import FIGURE, STILL, tiny_data, tiny_info, tiny_model, tiny_recipe

TASK = SinglePersonTask(FIGURE, sigma=1.0)


def single_recipe(folder: Path, source: SourceConfig, **train: Any) -> Recipe:
    recipe = tiny_recipe(folder, source, **train)
    network = replace(recipe.network, tag_size=0)
    return replace(recipe, task="single-person", network=network, refine=RefineConfig(min_size=20))


# --- samples


def test_the_view_is_of_the_focus(source: SourceConfig) -> None:
    crops = crops_of(source)
    for i in range(len(crops)):
        sample = crops[i]
        assert sample.focus is not None
        geometry = random_view(sample, np.random.default_rng(0), STILL, (64, 64))
        corners = geometry.from_input(np.array([[0.0, 0], [64, 64]]))
        x, y, width, height = sample.focus
        assert corners == pytest.approx(np.array([[x, y], [x + width, y + height]]), abs=1e-3)
        assert augment(sample, np.random.default_rng(0), STILL, (64, 64), FIGURE.flip_index).focus is None


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_turning_and_scaling_leave_the_person_in_the_middle(seed: int, source: SourceConfig) -> None:
    varied = replace(STILL, rotation=40, scale=(0.7, 1.2), mirror=0.5)
    sample = crops_of(source)[0]
    assert sample.focus is not None
    geometry = random_view(sample, np.random.default_rng(seed), varied, (64, 64))
    centre = sample.focus[:2] + sample.focus[2:] / 2
    assert geometry.to_input(centre) == pytest.approx([32, 32], abs=1e-3)


def test_others_are_taught_as_absent(source: SourceConfig) -> None:
    """Heatmaps of this person alone, counted everywhere inside of the image, and no tags."""
    images, crops = images_of(source), crops_of(source)
    image, person = crops.places[0]
    assert len(images[image].keypoints) > 1
    target = TASK.encode(crops[0], stride=4, rng=np.random.default_rng(0))
    xy = images[image].keypoints[[person], :, :2] / 4 - 0.5
    visible = images[image].keypoints[[person], :, 2] > 0
    assert np.array_equal(target.heatmap, draw_gaussians(xy, visible, (32, 40), 1.0))
    assert target.valid.all()
    assert target.index.shape == (0, 4)


def test_only_what_the_source_labels_is_taught(source: SourceConfig) -> None:
    sample = crops_of(source)[0]
    target = TASK.encode(replace(sample, labelled=np.arange(5) != 2), stride=4, rng=np.random.default_rng(0))
    assert target.valid.all(axis=(1, 2)).tolist() == [True, True, False, True, True]


# --- the network


@pytest.mark.parametrize("backbone", ["hourglass", "mobilenet_v2"])
def test_a_network_without_tags(backbone: str, tmp_path: Path) -> None:
    """The same heatmaps as the network that it starts from, and nothing of the tags is left."""
    info = tiny_info(backbone)
    model = tiny_model(tmp_path / "model.safetensors", backbone=backbone)
    full = load_model(model)[0]
    network = build_network(backbone, len(FIGURE), 0, {k: v for k, v in info.options.items() if k != "position"}).eval()
    fresh = start_from(network, model)
    image = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    maps = network(image)[-1]
    assert maps.tag.shape == (2, 5, 0, 16, 24)
    assert not [name for name in network.state_dict() if "tag" in name]
    if backbone == "mobilenet_v2":  # the hourglass has one last layer for both, and feeds it on
        assert fresh == []
        assert torch.equal(maps.heatmap, full(image)[-1].heatmap)


# --- decode


def test_a_model_file_says_the_task() -> None:
    task = SinglePersonTask(FIGURE, RefineConfig(threshold=0.2, agree=0.3))
    info = tiny_info(task=task, tag_size=0)
    again = ModelInfo.from_json(info.to_json())
    assert again.tag_size == 0
    assert again.task.to_description() == task.to_description()
    assert isinstance(again.task, SinglePersonTask)
    with pytest.raises(ValueError, match="tag_size must be a positive integer, not 0"):
        ModelInfo.from_json(tiny_info(tag_size=0).to_json())
    with pytest.raises(ValueError, match="tag_size must be a positive integer or 0, not -1"):
        ModelInfo.from_json(tiny_info(task=task, tag_size=-1).to_json())


def test_the_one_person_is_where_the_heatmaps_are_highest() -> None:
    geometry = letterbox((64, 96), 192, multiple=32, stride=4)
    truth = np.array([[[20.3, 11.7], [40, 30], [70.2, 50.1], [5.5, 60], [90, 5]]])
    visible = np.array([[True, True, True, False, True]])
    heatmap = torch.from_numpy(draw_gaussians(geometry.to_map(truth), visible, geometry.map_size, 1.5))[None]
    maps = Maps(heatmap, torch.zeros(1, 5, 0, *geometry.map_size))
    decoded = TASK.decode_groups(maps, geometry)
    assert len(decoded.instances) == len(decoded.groups) == 1
    keypoints = decoded.instances.keypoints[0]
    assert keypoints[visible[0], :2] == pytest.approx(truth[visible], abs=0.05)
    assert keypoints[3].tolist() == [0, 0, 0]
    assert decoded.instances.score[0] == pytest.approx(keypoints[:, 2].mean())
    assert decoded.channel.tolist() == [0, 1, 2, 4]
    nobody = TASK.decode_groups(Maps(heatmap * 0.1, maps.tag), geometry)
    assert len(nobody.instances) == len(nobody.detections) == 0


def test_a_keypoint_outside_of_the_image_is_not_found() -> None:
    """The square around an image that is twice as wide as high has empty quarters above and below."""
    geometry = centred((32, 64), (64, 64), stride=4, scale=1.0)
    truth = np.array([[[20.0, 10], [30, -8], [40, 40], [5, 30], [60, 1]]])
    heatmap = torch.from_numpy(draw_gaussians(geometry.to_map(truth), np.ones((1, 5), bool), geometry.map_size, 1.0))
    person = TASK.decode_groups(Maps(heatmap[None], torch.zeros(1, 5, 0, *geometry.map_size)), geometry).instances
    assert (person.keypoints[0, :, 2] > 0).tolist() == [True, False, False, True, True]


def test_the_highest_place_of_every_map() -> None:
    heatmap = torch.rand(3, 5, 7, 9, generator=torch.Generator().manual_seed(0))
    peaks = highest(heatmap)
    for b, k in np.ndindex(3, 5):
        y, x = np.unravel_index(int(heatmap[b, k].argmax()), (7, 9))
        assert peaks[b, k, 2] == heatmap[b, k].max().item()
        assert abs(peaks[b, k, 0] - x) <= 0.5
        assert abs(peaks[b, k, 1] - y) <= 0.5
    heatmap[1, 2, 3, 4] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        highest(heatmap)


def test_a_predictor_of_one_person(tmp_path: Path) -> None:
    """Scales and mirror go through maps that have no tags."""
    path = tiny_model(
        tmp_path / "m.safetensors", task=SinglePersonTask(FIGURE, RefineConfig(threshold=1e-6)), tag_size=0
    )
    predictor = Predictor(*load_model(path), scales=(1.0, 0.5), flip=True, input_size=64)
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    assert len(predictor(image)) <= 1


def test_a_whole_image_is_a_square_with_the_person_in_the_middle(tmp_path: Path) -> None:
    """As in training. A small image fills a part of the square only: no crop of training is smaller than `min_size`."""
    path = tiny_model(tmp_path / "m.safetensors", task=SinglePersonTask(FIGURE, RefineConfig(min_size=60)), tag_size=0)
    predictor = Predictor(*load_model(path), input_size=64)
    for size, scale in (((120, 40), 64 / 120), ((30, 20), 64 / 60)):
        ((inputs, geometry),) = predictor.prepare(np.full((*size, 3), 255, np.uint8))
        assert inputs.shape == (1, 3, 64, 64)
        assert geometry.to_input(np.array([size[1] / 2, size[0] / 2])) == pytest.approx([32, 32])
        assert geometry.scale == pytest.approx(scale)


# --- training


def test_a_single_person_model_is_trained_and_validated(tmp_path: Path) -> None:
    """A few people are learned by heart, from recipe to OKS."""
    source = tiny_data(tmp_path, images=1, size=(96, 96), people=(2, 2))
    recipe = single_recipe(tmp_path, source, steps=80, batch=4, lr=5e-3, warmup=10, log_every=80)
    options = {"stacks": 1, "widths": [16, 24, 32], "stem": [16, 16], "batch_norm": True}
    recipe = replace(
        recipe,
        network=NetworkConfig(backbone="hourglass", tag_size=0, options=options),
        # validation looks at the mirror image too
        data=replace(
            recipe.data, augment=replace(STILL, mirror=0.5), validation=[source], validation_scales=(1.0, 0.5)
        ),
        loss=LossConfig(heatmap_weight=100),
    )
    path = train(recipe, validate=build_validation(recipe))
    log = [json.loads(line) for line in (path.parent / "log.jsonl").read_text().splitlines()]
    assert (log[1]["pull"], log[1]["push"]) == (0, 0)
    assert log[-1]["event"] == "validation"
    assert log[-1]["OKS"] > 0.8
    assert log[-1]["PCK"] > 0.8
    info = load_model(path)[1]
    assert info.task.decode_config == recipe.refine
    assert info.scales == (1.0, 0.5)


def test_tags_and_the_task_must_agree(tmp_path: Path, source: SourceConfig) -> None:
    recipe = tiny_recipe(tmp_path, source)
    with pytest.raises(ValueError, match="tag_size must be 0 for the task single-person, not 2"):
        replace(recipe, task="single-person")
    with pytest.raises(ValueError, match="tag_size must be at least 1 for the task pose, not 0"):
        replace(recipe, network=replace(recipe.network, tag_size=0))


@pytest.mark.parametrize("name", ["mosaic", "overlap"])
def test_crops_are_not_composed(tmp_path: Path, source: SourceConfig, name: str) -> None:
    recipe = single_recipe(tmp_path, replace(source, **{name: 0.5}))
    with pytest.raises(ValueError, match="mosaic and overlap are for the task pose"):
        build_stream(recipe.data, build_task(recipe), seed=0)


def test_a_source_without_people_is_named(tmp_path: Path, source: SourceConfig) -> None:
    recipe = single_recipe(tmp_path, replace(source, annotations=None))
    data = replace(recipe.data, skeleton=str(source.annotations))
    with pytest.raises(ValueError, match=r"images: no person has the 4 labelled keypoints"):
        build_stream(data, TASK, seed=0)


def test_refine_settings_are_checked() -> None:
    for values, message in (
        ({"margin": 0.9}, "refine.margin must be at least 1"),
        ({"threshold": 0}, "refine.threshold must be positive"),
        ({"agree": 1.5}, r"refine.agree must be in \[0, 1\]"),
        ({"min_size": "big"}, "refine.min_size must be a number"),
    ):
        with pytest.raises(ValueError, match=message):
            RefineConfig(**values)  # type: ignore[arg-type]
