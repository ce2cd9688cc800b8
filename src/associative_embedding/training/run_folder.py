"""A run's folder: recipe, log, state and model."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from tqdm import tqdm

from associative_embedding.io.files import atomic_write
from associative_embedding.model_files.checkpoint import MODEL_FILE, ModelInfo, save_model
from associative_embedding.networks.network import Network
from associative_embedding.tasks.task import Task
from associative_embedding.training.log import Journal, Log
from associative_embedding.training.optimizer import learning_rate, set_training
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.state import NAME as STATE
from associative_embedding.training.state import TrainingState, save_state

Validate = Callable[[Network, ModelInfo], Log]


@dataclass
class Run:
    """A run's folder: log, state and model. Of several processes only the first one (rank 0) writes."""

    recipe: Recipe
    state: TrainingState
    info: ModelInfo
    journal: Journal
    validate: Validate | None
    rank: int
    saved: int = -1  # the step of the last save
    checked: int = -1  # and of the last validation

    @classmethod
    def start(
        cls,
        recipe: Recipe,
        state: TrainingState,
        task: Task,
        validate: Validate | None,
        *,
        rank: int,
        world: int,
        device: torch.device,
    ) -> Run:
        journal = Journal(Path(recipe.output), silent=rank > 0, tensorboard=recipe.train.tensorboard)
        info = ModelInfo(
            backbone=recipe.network.backbone,
            tag_size=recipe.network.tag_size,
            options=dict(recipe.network.options),
            task=task,
            input_size=recipe.data.validation_size,
            zoom=recipe.data.zoom,
            scales=tuple(recipe.data.validation_scales),
        )
        run = cls(recipe, state, info, journal, validate, rank)
        if rank == 0:
            atomic_write(run.output / "recipe.yaml", yaml.safe_dump(plain(recipe), sort_keys=False).encode())
        journal.write("start", state.step, {"fresh": len(state.fresh), "device": str(device), "world": world})
        return run

    @property
    def output(self) -> Path:
        return Path(self.recipe.output)

    @property
    def model_file(self) -> Path:
        return self.output / MODEL_FILE

    def due(self, every: int) -> bool:
        """Whether something that happens `every` so many steps (0 = never) happens now."""
        return every > 0 and self.state.step % every == 0

    def log(self, values: Log) -> Log:
        """Note the losses of the last steps; NaN or infinity ends the run."""
        step = self.state.step
        if not math.isfinite(values["loss"]):
            raise ValueError(f"the loss is {values['loss']} at step {step}; {self.advice()}")
        self.journal.write("train", step, {**values, "lr": learning_rate(self.recipe.train, step - 1)})
        return values

    def save(self) -> None:
        """Write the state and the model, once a step."""
        if self.rank > 0 or self.saved == self.state.step:
            return
        if not all(bool(value.isfinite().all()) for value in self.state.network.state_dict().values()):
            raise ValueError(f"weights are not finite at step {self.state.step}; {self.advice()}")
        save_state(self.output, self.state, self.recipe)
        info = dataclasses.replace(self.info, notes={"steps": self.state.step})
        save_model(self.model_file, self.state.best, info)
        self.saved = self.state.step

    def check(self) -> None:
        """Validate and note the numbers, once a step."""
        if self.rank > 0 or self.validate is None or self.checked == self.state.step:
            return
        step = self.state.step
        try:
            numbers = self.validate(self.state.best, self.info)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"interrupted in the validation of step {step}; saved in {self.output}, the same command resumes"
            ) from None
        set_training(self.state.network)  # it is the one validated when there is no average
        self.journal.write("validation", step, numbers)
        self.checked = step
        tqdm.write(f"ae: step {step}: {in_short(numbers)}", file=sys.stderr)

    def advice(self) -> str:
        """What to do about numbers that are not finite."""
        kept = "the last checkpoint is kept. " if (self.output / STATE).is_file() else "nothing was saved yet. "
        return f"{kept}Lower train.lr, set train.clip, or look at the data"


SHORT = ("AP", "keypoints_grouped_right", "people_grouped_right", "OKS", "PCK", "dsb_ap50", "dsb_map", "pq")


def in_short(numbers: Log) -> str:
    """AP and the rates of right grouping, or OKS and PCK, as far as they are known."""
    names = [name for name in SHORT if name in numbers]
    return ", ".join(f"{name} {numbers[name] if numbers[name] is None else f'{numbers[name]:.3f}'}" for name in names)


def plain(recipe: Recipe) -> Log:
    """A recipe as plain lists and dicts."""
    result: Log = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return result
