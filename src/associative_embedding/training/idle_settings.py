"""Settings that a recipe changes and that nothing reads: a run would be mistaken for one that had them.

`Recipe` refuses those that would be missed in the result; for the others, which a copied recipe often has, a line does.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any

from associative_embedding.training.recipe import Recipe

TAG_LOSS = (
    "tags",
    "pull",
    "push",
    "pull_warmup",
    "push_sigma",
    "pull_reduction",
    "official_push",
    "near",
    "push_kernel",
)
TEACHER = ("weight", "input_size", "scales", "flip")


def idle_settings(recipe: Recipe) -> Iterator[str]:
    """Yields a line for each setting that differs from its default and has no effect."""
    default = Recipe()
    for name, needed in unread(recipe):
        if value_of(recipe, name) != value_of(default, name):
            yield f"{name} has no effect: it is for {needed}"


def unread(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yields the settings and sections that this recipe does not read, and what they are for."""
    task, train = recipe.task, recipe.train
    for names, tasks in (
        (("decode",), ("pose", "tracking")),
        (("link", "data.reach"), ("tracking",)),
        (("masks", "mask_decode"), ("segmentation",)),
        (("refine",), ("single-person",)),
        (("data.skeleton",), ("pose", "tracking", "single-person")),
        (tuple(f"loss.{name}" for name in TAG_LOSS), ("pose", "tracking", "segmentation")),
    ):
        if task not in tasks:
            yield from ((name, f"the task {' or '.join(tasks)}") for name in names)
    if train.schedule != "step":
        yield from ((name, "train.schedule: step") for name in ("train.drops", "train.drop_factor"))
    if train.schedule != "cosine":
        yield "train.lr_end", "train.schedule: cosine"
    if train.optimizer == "adam":
        yield "train.weight_decay", "train.optimizer: adamw"
    if recipe.teacher.model is None:
        yield from ((f"teacher.{name}", "runs with teacher.model") for name in TEACHER)
    if not recipe.data.validation:
        yield "data.validation_images", "runs with data.validation"


def value_of(recipe: Recipe, name: str) -> Any:
    """Returns the setting or section of a name with dots; a list counts as a tuple, as in YAML."""
    value = reduce(getattr, name.split("."), recipe)
    return tuple(value) if isinstance(value, list) else value
