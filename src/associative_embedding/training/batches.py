"""From a recipe's `data` section to batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from associative_embedding.config import DataConfig, Recipe, SourceConfig
from associative_embedding.data.coco import CocoKeypoints, held_out
from associative_embedding.data.coco_masks import CocoMasks, class_names
from associative_embedding.data.frames import FramePairs
from associative_embedding.data.images import ImageFolder
from associative_embedding.data.loader import Mixture, Samples, TrainingStream, batches
from associative_embedding.data.people import PersonCrops
from associative_embedding.data.voc import VOC_CLASSES, VocMasks
from associative_embedding.settings import RefineConfig
from associative_embedding.skeleton import Skeleton, load_skeleton
from associative_embedding.tasks.pose import PoseTask
from associative_embedding.tasks.segmentation import SegmentationTask
from associative_embedding.tasks.single_pose import SinglePersonTask
from associative_embedding.tasks.target import ImageTarget, collate
from associative_embedding.tasks.task import Task
from associative_embedding.tasks.tracking import TrackingTask
from associative_embedding.types import Array, Sample, Target

D = TypeVar("D", bound=ImageFolder[Any])
Row = tuple[Array, list[ImageTarget]]  # an image, and what it teaches at each stride


def open_source(source: SourceConfig, skeleton: Skeleton, *, part: str) -> CocoKeypoints:
    """One source's images, without (`part` = "train") or only (`part` = "validation") its held-out share.

    Raises:
        ValueError: for a source that cannot be read, or when no image of it is left to train on.
    """
    if source.split:
        raise ValueError(f"{source.annotations or source.images}: split is of VOC trees of masks: leave it out")
    data = CocoKeypoints(
        source.annotations, source.images, skeleton, complete=source.complete, rename=source.rename or None, cache=False
    )
    return take_part(data, source, part, "no image has a labelled person")


def mask_images(
    path: str, images: str | None, classes: Sequence[str], split: str, rename: Mapping[str, str] | None = None
) -> CocoMasks | VocMasks:
    """All images of a COCO json, or of an image set of a VOC tree, without holding their files in memory."""
    if is_voc(path):
        return VocMasks(path, split, classes, images=images, cache=False)
    return CocoMasks(path, images or "", classes, rename=rename, cache=False)


def open_masks(source: SourceConfig, classes: Sequence[str], *, part: str) -> CocoMasks | VocMasks:
    """The same of a source of masks.

    Args:
        classes: C names of what is taught.
    """
    path = check_mask_source(source)
    none = "the image set is empty" if is_voc(path) else "there is none"
    return take_part(mask_images(path, source.images, classes, source.split, source.rename), source, part, none)


def source_classes(source: SourceConfig) -> list[str]:
    """All classes of a source of masks, in the order of their ids.

    Raises:
        ValueError: for annotations that cannot be read.
    """
    path = check_mask_source(source)
    return list(VOC_CLASSES) if is_voc(path) else class_names(path, source.rename)


def is_voc(annotations: str) -> bool:
    return (Path(annotations) / "SegmentationObject").is_dir()


def check_mask_source(source: SourceConfig) -> str:
    """The path of the annotations.

    Raises:
        ValueError: for a setting that has no meaning for masks, or lacks.
    """
    if source.annotations is None:
        raise ValueError(f"{source.images}: masks need annotations, a COCO json or a VOC tree")
    if is_voc(source.annotations) and not source.split:
        raise ValueError(f"{source.annotations}: a VOC tree needs a split, the name of an image set such as train")
    if source.split and not is_voc(source.annotations):
        raise ValueError(f"{source.annotations}: split is of VOC trees, but this is no folder with SegmentationObject")
    if source.mosaic or source.overlap:
        raise ValueError(f"{source.annotations}: mosaic and overlap are for keypoints, not for masks: set both to 0")
    if not source.complete:
        raise ValueError(f"{source.annotations}: complete is for keypoints, not for masks: leave it out")
    if source.rename and is_voc(source.annotations):
        raise ValueError(f"{source.annotations}: rename is for COCO jsons; a VOC tree's classes have their names")
    return source.annotations


def take_part(data: D, source: SourceConfig, part: str, none: str) -> D:
    """The images of `part`; `none` says why there may not be any at all."""
    chosen = data
    if source.held_out:
        chosen = data.select(lambda image_id: held_out(image_id, source.held_out) == (part == "validation"))
    if part == "train" and not len(chosen):
        why = f"held_out: {source.held_out} takes all {len(data)}" if len(data) else none
        raise ValueError(f"{source.annotations or source.images}: no image to train on is left, {why}")
    return chosen.cached() if source.cache else chosen  # only now: what is not used is not read


def open_people(source: SourceConfig, images: CocoKeypoints, config: RefineConfig) -> PersonCrops:
    """The people of a source one by one.

    Raises:
        ValueError: when there is none, or several images are to be composed into one: a crop shows one person.
    """
    where = source.annotations or source.images
    if source.mosaic or source.overlap:
        raise ValueError(f"{where}: mosaic and overlap are for the task pose, leave them out for single-person")
    people = PersonCrops(images, margin=config.margin, min_size=config.min_size)
    if not len(people):
        raise ValueError(f"{where}: no person has the {people.min_keypoints} labelled keypoints that a crop needs")
    return people


def open_pairs(source: SourceConfig, images: CocoKeypoints, reach: int) -> FramePairs:
    """The pairs of frames of a source.

    Raises:
        ValueError: when it has no track ids, or frames are to be composed.
    """
    if source.mosaic or source.overlap:
        raise ValueError(f"{source.annotations}: mosaic and overlap are for the task pose, leave them out for tracking")
    return FramePairs(images, reach)


def build_task(recipe: Recipe) -> Task:
    """
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
    """What a task learns of one source, without its held-out share."""
    if isinstance(task, SegmentationTask):
        return open_masks(source, task.classes, part="train")
    assert isinstance(task, (PoseTask, SinglePersonTask))
    images = open_source(source, task.skeleton, part="train")
    if isinstance(task, SinglePersonTask):
        return open_people(source, images, task.decode_config)
    return open_pairs(source, images, task.reach) if isinstance(task, TrackingTask) else images


def build_stream(data: DataConfig, task: Task, *, stride: int, seed: int) -> TrainingStream:
    """
    Raises:
        ValueError: for sources that cannot be read, or when there is none.
    """
    if not data.sources:
        raise ValueError("data.sources is empty: a recipe needs at least one source to train on")
    mixtures = [
        Mixture(open_samples(source, task), weight=source.weight, mosaic=source.mosaic, overlap=source.overlap)
        for source in data.sources
    ]
    size = (data.input_size, data.input_size)
    return TrainingStream(
        mixtures,
        data.augment,
        input_size=size,
        stride=stride,
        flip_index=task.flip_index,
        edges=task.skeleton.edge_index if isinstance(task, PoseTask) else np.zeros((0, 2), np.int64),
        seed=seed,
    )


@dataclass(frozen=True)
class Encode:
    """Sample -> a row of a batch for each of its frames; a class so that loader processes can be sent it."""

    task: Task
    strides: tuple[int, ...]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[Row]:
        frames = [sample] if sample.later is None else [sample, sample.later]
        return [(f.image, [self.task.encode(f, stride=s, rng=rng) for s in self.strides]) for f in frames]


def collate_strides(scenes: Sequence[list[Row]]) -> tuple[torch.Tensor, list[Target]]:
    """A batch of images, the frames of a video one after the other, and for each stride their targets."""
    images, targets = zip(*(row for scene in scenes for row in scene), strict=True)
    frames = len(scenes[0])
    batches = [collate(list(zip(images, column, strict=True)), frames) for column in zip(*targets, strict=True)]
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
    """Batches of the steps from `start_step` to the recipe's last, ``train.accumulate`` a step.

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
        parts=recipe.train.accumulate,
    )
    try:
        yield from stored
    except ValueError as error:  # from a loader process it comes with that process's traceback as its text
        raise ValueError(str(error).strip().splitlines()[-1].removeprefix("ValueError: ")) from None
