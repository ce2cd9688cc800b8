"""The training loop, read from top to bottom.

A step is: a batch that depends on (seed, step) alone -> network -> heatmap loss + tag loss at every output -> update.
With ``train.accumulate``, a batch in several parts, whose gradients are averaged.
Because the data of a step is a pure function of its number, a run that stops and resumes ends with the same weights.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

import torch
import torch.distributed as dist
import yaml
from torch import Tensor, nn
from tqdm import tqdm

from associative_embedding.checkpoint import MODEL_FILE, ModelInfo, save_model
from associative_embedding.config import LossConfig, Recipe, TrainConfig
from associative_embedding.device import choose_device
from associative_embedding.interrupt import Interrupt
from associative_embedding.journal import Journal, Log, Meter
from associative_embedding.losses import cross_entropy_loss, focal_loss, mse_loss, pixel_tag_loss, tag_loss
from associative_embedding.models.network import Network
from associative_embedding.optimisation import learning_rate, set_learning_rate, set_training, update_average
from associative_embedding.output import atomic_write
from associative_embedding.tasks.task import Task
from associative_embedding.training_data import build_batches, build_stream, build_task
from associative_embedding.training_state import NAME as STATE
from associative_embedding.training_state import TrainingState, build_state, load_state, save_state
from associative_embedding.types import Maps, Target

Validate = Callable[[Network, ModelInfo], Log]
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
        stream = build_stream(recipe.data, task, stride=state.network.stride, seed=config.seed)
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


def criterion(
    outputs: list[Maps], targets: list[Target], config: LossConfig, step: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Heatmap loss + tag loss, each averaged over the outputs that have it and the batch (paper, sections 3.3 and 4.1).

    Args:
        targets: one for each size of the outputs' maps.

    Returns:
        the scalar to minimise, and its unweighted terms.
    """
    of_size = {target.heatmap.shape[-2:]: target for target in targets}
    values: dict[str, list[Tensor]] = {"heatmap": [], "pull": [], "push": []}
    for maps in outputs:
        target = of_size[maps.heatmap.shape[-2:]]
        values["heatmap"].append(heatmap_loss(maps.heatmap, target, config).mean())
        if maps.tag.shape[2]:
            pull, push = grouping_loss(maps.tag, target, config)
            values["pull"].append(pull.mean())
            values["push"].append(push.mean())
    nothing = torch.zeros((), device=outputs[0].heatmap.device)  # of a network without tags
    terms = {name: torch.stack(losses).mean() if losses else nothing for name, losses in values.items()}
    warm = min(1.0, step / config.pull_warmup) if config.pull_warmup else 1.0
    total = config.heatmap_weight * terms["heatmap"] + config.pull * warm * terms["pull"] + config.push * terms["push"]
    return total, terms


def heatmap_loss(heatmap: Tensor, target: Target, config: LossConfig) -> Tensor:
    """The detection loss that a recipe chose, ``(B,)``."""
    if config.heatmap == "focal":
        return focal_loss(heatmap, target.heatmap, target.valid)
    loss = {"mse": mse_loss, "cross_entropy": cross_entropy_loss}[config.heatmap]
    return loss(heatmap, target.heatmap, target.valid, foreground=config.foreground)


def grouping_loss(tag: Tensor, target: Target, config: LossConfig) -> tuple[Tensor, Tensor]:
    """Pull and push of the tag loss that a recipe chose, ``(B,)`` each."""
    if config.tags == "pixels":
        return pixel_tag_loss(
            tag, target.samples, push_sigma=config.push_sigma, reduction=config.pull_reduction, near=config.near
        )
    return tag_loss(
        tag,
        target.samples,
        push_sigma=config.push_sigma,
        pull_reduction=config.pull_reduction,
        official_push=config.official_push,
        push_kernel=config.push_kernel,
    )


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


def saving(steps: Iterator[list[Batch]], run: Run) -> Iterator[list[Batch]]:
    """The steps' batches; a sample that cannot be read ends the run, but not before what was learned is saved."""
    try:
        yield from steps
    except (ValueError, OSError):
        run.save()
        raise


@contextmanager
def process_group() -> Iterator[tuple[int, int]]:
    """(rank, world) under torchrun, else (0, 1)."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield 0, 1
        return
    # gloo also with GPUs: the flag of an interrupt is on the host. The others wait while the first process validates.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group(backend, timeout=timedelta(hours=6))
    try:
        yield dist.get_rank(), dist.get_world_size()
        dist.barrier()
    finally:
        dist.destroy_process_group()


def check_same_step(step: int, world: int) -> None:
    """
    Raises:
        ValueError: when one process resumes and another starts anew; they would wait for each other forever.
    """
    steps: list[int | None] = [step] * world
    if world > 1:
        dist.all_gather_object(steps, step)
    if len(set(steps)) > 1:
        raise ValueError(f"the processes found states of the steps {steps}: all must share one output folder")


def plain(recipe: Recipe) -> Log:
    """A recipe as plain lists and dicts."""
    result: Log = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return result
