"""The folder of a run: recipe, log, state and model."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path

import yaml

from associative_embedding.io.console import list_briefly, say, visible
from associative_embedding.io.files import atomic_write
from associative_embedding.io.lock_files import locked
from associative_embedding.io.outputs import check_output, own_form
from associative_embedding.model_files.checkpoint import MODEL_FILE, ModelInfo, save_model
from associative_embedding.networks.network import Network, evaluating
from associative_embedding.tasks.task import Task
from associative_embedding.training.changed_settings import changed_lines, changed_settings
from associative_embedding.training.identity import identity_of
from associative_embedding.training.log import Log, Meter, Numbers
from associative_embedding.training.optimizer import learning_rate
from associative_embedding.training.processes import Processes
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.state import STATE_FILE, TrainingState, load_state, save_state

RECIPE_FILE = "recipe.yaml"
LOCK_FILE = "run.lock"  # while a run is at work
WRITTEN = "# Written by ae train: all settings of the run in this folder.\n"  # how the next run knows the file

Validation = Callable[[Network, ModelInfo], Numbers]

# Numbers of a validation that the terminal shows; the log has all of them.
SHOWN = ("AP", "keypoints_grouped_right", "people_grouped_right", "OKS", "PCK", "dsb_ap50", "dsb_map", "pq")


class Run:
    """A run and its folder. Of several processes only the first one writes.

    Args:
        recipe: all settings of the run.
        state: network, optimiser and step.
        task: the meaning of the maps, for the model file.
        validation: network, info -> numbers for the log; None = no validation.
        processes: the place of this process.
    """

    def __init__(
        self, recipe: Recipe, state: TrainingState, task: Task, validation: Validation | None, processes: Processes
    ) -> None:
        self.recipe, self.state, self.validation, self.processes = recipe, state, validation, processes
        self.info = model_info(recipe, task)
        self.identity = identity_of(self.info) | {"seed": recipe.train.seed}
        # Saving and validating can be due at the last step and again at the end of the run: each is done once a step.
        self.saved_step = self.validated_step = -1

    @property
    def output(self) -> Path:
        """The folder of the run."""
        return Path(self.recipe.output)

    @property
    def model_file(self) -> Path:
        """The file of the trained model."""
        return self.output / MODEL_FILE

    @cached_property
    def log(self) -> Log:
        """The log of the run.

        Raises:
            ValueError: when TensorBoard is asked for and not installed.
        """
        # Not made in __init__: TensorBoard writes at once, also into the folder of another run.
        return Log(self.output, silent=self.processes.rank > 0, tensorboard=self.recipe.train.tensorboard)

    def locked(self) -> AbstractContextManager[None]:
        """Keeps other runs out of the folder inside the block; the first process does so for all.

        Raises:
            ValueError: when another run is at work in it.
        """
        return locked(self.output / LOCK_FILE) if self.processes.rank == 0 else nullcontext()

    def resume(self) -> None:
        """Loads the state in the folder, if there is one.

        Raises:
            ValueError: for a folder that is not of this run, see `load_state`.
        """
        load_state(self.output, self.state, self.identity, self.recipe.train.steps)

    def start(self, lines: Sequence[str] = ()) -> None:
        """Prints the lines, and writes the recipe, with all defaults, and the first line of the log.

        Raises:
            ValueError: when another file would be overwritten, or TensorBoard is missing.
        """
        state, path = self.state, self.output / RECIPE_FILE
        changed = changed_settings(path, plain(self.recipe)) if state.step else {}
        if self.processes.rank == 0:
            if not state.step:  # a folder with a state is that of a run
                check_output(path, own_form(WRITTEN))
                check_output(self.log.path, own_form(r'\{"event": "start"'))
            for line in [*lines, *self.fresh_line(), *changed_lines(changed, state.step)]:
                say(f"ae: {visible(line)}", file=sys.stderr)
            atomic_write(path, (WRITTEN + yaml.safe_dump(plain(self.recipe), sort_keys=False)).encode())
        start = {"fresh": len(state.fresh), "device": str(state.network.device), "world": self.processes.world}
        self.log.write("start", state.step, {**start, **({"changed": changed} if changed else {})})

    def fresh_line(self) -> Iterator[str]:
        """Yields how many tensors of a new run ``network.start`` does not have, if it names a file."""
        state, start = self.state, self.recipe.network.start
        if start and not state.step:
            count = f"{len(state.fresh)} of {len(state.network.state_dict())} tensors"
            yield f"network.start: {count} start fresh{f' ({list_briefly(state.fresh)})' if state.fresh else ''}"

    def due(self, every: int) -> bool:
        """Returns whether an event that happens every `every` steps (0 = never) happens after this step."""
        return every > 0 and self.state.step % every == 0

    def log_losses(self, meter: Meter) -> Numbers:
        """Writes the mean losses since the last call to the log, and returns them.

        Raises:
            ValueError: for a loss that is NaN or infinite.
        """
        step, losses = self.state.step, meter.take(self.processes.world)
        if not math.isfinite(losses["loss"]):
            raise ValueError(f"the loss is {losses['loss']} at step {step}; {self.advice()}")
        self.log.write("train", step, {**losses, "lr": learning_rate(self.recipe.train, step - 1)})
        return losses

    def save(self) -> None:
        """Writes the state and the model, unless this step is saved already.

        Raises:
            ValueError: for weights that are not finite; the files of the last good step stay.
        """
        if self.processes.rank > 0 or self.saved_step == self.state.step:
            return
        if not all(bool(value.isfinite().all()) for value in self.state.network.state_dict().values()):
            raise ValueError(f"weights are not finite at step {self.state.step}; {self.advice()}")
        save_state(self.output, self.state, self.identity, self.recipe.train.keep)
        # The state has all that a run needs; the model is written too, so that it can be used while training goes on.
        info = dataclasses.replace(self.info, notes={"steps": self.state.step})
        save_model(self.model_file, self.state.best, info)
        self.saved_step = self.state.step

    def validate(self) -> None:
        """Validates, writes the numbers to the log and prints them, unless this step is validated already.

        Raises:
            KeyboardInterrupt: when interrupted.
        """
        if self.processes.rank > 0 or self.validation is None or self.validated_step == self.state.step:
            return
        step = self.state.step
        try:
            with evaluating(self.state.best):
                numbers = self.validation(self.state.best, self.info)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"interrupted in the validation of step {step}; saved in {self.output}, the same command resumes"
            ) from None
        self.log.write("validation", step, numbers)
        self.validated_step = step
        say(f"ae: step {step}: {in_short(numbers)}", file=sys.stderr)

    def advice(self) -> str:
        """Returns what to do about numbers that are not finite."""
        kept = "the last checkpoint is kept. " if (self.output / STATE_FILE).is_file() else "nothing was saved yet. "
        return f"{kept}Lower train.lr, set train.clip, or look at the data"


def model_info(recipe: Recipe, task: Task) -> ModelInfo:
    """Returns the description of the model that a recipe trains."""
    return ModelInfo(
        backbone=recipe.network.backbone,
        tag_size=recipe.network.tag_size,
        options=dict(recipe.network.options),
        task=task,
        input_size=recipe.data.validation_size,
        zoom=recipe.data.zoom,
        scales=tuple(recipe.data.validation_scales),
        tag_scales=recipe.data.validation_tag_scales and tuple(recipe.data.validation_tag_scales),
        conventions=recipe.conventions,
        normalize=recipe.data.normalize,
    )


def in_short(numbers: Numbers) -> str:
    """Returns the most important numbers of a validation on one line; which there are depends on the task."""
    names = [name for name in SHOWN if name in numbers]
    return ", ".join(f"{name} {numbers[name] if numbers[name] is None else f'{numbers[name]:.3f}'}" for name in names)


def plain(recipe: Recipe) -> Numbers:
    """Returns a recipe as dicts, lists and plain values, for YAML."""
    result: Numbers = json.loads(json.dumps(dataclasses.asdict(recipe)))  # json turns tuples into lists
    return result
