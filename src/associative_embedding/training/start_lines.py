"""What a run says before its first step: what each source labels, and what the recipe leaves untaught."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from associative_embedding.data.label_counts import LabelCounts, count_labels, teach_something
from associative_embedding.data.readers.frame_pairs import FramePairs
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.stream import Stream
from associative_embedding.io.console import list_briefly
from associative_embedding.io.counts import counted, of_them
from associative_embedding.structures.keypoint_sides import unpaired_sides
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.keypoint_task import KeypointTask
from associative_embedding.tasks.task import Task
from associative_embedding.training.idle_settings import idle_settings
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.shared_images import shared_images, validation_set_lines

SAMPLES = 64  # that are searched for one with something to learn; nearly always the first one has


def start_lines(recipe: Recipe, task: Task, stream: Stream, stride: int) -> list[str]:
    """Returns the lines of a run, after a check that there is anything to learn.

    Args:
        recipe: of the run.
        task: of the recipe.
        stream: its samples.
        stride: of the network.

    Raises:
        ValueError: when nothing is labelled.
    """
    datasets = [mixture.dataset for mixture in stream.mixtures]
    counts = [count_labels(samples) for samples in datasets]
    sources = recipe.data.sources
    if not sum(count.objects is None or count.objects for count in counts) or not teach_something(datasets):
        names = list_briefly([name_of(source) for source in sources])
        raise ValueError(f"{names}: nothing to learn, {'; '.join(map(why_nothing, counts))}")
    lines = [
        f"training: {name_of(source)}: {in_words(count, task)}" for source, count in zip(sources, counts, strict=True)
    ]
    for source, samples in zip(sources, datasets, strict=True):
        if isinstance(samples, FramePairs):
            lines.append(f"{name_of(source)}: {samples.images.videos}; {counted(len(samples), 'pair')} of frames")
    lines += untaught_types(counts, names_of_types(task))
    if isinstance(task, KeypointTask) and recipe.data.augment.mirror:
        lines.append(mirror_line(task.skeleton))
    lines += validation_set_lines(sources, datasets)
    lines += shared_images(recipe.data.validation, datasets)
    return [*lines, *empty_targets(task, stream, stride), *weights_of_0(recipe), *idle_settings(recipe)]


def name_of(source: SourceConfig) -> str:
    """Returns the name of a source for messages."""
    return source.annotations or source.images


def names_of_types(task: Task) -> list[str]:
    """Returns the names of the task's C keypoint types or classes."""
    return list(task.skeleton.keypoints) if isinstance(task, KeypointTask) else [c["name"] for c in task.categories]


def in_words(count: LabelCounts, task: Task) -> str:
    """Returns the counts of a source."""
    images, (one, many) = counted(count.images, "image"), nouns(task)
    objects = "" if count.objects is None else f", {counted(count.objects, one, many)}"
    labelled, total = int((count.of_type > 0).sum()), len(count.of_type)
    types = ("class", "classes") if task.finds_masks else ("keypoint type", "keypoint types")
    return f"{images}{objects}, {of_them(labelled, total, *types)} labelled"


def nouns(task: Task) -> tuple[str, str]:
    """Returns one and several of what a task finds; skeletons of people are called "person"."""
    if isinstance(task, KeypointTask):
        return ("person", "people") if task.skeleton.name == "person" else ("individual", "individuals")
    return "object", "objects"


def why_nothing(count: LabelCounts) -> str:
    """Returns why a source teaches nothing."""
    images = counted(count.images, "image")
    if not count.objects:
        return f"no object of its {images} has a label inside of the image"
    return f"the labels of its {images} all lie outside of the image or in an ignored region"


def untaught_types(counts: Sequence[LabelCounts], names: Sequence[str]) -> Iterator[str]:
    """Yields a line if there are keypoint types or classes that no source labels."""
    total = np.sum([count.of_type for count in counts], axis=0)
    if missing := [name for name, number in zip(names, total, strict=True) if not number]:
        yield f"no source labels {list_briefly(missing)}: the model will not find what has no label"


def empty_targets(task: Task, stream: Stream, stride: int) -> Iterator[str]:
    """Yields a line if settings such as ``masks.object_size`` or ``augment.scale`` leave nothing of the labels."""
    for i in range(SAMPLES):
        target = task.encode(stream.sample_at(i), stride=stride, rng=np.random.default_rng(i))
        if (target.valid & (target.heatmap > 0.5)).any():
            return
    yield f"the first {SAMPLES} samples have no label after augmentation: nothing in them is learned"


def mirror_line(skeleton: Skeleton) -> str:
    """Returns which keypoints change places in a mirror image, or why no image is mirrored."""
    if skeleton.sides_known:
        pairs = [f"{a} - {b}" for a, b in skeleton.flip_pairs]
        return f"mirrored images exchange {list_briefly(pairs)}" if pairs else "mirrored images exchange no keypoints"
    alone = unpaired_sides(skeleton.keypoints, skeleton.flip_pairs) if skeleton.flip_pairs else []
    why = f"{list_briefly(alone)} has no counterpart" if alone else "the names of the keypoints have no left and right"
    advice = "name them left_..., right_..., or state 'flip_pairs' in the category ([] if a mirror exchanges nothing)"
    return f"images are not mirrored, as {why}; {advice}"


def weights_of_0(recipe: Recipe) -> Iterator[str]:
    """Yields a line for each part of the model that the weights of the loss leave as it is."""
    if not recipe.loss.heatmap_weight:
        by_whom = "not taught" if recipe.teacher.model is None else "taught by the teacher alone"
        yield f"loss.heatmap_weight is 0: heatmaps are {by_whom}"
    if recipe.network.tag_size and not recipe.loss.pull and not recipe.loss.push:
        yield "loss.pull and loss.push are 0: tags are not taught"
