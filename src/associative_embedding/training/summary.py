"""The summary that a run prints at its start, besides the labels of its sources (`start_lines`)."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from associative_embedding.data.label_counts import count_labels
from associative_embedding.data.stream import Samples
from associative_embedding.io.console import list_briefly
from associative_embedding.io.counts import counted
from associative_embedding.tasks.task import Task
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.start_lines import in_words, name_of, names_of_types
from associative_embedding.training.state import TrainingState
from associative_embedding.training.validation import Validation, ValidationSet

MOST_NAMES = 30  # keypoint types or classes on the line


def model_line(recipe: Recipe, state: TrainingState) -> str:
    """Returns the task, the network and the device."""
    parameters = [parameter.numel() for parameter in state.network.parameters()]
    trained = [p.numel() for p in state.network.parameters() if p.requires_grad]
    frozen = f" ({sum(trained) / sum(parameters):.0%} trained)" if len(trained) < len(parameters) else ""
    count = f"{sum(parameters) / 1e6:.1f} million" if sum(parameters) > 1e5 else f"{sum(parameters):,}"
    network = f"{recipe.network.backbone} with {count} parameters{frozen}"
    return f"task {recipe.task}, {network}, on {device_words(state.network.device)}"


def device_words(device: torch.device) -> str:
    """Returns a device for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {counted(torch.get_num_threads(), 'thread')}"


def names_line(task: Task) -> str:
    """Returns the names of the keypoint types or classes."""
    names = names_of_types(task)
    kinds = ("class", "classes") if task.finds_masks else ("keypoint", "keypoints")
    return f"{counted(len(names), *kinds)}: {list_briefly(names, MOST_NAMES)}"


def validation_lines(recipe: Recipe, task: Task, validation: Validation | None) -> Iterator[str]:
    """Yields what each source of the validation has, or that there is none."""
    if validation is None:
        yield "data.validation is empty: nothing will tell how good the model is on other images"
    if isinstance(validation, ValidationSet):
        for source, samples in zip(recipe.data.validation, validation.sources, strict=True):
            yield f"validation: {name_of(source)}: {in_words(count_labels(samples), task)}"


def steps_line(recipe: Recipe, sources: list[Samples], world: int) -> str:
    """Returns the steps, how often each image is shown, and the budget."""
    train = recipe.train
    batch = train.batch * train.accumulate * world
    images = sum(map(len, sources))
    times = train.steps * batch / images
    often = f"each about {times:.0f} times" if times >= 1.5 else "each about once" if times > 0.75 else ""
    often = often or f"about {times:.0%} of them"
    budget = f"; at most {train.time}" if train.time else ""
    steps = counted(train.steps, "step")
    return f"{steps} of {counted(batch, 'sample')}, {inputs_in_words(recipe)}; {images} in all, {often}{budget}"


def inputs_in_words(recipe: Recipe) -> str:
    """Returns the sizes of the network's inputs."""
    *first, last = sorted([recipe.data.input_size, *recipe.data.more_sizes])
    sizes = f"{', '.join(map(str, first))} and {last}" if first else str(last)
    if recipe.task == "single-person" and not recipe.refine.squares:
        return f"crops {sizes} pixels long, as narrow as the person"
    return f"squares of {sizes} pixels" if first else f"{last} x {last} pixels"
