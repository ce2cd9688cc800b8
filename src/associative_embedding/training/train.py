"""The training loop, read from top to bottom.

A step is: a batch that depends on (seed, step) alone -> network -> heatmap loss + tag loss at every output -> update.
With ``train.accumulate``, a batch in several parts, whose gradients are averaged.
Because the data of a step is a pure function of its number, a run that stops and resumes ends with the same weights.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from associative_embedding.networks.device import choose_device
from associative_embedding.structures.maps import Maps, Target
from associative_embedding.training.batches import build_batches, build_stream, build_task
from associative_embedding.training.criterion import criterion
from associative_embedding.training.interrupt import Interrupt
from associative_embedding.training.log import Log, Meter
from associative_embedding.training.optimizer import learning_rate, set_learning_rate, update_average
from associative_embedding.training.processes import check_same_step, process_group
from associative_embedding.training.recipe import LossConfig, Recipe, TrainConfig
from associative_embedding.training.run_folder import Run, Validate
from associative_embedding.training.state import TrainingState, build_state, load_state

Batch = tuple[Tensor, list[Target]]


def train(recipe: Recipe, *, validate: Validate | None = None) -> Path:
    """Train by a recipe, resuming from what its output folder holds.

    Under torchrun every process takes its own ``train.batch`` samples (times ``train.accumulate``) of a step and
    gradients are averaged. Batch norms keep the statistics of their own process, and see one part at a time.

    Args:
        validate: network, info -> numbers for the log; called every ``train.validate_every`` steps and at the end.

    Returns:
        the trained model's file, ``output/model.safetensors``.

    Raises:
        ValueError: for a setting or data that cannot be used, or a loss that is not finite.
        KeyboardInterrupt: after saving, when interrupted.
    """
    config = recipe.train
    with process_group() as (rank, world):
        device = choose_device(config.device)
        task = build_task(recipe)
        state = build_state(recipe, task.channels, device)
        stream = build_stream(recipe.data, task, seed=config.seed)
        load_state(Path(recipe.output), state, recipe, device)
        check_same_step(state.step, world)
        run = Run.start(recipe, state, task, validate, rank=rank, world=world, device=device)
        model: nn.Module = nn.parallel.DistributedDataParallel(state.network) if world > 1 else state.network

        interrupt, meter = Interrupt(), Meter()
        strides = state.network.strides
        batches = build_batches(stream, task, recipe, strides=strides, start_step=state.step, rank=rank, world=world)
        bar = tqdm(total=config.steps, initial=state.step, disable=rank > 0 or None, desc=run.output.name, unit="step")
        if bar.disable and rank == 0:
            print(f"ae: {run.output.name}: {config.steps - state.step} steps, see {run.journal.path}", file=sys.stderr)
        with interrupt.listening(), bar:
            for parts in saving(steps_of(batches, config.accumulate), run):
                set_learning_rate(state.optimizer, learning_rate(config, state.step))
                for images, losses in add_gradients(model, state, parts, recipe.loss, device):
                    meter.add(images, losses)
                update(state, config)
                bar.update()
                if run.due(config.log_every):
                    bar.set_postfix(run.log(meter.take(world)))
                if interrupt.anywhere(world):
                    run.save()
                    raise KeyboardInterrupt(
                        f"interrupted at step {state.step}; saved in {run.output}, the same command resumes"
                    )
                if run.due(config.save_every) or run.due(config.validate_every):
                    run.save()
                if run.due(config.validate_every):
                    with interrupt.at_once(), meter.paused():
                        run.check()
        if meter.steps:
            run.log(meter.take(world))
        run.save()
        run.check()
        return run.model_file


def steps_of(batches: Iterator[Batch], parts: int) -> Iterator[list[Batch]]:
    """All `parts` of a step at once: a sample that cannot be read must not leave a step half done."""
    while step := list(islice(batches, parts)):
        yield step


def add_gradients(
    model: nn.Module, state: TrainingState, parts: Sequence[Batch], config: LossConfig, device: torch.device
) -> Iterator[tuple[int, Log]]:
    """Add up the gradients of a step; for each part its number of images, and its loss with all terms.

    The losses are means over a batch and the parts are equally large, so the mean over the parts is that of one batch.
    """
    for number, (image, targets) in enumerate(parts, start=1):
        between = number < len(parts) and isinstance(model, nn.parallel.DistributedDataParallel)
        with model.no_sync() if between else nullcontext():  # type: ignore[operator]
            outputs = forward(model, image.to(device, non_blocking=True), amp=state.scaler.is_enabled())
            loss, terms = criterion(outputs, [t.to(device) for t in targets], config, state.step)
            state.scaler.scale(loss / len(parts)).backward()  # type: ignore[no-untyped-call]
        yield len(image), {"loss": loss, **terms}


def forward(model: nn.Module, image: Tensor, *, amp: bool) -> list[Maps]:
    """The outputs in single precision, whatever the network computes in: the losses need it."""
    with torch.autocast(image.device.type, enabled=amp):
        outputs = model(image)
    return [Maps(maps.heatmap.float(), maps.tag.float()) for maps in outputs]


def update(state: TrainingState, config: TrainConfig) -> None:
    """One step of the optimizer, by the gradients that there are, and of the moving average."""
    if config.clip:
        state.scaler.unscale_(state.optimizer)  # the limit is on the true gradient
        nn.utils.clip_grad_norm_(state.network.parameters(), config.clip)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    if state.average is not None:
        update_average(state.average, state.network, config.ema, state.step)
    state.step += 1


def saving(steps: Iterator[list[Batch]], run: Run) -> Iterator[list[Batch]]:
    """The steps' batches; a sample that cannot be read ends the run, but not before what was learned is saved."""
    try:
        yield from steps
    except (ValueError, OSError):
        run.save()
        raise
