"""The folder of a run: recipe, log, state and model."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path

import yaml

from associative_embedding.data.stream import Stream
from associative_embedding.io.console import list_briefly, say, say_error, visible
from associative_embedding.io.counts import counted, of_them
from associative_embedding.io.files import atomic_write
from associative_embedding.io.lock_files import locked
from associative_embedding.io.outputs import check_output, own_form, own_mark
from associative_embedding.model_files.checkpoint import save_model
from associative_embedding.model_files.model_info import MODEL_FILE, ModelInfo
from associative_embedding.networks.network import evaluating
from associative_embedding.tasks.task import Task
from associative_embedding.training.changed_settings import changed_lines, changed_settings
from associative_embedding.training.clock import Clock, seconds_of
from associative_embedding.training.history import Best, best_validation, read_log, score_of
from associative_embedding.training.identity import identity_of
from associative_embedding.training.log import LOG_FILE, Log, Meter, Numbers
from associative_embedding.training.optimizer import schedule_step
from associative_embedding.training.pictures import batch_picture, write_picture
from associative_embedding.training.processes import Processes, largest
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.report import REPORT_FILE, Story, as_text, lead_of, write_report
from associative_embedding.training.state import STATE_FILE, TrainingState, load_state, save_state
from associative_embedding.training.summary import device_words
from associative_embedding.training.validation import Validation, ValidationSet

RECIPE_FILE = "recipe.yaml"
BATCH_FILE = "batch.jpg"  # what the network is shown
VALIDATION_FOLDER = "validation"  # its pictures
LOCK_FILE = "run.lock"  # while a run is at work
WRITTEN = "# Written by ae train: all settings of the run in this folder.\n"  # how the next run knows the file

# Numbers of a validation that the terminal shows; the log has all of them.
SHOWN = (
    *("AP", "PCK", "pixel_error", "keypoints_grouped_right", "people_grouped_right", "OKS"),
    *("mAP50", "mAP70", "dsb_ap50", "dsb_map", "pq"),
)

MOST_CLASSES = 20  # on the line of a validation: as many as PASCAL VOC has; the report has all


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
        self.clock = Clock(seconds_of(recipe.train.time))
        self.rate = 0.0  # learning rate of the last step
        self.notes: list[str] = []  # lines of the start, for the report
        self.best: Best | None = None  # validation, of all sessions
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
        self.clock.before = self.state.seconds
        if self.state.step:
            self.best = best_validation(read_log(self.output / LOG_FILE))

    def next_place(self) -> float | None:
        """Returns the step of the schedules at which the next step is, or None when the run has ended before it.

        All processes must call it together.
        """
        train, state = self.recipe.train, self.state
        share = self.clock.share
        if train.time or train.patience:  # the clocks of processes differ, and only the first one validates
            share = largest(1.0 if self.stopped_early else share, self.processes)
        if state.step >= train.steps or (share >= 1 and (state.step or self.stopped_early)):
            return None
        return schedule_step(train, state.step, share)

    @property
    def stopped_early(self) -> bool:
        """Whether ``train.patience`` ends the run; not before something is found, which takes fresh weights a while."""
        patience = self.recipe.train.patience
        return bool(patience and self.best and self.best.score > 0 and self.best.since >= patience)

    def end_line(self) -> str:
        """Returns why the run ended before its last step; "" if it did not."""
        train, step = self.recipe.train, self.state.step
        if step >= train.steps:
            return ""
        if self.stopped_early and self.best:
            best = f"{self.best.name} {self.best.score:.3f} of step {self.best.step}"
            return f"ended early at step {step}: no better than {best} in {counted(self.best.since, 'validation')}"
        return f"ended at step {step} of {train.steps}: its time of {train.time} is used" if train.time else ""

    def start(self, lines: Sequence[str] = ()) -> None:
        """Prints the lines, and writes the recipe, with all defaults, and the first line of the log.

        Raises:
            ValueError: when another file would be overwritten, or TensorBoard is missing.
        """
        state, path = self.state, self.output / RECIPE_FILE
        changed = changed_settings(path, plain(self.recipe)) if state.step else {}
        if self.processes.rank == 0:
            if not state.step:  # a folder with a state is that of a run
                check_output(path, own_form(WRITTEN), announce=False)
                check_output(self.log.path, own_form(r'\{"event": "start"'), announce=False)
                for name in (BATCH_FILE, REPORT_FILE):
                    check_output(self.output / name, own_mark(), announce=False)
            self.notes = [*lines, *self.fresh_line(), *changed_lines(changed, state.step)]
            for line in self.notes:
                say(f"ae: {visible(line)}", file=sys.stderr)
            atomic_write(path, (WRITTEN + yaml.safe_dump(plain(self.recipe), sort_keys=False)).encode())
        start = {"fresh": len(state.fresh), "device": str(state.network.device), "world": self.processes.world}
        self.log.write("start", state.step, {**start, **({"changed": changed} if changed else {})})

    def fresh_line(self) -> Iterator[str]:
        """Yields how many tensors of a new run ``network.start`` has and lacks, if it names a file."""
        state, start = self.state, self.recipe.network.start
        if start and not state.step:
            total = len(state.network.state_dict())
            loaded = of_them(total - len(state.fresh), total, "tensor")
            fresh = f"; fresh: {list_briefly(state.fresh)}" if state.fresh else ""
            yield f"network.start: {Path(start).name} has {loaded}{fresh}"

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
        self.log.write("train", step, {**losses, "lr": self.rate})
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
        if self.recipe.train.time:
            self.state.seconds = self.clock.seconds
        save_state(self.output, self.state, self.identity, self.recipe.train.keep)
        # The state has all that a run needs; the model is written too, so that it can be used while training goes on.
        if not (self.recipe.train.patience and self.best):  # else `validate` writes it
            self.save_model()
        self.saved_step = self.state.step

    def save_model(self) -> None:
        """Writes the model of this step."""
        info = dataclasses.replace(self.info, notes={"steps": self.state.step})
        save_model(self.model_file, self.state.best, info)

    def validate(self) -> None:
        """Validates, writes the numbers to the log and prints them, unless this step is validated already.

        Raises:
            KeyboardInterrupt: when interrupted.
        """
        if self.processes.rank > 0 or self.validation is None or self.validated_step == self.state.step:
            return
        step = self.state.step
        try:
            with self.clock.validating(), evaluating(self.state.best):
                numbers = self.validation(self.state.best, self.info)
                self.draw_validation()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"interrupted in the validation of step {step}; saved in {self.output}, the same command resumes"
            ) from None
        if self.recipe.train.patience and self.is_better(numbers):
            self.save_model()  # before the line of the log: the model is never older than the log says
        self.log.write("validation", step, numbers)
        self.best = best_validation(read_log(self.log.path))
        self.validated_step = step
        for line in lines_of(numbers):
            say(f"ae: step {step}: {line}", file=sys.stderr)

    def is_better(self, numbers: Numbers) -> bool:
        """Returns whether a validation is better than all before it."""
        score = score_of(numbers)
        return score is not None and (self.best is None or score[1] > self.best.score)

    def draw_validation(self) -> None:
        """Writes the pictures of a validation that has some."""
        if isinstance(self.validation, ValidationSet):
            for name, picture in self.validation.pictures(self.state.best, self.info):
                path = self.output / VALIDATION_FOLDER / f"step-{self.state.step:06d}-{name}.jpg"
                with no_picture_ends_a_run():
                    write_picture(path, picture)

    def draw_batch(self, stream: Stream) -> None:
        """Writes what the network is shown first, once for a run."""
        path, train = self.output / BATCH_FILE, self.recipe.train
        if self.processes.rank == 0 and not (self.state.step and path.is_file()):
            numbers = range(train.batch * train.accumulate * self.processes.world)
            with no_picture_ends_a_run():
                write_picture(path, batch_picture(stream, self.info.task, numbers, self.state.network.stride))

    def report(self) -> None:
        """Prints why the run ended, if it did before its last step, and writes the report."""
        if self.processes.rank > 0:
            return
        if why := self.end_line():
            say(f"ae: {visible(self.output.name)}: {why}", file=sys.stderr)
        steps, device = self.recipe.train.steps, device_words(self.state.network.device)
        lead = lead_of(self.state.step, steps, self.clock.seconds, device)
        with no_picture_ends_a_run():
            path = write_report(self.output, Story(lead, [*self.notes, *([why] if why else [])], self.info.task.name))
            say(f"ae: {visible(self.output.name)}: curves, pictures and numbers: {visible(path)}", file=sys.stderr)

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


@contextmanager
def no_picture_ends_a_run() -> Iterator[None]:
    """Prints an error inside the block on one line: the model matters more than its pictures."""
    try:
        yield
    except (OSError, ValueError) as error:
        say_error(error)


def lines_of(numbers: Numbers) -> Iterator[str]:
    """Yields the lines of a validation: the most important numbers, and those of each class."""
    yield in_short(numbers)
    if classes := [f"{name} {value:.3f}" for name, value in numbers.items() if is_of_class(name) and value is not None]:
        yield list_briefly(classes, MOST_CLASSES)


def is_of_class(name: str) -> bool:
    """Returns whether a number is mAP^r of one class at an IoU of 0.5: ``AP50 person``."""
    return name.startswith("AP50 ")


def in_short(numbers: Numbers) -> str:
    """Returns the most important numbers of a validation on one line; which there are depends on the task."""
    names = [name for name in SHOWN if name in numbers]
    return ", ".join(f"{name} {as_text(numbers[name])}" for name in names)


def plain(recipe: Recipe) -> Numbers:
    """Returns a recipe as dicts, lists and plain values, for YAML."""
    result: Numbers = json.loads(json.dumps(dataclasses.asdict(recipe)))  # json turns tuples into lists
    return result
