"""The data section of a recipe -> task, stream of samples, batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from associative_embedding.data.augmentation.augment import augment
from associative_embedding.data.augmentation.compose import mosaic, overlap
from associative_embedding.data.readers.person_crops import PersonCrops
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.sources import (
    open_frame_pairs,
    open_keypoints,
    open_masks,
    open_person_crops,
    source_classes,
)
from associative_embedding.data.stream import Mixture, Samples, Steps, Stream, TrainingStream, batches
from associative_embedding.data.stream_by_shape import StreamByShape, split_by_shape
from associative_embedding.io.coco_json import load_skeleton
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import crop_input_size
from associative_embedding.structures.maps import Target
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.segmentation.task import SegmentationTask
from associative_embedding.tasks.single_person.task import SinglePersonTask
from associative_embedding.tasks.targets import ImageTarget
from associative_embedding.tasks.task import Task
from associative_embedding.tasks.tracking.task import TrackingTask
from associative_embedding.training.collate import collate
from associative_embedding.training.processes import ALONE, Processes
from associative_embedding.training.recipe import DataConfig, Recipe

MULTIPLE = 32  # coarsest stride of most networks, of which recipes state multiples
Row = tuple[Array, list[ImageTarget]]  # an image, and its target at each stride


def build_task(recipe: Recipe) -> Task:
    """Returns the task of a recipe, with its settings for targets and decoding.

    Raises:
        ValueError: when the skeleton or the classes cannot be read.
    """
    data = recipe.data
    if recipe.task == "segmentation":
        masks = recipe.masks
        classes = masks.classes or (source_classes(data.sources[0]) if data.sources else [])
        return SegmentationTask(tuple(classes), recipe.mask_decode, masks.samples, masks.object_size)
    skeleton = load_skeleton(data.skeleton)
    if recipe.task == "single-person":
        return SinglePersonTask(skeleton, recipe.refine, sigma=data.sigma, sigma_growth=data.sigma_growth)
    if recipe.task == "tracking":
        return TrackingTask(
            skeleton,
            recipe.decode,
            sigma=data.sigma,
            sigma_growth=data.sigma_growth,
            link=recipe.link,
            reach=data.reach,
        )
    return PoseTask(skeleton, recipe.decode, sigma=data.sigma, sigma_growth=data.sigma_growth)


def open_samples(source: SourceConfig, task: Task) -> Samples:
    """Opens the samples of one source that a task is trained on: all but its held-out share.

    Raises:
        ValueError: for a source that cannot be read, does not fit the task, or has nothing to train on.
    """
    if isinstance(task, SegmentationTask):
        return open_masks(source, task.classes, part="train")
    assert isinstance(task, (PoseTask, SinglePersonTask))
    images = open_keypoints(source, task.skeleton, part="train")
    if isinstance(task, SinglePersonTask):
        return open_person_crops(source, images, task.decode_config.crops)
    return open_frame_pairs(source, images, task.reach) if isinstance(task, TrackingTask) else images


def build_stream(data: DataConfig, task: Task, *, seed: int, batch: int = 1, multiple: int = MULTIPLE) -> Stream:
    """Returns the endless stream of augmented training samples.

    Args:
        data: sources, augmentation and input sizes.
        task: what is read of the sources.
        seed: not negative; with the number of a sample and the batch it determines the sample.
        batch: so many samples, one after the other, have one shape.
        multiple: both sides of the network's input are multiples of it.

    Raises:
        ValueError: for sources that cannot be read, or when there is none, or for sizes that do not fit the network.
    """
    if not data.sources:
        raise ValueError("data.sources is empty: a recipe needs at least one source to train on")
    sides = (data.input_size, *data.more_sizes)
    if wrong := [side for side in sides if side % multiple]:
        raise ValueError(f"data.input_size, data.more_sizes: the network needs multiples of {multiple}, not {wrong}")
    # Sources are weighted, not joined: a small source can be drawn as often as a large one.
    mixtures = [
        Mixture(open_samples(source, task), weight=source.weight, mosaic=source.mosaic, overlap=source.overlap)
        for source in data.sources
    ]
    # Limbs are pasted when people overlap; the other tasks refuse `overlap`.
    edges = task.skeleton.edge_index if isinstance(task, PoseTask) else np.zeros((0, 2), np.int64)
    flip = task.flip_index
    settings = data.augment if flip is not None else replace(data.augment, mirror=0.0)
    view = partial(augment, settings=settings, flip_index=np.arange(task.channels) if flip is None else flip)
    streams = [
        TrainingStream(
            parts,
            augment=partial(view, input_size=shape),
            mosaic=partial(mosaic, size=shape),
            overlap=partial(overlap, edges=edges),
            seed=seed,
        )
        for side in sides
        for shape, parts in split_by_shape(mixtures, [shapes_of(m.dataset, side, multiple) for m in mixtures]).items()
    ]
    return streams[0] if len(streams) == 1 else StreamByShape(mixtures, streams, batch=batch)


def shapes_of(samples: Samples, side: int, multiple: int) -> Array:
    """Returns ``(N, 2)`` H, W of the input of each sample: a square, or the shape that a crop has at prediction.

    Args:
        samples: N samples.
        side: longer side of the input, pixels.
        multiple: both sides are multiples of it.
    """
    if isinstance(samples, PersonCrops):
        return np.array([crop_input_size(crop, side, multiple) for crop in samples.crops])
    return np.full((len(samples), 2), side)


@dataclass(frozen=True)
class Encode:
    """Turns a sample into a row of the batch for each of its frames (one, or two for the task "tracking").

    It is a class, as loader processes get it pickled, and a closure cannot be pickled.

    Attributes:
        task: makes the targets.
        strides: strides of the network's outputs; a row has a target for each.
    """

    task: Task
    strides: tuple[int, ...]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[Row]:
        """Returns the rows; `rng` chooses what is random in a target."""
        frames = [sample] if sample.later is None else [sample, sample.later]
        return [(f.image, [self.task.encode(f, stride=s, rng=rng) for s in self.strides]) for f in frames]


def collate_strides(scenes: Sequence[list[Row]]) -> tuple[torch.Tensor, list[Target]]:
    """Returns the images of a batch ``(B, 3, H, W)`` and their targets for each stride.

    The frames of one video follow each other, so that a track can be one group of the tag loss.
    """
    images, targets = zip(*(row for scene in scenes for row in scene), strict=True)
    frames = len(scenes[0])  # the same in every scene of a task
    batches = [collate(list(zip(images, column, strict=True)), frames) for column in zip(*targets, strict=True)]
    return batches[0][0], [target for _, target in batches]


def build_batches(
    stream: Stream,
    task: Task,
    recipe: Recipe,
    strides: tuple[int, ...],
    *,
    start_step: int = 0,
    processes: Processes = ALONE,
) -> Iterator[tuple[torch.Tensor, list[Target]]]:
    """Yields the batches of the steps from `start_step` to the recipe's last, ``train.accumulate`` batches per step.

    Args:
        stream: samples by number.
        task: makes the targets.
        recipe: batch size, number of steps and loader processes.
        strides: strides of the network's outputs; a batch has a target for each.
        start_step: number of steps done.
        processes: the place of this process, which gets its share of every step.

    Raises:
        ValueError: for a sample that cannot be read.
    """
    config = recipe.train
    steps = Steps(config.batch, start_step, config.steps - start_step, config.accumulate, *processes)
    stored = batches(stream, Encode(task, strides), collate_strides, steps, workers=recipe.data.workers)
    try:
        yield from stored
    except ValueError as error:
        # From a loader process, the text of the error is a whole traceback; its last line is the message.
        raise ValueError(str(error).strip().splitlines()[-1].removeprefix("ValueError: ")) from None
