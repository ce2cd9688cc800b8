"""``ae train --data annotations.json``: writes a recipe, and trains with it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from associative_embedding.apps.errors import UsageError

# The names that a recipe has for them are accepted, too.
TASKS = {
    **{"pose": "pose", "masks": "masks", "tracks": "tracks"},
    **{"segmentation": "masks", "tracking": "tracks"},
}


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors `main` prints."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(message)


def has_data(arguments: Sequence[str]) -> bool:
    """Returns whether the arguments of ``ae train`` name data in place of a recipe."""
    begins = bool(arguments) and arguments[0].startswith("-")
    return begins and any(argument.partition("=")[0] == "--data" for argument in arguments)


def with_recipe(arguments: Sequence[str]) -> list[str]:
    """Writes the recipe for the data, and returns the arguments with the recipe in the place of the data.

    Args:
        arguments: ``--data JSON [--images FOLDER] [--task TASK] [--output FOLDER]`` and settings of the recipe.

    Raises:
        UsageError: for options that are wrong.
        ValueError: see `write_start_recipe`.
    """
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    for name in ("--data", "--images", "--output", "--task"):
        parser.add_argument(name)
    given, others = parser.parse_known_args(list(arguments))
    if given.task is not None and given.task not in TASKS:
        raise UsageError(f"task: must be one of pose, masks, tracks, not {given.task!r}; single-person needs a recipe")
    from associative_embedding.io.console import say, visible
    from associative_embedding.training.start_recipe import write_start_recipe

    task = TASKS[given.task] if given.task else None
    path = write_start_recipe(task, given.data, given.images, given.output)  # type: ignore[arg-type]
    say(f"ae: wrote {visible(path)}; to change a setting, edit it and run: ae train {visible(path)}", sys.stderr)
    return [str(path), *others]


def long_names(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments with ``--time`` as the setting that it stands for."""
    return [f"--train.{argument[2:]}" if argument.partition("=")[0] == "--time" else argument for argument in arguments]
