"""From a recipe's `data` section to batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from associative_embedding.config import DataConfig, Recipe, SourceConfig
from associative_embedding.data.coco import CocoKeypoints, held_out
from associative_embedding.data.loader import Mixture, TrainingStream, batches
from associative_embedding.skeleton import Skeleton, load_skeleton
from associative_embedding.tasks.pose import PoseTask
from associative_embedding.tasks.target import ImageTarget, collate
from associative_embedding.tasks.task import Task
from associative_embedding.types import Array, Sample, Target


def open_source(source: SourceConfig, skeleton: Skeleton, *, part: str) -> CocoKeypoints:
    """One source's images, without (`part` = "train") or only (`part` = "validation") its held-out share.

    Raises:
        ValueError: for a source that cannot be read, or when no image of it is left to train on.
    """
    data = CocoKeypoints(
        source.annotations, source.images, skeleton, complete=source.complete, rename=source.rename or None, cache=False
    )
    chosen = data
    if source.held_out:
        chosen = data.select(lambda image_id: held_out(image_id, source.held_out) == (part == "validation"))
    if part == "train" and not len(chosen):
        why = f"held_out: {source.held_out} takes all {len(data)}" if len(data) else "no image has a labelled person"
        raise ValueError(f"{source.annotations or source.images}: no image to train on is left, {why}")
    return chosen.cached() if source.cache else chosen  # only now: what is not used is not read


def build_task(recipe: Recipe) -> Task:
    """
    Raises:
        ValueError: when the skeleton cannot be read.
    """
    data = recipe.data
    skeleton = load_skeleton(data.skeleton)
    return PoseTask(skeleton, recipe.decode, sigma=data.sigma, sigma_growth=data.sigma_growth)


def build_stream(data: DataConfig, task: Task, *, stride: int, seed: int) -> TrainingStream:
    """
    Raises:
        ValueError: for sources that cannot be read, or when there is none.
    """
    if not data.sources:
        raise ValueError("data.sources is empty: a recipe needs at least one source to train on")
    assert isinstance(task, PoseTask)
    mixtures = []
    for source in data.sources:
        dataset = open_source(source, task.skeleton, part="train")
        mixtures.append(Mixture(dataset, weight=source.weight, mosaic=source.mosaic, overlap=source.overlap))
    size = (data.input_size, data.input_size)
    return TrainingStream(
        mixtures,
        data.augment,
        input_size=size,
        stride=stride,
        flip_index=task.flip_index,
        edges=task.skeleton.edge_index,
        seed=seed,
    )


@dataclass(frozen=True)
class Encode:
    """Sample -> the arrays of one row of a batch; a class so that loader processes can be sent it."""

    task: Task
    strides: tuple[int, ...]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> tuple[Array, list[ImageTarget]]:
        return sample.image, [self.task.encode(sample, stride=stride, rng=rng) for stride in self.strides]


def collate_strides(rows: Sequence[tuple[Array, list[ImageTarget]]]) -> tuple[torch.Tensor, list[Target]]:
    """A batch of images and, for each stride, their targets; see `tasks.target.collate`."""
    images, targets = zip(*rows, strict=True)
    batches = [collate(list(zip(images, column, strict=True))) for column in zip(*targets, strict=True)]
    return batches[0][0], [target for _, target in batches]


def build_batches(
    stream: TrainingStream,
    task: Task,
    recipe: Recipe,
    *,
    strides: tuple[int, ...],
    start_step: int,
    rank: int,
    world: int,
) -> Iterator[tuple[torch.Tensor, list[Target]]]:
    """Batches of the steps from `start_step` to the recipe's last.

    Args:
        strides: of the network's outputs; a batch has a target for each.

    Raises:
        ValueError: for a sample that cannot be read.
    """
    stored = batches(
        stream,
        Encode(task, strides),
        collate_strides,
        batch=recipe.train.batch,
        start_step=start_step,
        steps=recipe.train.steps - start_step,
        workers=recipe.data.workers,
        rank=rank,
        world=world,
    )
    try:
        yield from stored
    except ValueError as error:  # from a loader process it comes with that process's traceback as its text
        raise ValueError(str(error).strip().splitlines()[-1].removeprefix("ValueError: ")) from None
