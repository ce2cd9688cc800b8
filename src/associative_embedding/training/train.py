"""The training loop, read from top to bottom.

A step: a batch that depends on (seed, step) alone -> network -> heatmap loss + tag loss of every output -> update. With
``train.accumulate`` a step has several batches, its parts, whose gradients are averaged. Since a step's data depend on
its number alone, a run that stops and resumes ends with the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from associative_embedding.data.stream import Stream
from associative_embedding.networks.device import choose_device
from associative_embedding.structures.maps import Maps, Target
from associative_embedding.training.batches import build_batches, build_stream, build_task
from associative_embedding.training.criterion import criterion
from associative_embedding.training.interrupt import Interrupt
from associative_embedding.training.log import Meter
from associative_embedding.training.optimizer import learning_rate, set_learning_rate, update_average
from associative_embedding.training.processes import Processes, check_same_step, process_group
from associative_embedding.training.progress import Progress
from associative_embedding.training.recipe import LossConfig, Recipe, TrainConfig
from associative_embedding.training.run_folder import Run
from associative_embedding.training.start_lines import start_lines
from associative_embedding.training.state import TrainingState, build_state
from associative_embedding.training.summary import model_line, names_line, steps_line, validation_lines
from associative_embedding.training.teacher import Teacher, build_teacher, teacher_lines
from associative_embedding.training.validation import Validation

Batch = tuple[Tensor, list[Target]]  # images (B, 3, H, W), and a target for each stride of the network


def train(recipe: Recipe, *, validate: Validation | None = None) -> Path:
    """Trains a model, and resumes from the state in the recipe's output folder if there is one.

    Under torchrun every process takes its own ``train.batch`` samples (times ``train.accumulate``) of a step, and
    gradients are averaged over the processes. Batch norms use the statistics of one part in one process.

    Args:
        recipe: all settings of the run.
        validate: network, info -> numbers for the log; called every ``train.validate_every`` steps and at the end, with
            the network in eval mode.

    Returns:
        The file of the trained model, ``output/model.safetensors``.

    Raises:
        ValueError: for a setting or data that cannot be used, or a loss that is not finite.
        KeyboardInterrupt: after saving, when interrupted.
    """
    with process_group() as processes:
        run, stream, teacher = prepare(recipe, validate, processes)
        lines = [*summary(run, stream), *teacher_lines(teacher)]
        with run.locked():
            run.resume()
            check_same_step(run.state.step, processes)
            run.start(lines)
            run.draw_batch(stream)
            run_steps(run, batches_of(run, stream), teacher)
            run.save()
            run.validate()
            run.report()
        return run.model_file


def prepare(recipe: Recipe, validate: Validation | None, processes: Processes) -> tuple[Run, Stream, Teacher | None]:
    """Builds a run before its first step, its samples and its teacher; writes nothing."""
    device = choose_device(recipe.train.device)
    task = build_task(recipe)
    state = build_state(recipe, task.channels, torch.device(device))
    config, multiple = recipe.train, state.network.multiple
    stream = build_stream(recipe.data, task, seed=config.seed, batch=config.batch, multiple=multiple)
    return Run(recipe, state, task, validate, processes), stream, build_teacher(recipe, task, device)


def summary(run: Run, stream: Stream) -> Iterator[str]:
    """Yields what a run prints at its start, after a check that there is anything to learn."""
    recipe, task = run.recipe, run.info.task
    yield model_line(recipe, run.state)
    yield names_line(task)
    yield from start_lines(recipe, task, stream, run.state.network.stride)
    yield from validation_lines(recipe, task, run.validation)
    yield steps_line(recipe, [mixture.dataset for mixture in stream.mixtures], run.processes.world)
    yield f"log, pictures and model: {recipe.output}"


def batches_of(run: Run, stream: Stream) -> Iterator[Batch]:
    """Returns the batches of the remaining steps."""
    strides, step = run.state.network.strides, run.state.step
    return build_batches(stream, run.info.task, run.recipe, strides, start_step=step, processes=run.processes)


def run_steps(run: Run, batches: Iterator[Batch], teacher: Teacher | None) -> None:
    """Takes the remaining steps of a run, or those that its budget allows; logs, saves and validates when it is due."""
    recipe, state, meter, interrupt = run.recipe, run.state, Meter(), Interrupt()
    model = nn.parallel.DistributedDataParallel(state.network) if run.processes.world > 1 else state.network
    name, silent = run.output.name, run.processes.rank > 0
    with (
        Progress(name, recipe.train.steps, state.step, run.clock, silent=silent) as progress,
        interrupt.listening(),
    ):
        while (place := run.next_place()) is not None and (parts := parts_of_step(batches, run)):
            run.rate = learning_rate(recipe.train, place)
            set_learning_rate(state.optimizer, run.rate)
            add_gradients(model, state, parts, Lesson(recipe.loss, place, teacher), meter)
            update(state, recipe.train)
            progress.update(state.step, place)
            finish_step(run, meter, interrupt, progress)
    if meter.batches:  # steps since the last line of the log
        run.log_losses(meter)


def parts_of_step(batches: Iterator[Batch], run: Run) -> list[Batch]:
    """Returns all parts of the next step. If a sample cannot be read, saves the run before the error ends it."""
    try:
        # All parts are read before the first is used: an error must not leave a step half done.
        return list(islice(batches, run.recipe.train.accumulate))
    except (ValueError, OSError):
        run.save()
        raise


@dataclass(frozen=True)
class Lesson:
    """How the outputs of a step are compared with its targets and, if there is one, with a teacher.

    Attributes:
        loss: losses and their factors.
        place: of the step in the schedules, see `Run`.
        teacher: whose heatmaps are learned, too, or None.
    """

    loss: LossConfig
    place: float
    teacher: Teacher | None = None

    def __call__(self, outputs: list[Maps], targets: list[Target], image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the scalar to minimise, and its terms without their factors; see `criterion`."""
        loss, terms = criterion(outputs, targets, self.loss, self.place)
        if self.teacher is None:
            return loss, terms
        taught = self.teacher(outputs, image)
        return loss + self.teacher.weight * taught, {**terms, "teacher": taught}


def add_gradients(model: nn.Module, state: TrainingState, parts: Sequence[Batch], lesson: Lesson, meter: Meter) -> None:
    """Adds the gradients of a step's parts to the weights, and their losses to the meter.

    Losses are means over a batch and all parts are equally large, so the mean over the parts is the loss of one batch.
    """
    device = state.network.device
    for number, (image, targets) in enumerate(parts, start=1):
        # Processes exchange gradients once a step, after the last part, and not after each.
        wait = number < len(parts) and isinstance(model, nn.parallel.DistributedDataParallel)
        with model.no_sync() if wait else nullcontext():  # type: ignore[operator]
            outputs = forward(model, image.to(device, non_blocking=True), amp=state.scaler.is_enabled())
            loss, terms = lesson(outputs, [target.to(device) for target in targets], image)
            state.scaler.scale(loss / len(parts)).backward()  # type: ignore[no-untyped-call]
        meter.add(len(image), {"loss": loss, **terms})


def forward(model: nn.Module, image: Tensor, *, amp: bool) -> list[Maps]:
    """Returns the outputs in single precision, in which losses are exact enough, also when the network uses half."""
    with torch.autocast(image.device.type, enabled=amp):
        outputs = model(image)
    return [Maps(maps.heatmap.float(), maps.tag.float()) for maps in outputs]


def update(state: TrainingState, config: TrainConfig) -> None:
    """Updates weights and moving average by the gradients of one step, and counts the step."""
    if config.clip:
        state.scaler.unscale_(state.optimizer)  # the limit is for the true gradient, not the scaled one
        nn.utils.clip_grad_norm_(state.network.parameters(), config.clip)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    if state.average is not None:
        update_average(state.average, state.network, config.ema, state.step)
    state.step += 1


def finish_step(run: Run, meter: Meter, interrupt: Interrupt, progress: Progress) -> None:
    """Logs, saves and validates if these are due after this step.

    Raises:
        KeyboardInterrupt: after saving, when the run was interrupted.
    """
    config = run.recipe.train
    if run.due(config.log_every):
        progress.loss = run.log_losses(meter)["loss"]
    if interrupt.requested_by_any(run.processes):
        run.save()
        raise KeyboardInterrupt(
            f"interrupted at step {run.state.step}; saved in {run.output}, the same command resumes"
        )
    # Saved before the validation, which takes long: if it is interrupted or fails, no step is lost.
    if run.due(config.save_every) or run.due(config.validate_every):
        run.save()
    if run.due(config.validate_every):
        with interrupt.at_once(), meter.paused():
            run.validate()
