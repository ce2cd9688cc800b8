"""Training inputs: crops as narrow as at prediction, several sizes, and squares as they always were."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from associative_embedding.data.readers.person_crops import PersonCrops
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.stream import Stream, TrainingStream
from associative_embedding.data.stream_by_shape import StreamByShape
from associative_embedding.inference.refiner import Refiner
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.single_person.settings import RefineConfig
from associative_embedding.tasks.single_person.task import SinglePersonTask
from associative_embedding.training.batches import build_batches, build_stream, build_task, shapes_of
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.validation import build_validation
from support.person_crops import crops_of
from support.tiny import FIGURE, tiny_info, tiny_network, tiny_recipe

NARROW = RefineConfig(min_size=20, beside=0.1)


def recipe_of(folder: Path, source: SourceConfig, refine: RefineConfig = NARROW, **data: Any) -> Recipe:
    recipe = tiny_recipe(folder, source, batch=3)
    network = replace(recipe.network, tag_size=0)
    data = {"input_size": 96, "workers": 0, **data}
    return replace(recipe, task="single-person", network=network, refine=refine, data=replace(recipe.data, **data))


def stream_of(recipe: Recipe, seed: int = 2) -> Stream:
    return build_stream(recipe.data, build_task(recipe), seed=seed, batch=recipe.train.batch, multiple=16)


@pytest.mark.parametrize("refine", [NARROW, replace(NARROW, rule="published"), replace(NARROW, beside=1.0)])
def test_people_are_cropped_in_training_as_at_prediction(source: SourceConfig, refine: RefineConfig) -> None:
    info = tiny_info(task=SinglePersonTask(FIGURE, refine), tag_size=0, input_size=96)
    refiner = Refiner(tiny_network(info), info, FIGURE, views="one")
    seen: list[Array] = []

    def nothing_in(image: Array, boxes: Array) -> Array:
        seen.append(boxes)
        return np.zeros((len(boxes), 5, 3))

    refiner.keypoints_in = nothing_in  # type: ignore[method-assign]
    people = crops_of(source, refine.crops)
    shapes = shapes_of(people, 96, refiner.network.multiple)
    for i, shape in enumerate(shapes.tolist()):
        sample = people[i]
        found = Instances(np.ones(1), np.ones(1, int), np.zeros((1, 1)), sample.keypoints, (64, 64), FIGURE)
        refiner(found, sample.image)
        assert sample.focus is not None
        assert seen[-1] == pytest.approx(sample.focus[None])
        assert list(refiner._input_size(seen[-1][0], 96)) == shape
    assert refine.squares == (len({tuple(shape) for shape in shapes.tolist()}) == 1)


def test_batches_have_the_shapes_of_the_crops(tmp_path: Path, source: SourceConfig) -> None:
    recipe = recipe_of(tmp_path, source)
    stream, task = stream_of(recipe), build_task(recipe)
    recipe = replace(recipe, train=replace(recipe.train, steps=30))
    whole = [image for image, _ in build_batches(stream, task, recipe, (4,))]
    assert all(image.shape[0] == 3 for image in whole)
    (mixture,) = stream.mixtures
    expected = Counter(map(tuple, shapes_of(mixture.dataset, 96, 16).tolist()))
    assert len(expected) > 1
    assert {tuple(image.shape[2:]) for image in whole} <= set(expected)
    assert len({tuple(image.shape[2:]) for image in whole}) > 1
    # a run that resumes reads what it would have read
    for before, after in zip(whole[20:], build_batches(stream, task, recipe, (4,), start_step=20), strict=True):
        assert torch.equal(before, after[0])


@pytest.mark.parametrize("squares", [replace(NARROW, rule="published"), replace(NARROW, beside=1.0)])
def test_squares_are_the_same_samples_as_ever(tmp_path: Path, source: SourceConfig, squares: RefineConfig) -> None:
    recipe = recipe_of(tmp_path, source, squares)
    stream = stream_of(recipe)
    assert isinstance(stream, TrainingStream)
    (mixture,) = stream.mixtures
    assert isinstance(mixture.dataset, PersonCrops)
    assert stream.augment.keywords["input_size"] == (96, 96)  # type: ignore[attr-defined]
    plain = TrainingStream([mixture], augment=stream.augment, mosaic=stream.mosaic, overlap=stream.overlap, seed=2)
    for i in (0, 5, 30):
        assert np.array_equal(stream.sample_at(i).image, plain.sample_at(i).image)


def test_more_sizes_are_drawn_as_often_as_the_first(tmp_path: Path, source: SourceConfig) -> None:
    recipe = replace(tiny_recipe(tmp_path, source), data=replace(tiny_recipe(tmp_path, source).data, more_sizes=(96,)))
    stream = build_stream(recipe.data, build_task(recipe), seed=0, batch=2)
    assert isinstance(stream, StreamByShape)
    sizes = Counter(stream.sample_at(i).image.shape for i in range(0, 120, 2))
    assert sizes.keys() == {(64, 64, 3), (96, 96, 3)}
    assert 20 <= sizes[96, 96, 3] <= 40
    assert len(stream.mixtures) == 1  # counted once
    narrow = stream_of(recipe_of(tmp_path, source, more_sizes=[64]))
    assert isinstance(narrow, StreamByShape)
    long = Counter(max(narrow.sample_at(i).image.shape) for i in range(0, 180, 3))
    assert long.keys() == {64, 96}
    assert 20 <= long[64] <= 40


def test_sizes_must_fit_the_network(tmp_path: Path, source: SourceConfig) -> None:
    recipe = recipe_of(tmp_path, source, input_size=128, more_sizes=(96,))
    with pytest.raises(ValueError, match=r"the network needs multiples of 64, not \[96\]"):
        build_stream(recipe.data, build_task(recipe), seed=0, multiple=64)


def test_a_validation_crops_people_as_narrow(tmp_path: Path, source: SourceConfig) -> None:
    validation = build_validation(recipe_of(tmp_path, source, validation=[source]))
    assert validation is not None
    focus = [validation.sources[0][i].focus for i in range(4)]
    assert any(width < height for _, _, width, height in focus)  # type: ignore[misc]
