"""The folder of a run: recipe, log, state and model."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from associative_embedding.io.console import say
from associative_embedding.io.files import atomic_write
from associative_embedding.model_files.checkpoint import MODEL_FILE, ModelInfo, save_model
from associative_embedding.networks.network import Network, evaluating
from associative_embedding.tasks.task import Task
from associative_embedding.training.log import Log, Meter, Numbers
from associative_embedding.training.optimizer import learning_rate
from associative_embedding.training.processes import Processes
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.state import STATE_FILE, TrainingState, save_state

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

    Raises:
        ValueError: when TensorBoard is asked for and not installed.
    """

    def __init__(
        self, recipe: Recipe, state: TrainingState, task: Task, validation: Validation | None, processes: Processes
    ) -> None:
        self.recipe, self.state, self.validation, self.processes = recipe, state, validation, processes
        self.info = model_info(recipe, task)
        self.log = Log(self.output, silent=processes.rank > 0, tensorboard=recipe.train.tensorboard)
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

    def start(self) -> None:
        """Writes the recipe, with all defaults, and the first line of the log."""
        if self.processes.rank == 0:
            text = yaml.safe_dump(plain(self.recipe), sort_keys=False)
            atomic_write(self.output / "recipe.yaml", text.encode())
        state = self.state
        start = {"fresh": len(state.fresh), "device": str(state.network.device), "world": self.processes.world}
        self.log.write("start", state.step, start)

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
        save_state(self.output, self.state, self.recipe)
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
    )


def in_short(numbers: Numbers) -> str:
    """Returns the most important numbers of a validation on one line; which there are depends on the task."""
    names = [name for name in SHOWN if name in numbers]
    return ", ".join(f"{name} {numbers[name] if numbers[name] is None else f'{numbers[name]:.3f}'}" for name in names)


def plain(recipe: Recipe) -> Numbers:
    """Returns a recipe as dicts, lists and plain values, for YAML."""
    result: Numbers = json.loads(json.dumps(dataclasses.asdict(recipe)))  # json turns tuples into lists
    return result
