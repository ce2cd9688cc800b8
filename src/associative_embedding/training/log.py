"""The log of a training run: means of the losses and results of validations, by step."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from associative_embedding.io.files import append_line

LOG_FILE = "log.jsonl"  # in the output folder

Numbers = dict[str, Any]  # name -> number or text of one line of the log


class Log:
    """``log.jsonl`` in the output folder: one json object per line.

    Args:
        output: folder of the run.
        silent: write nothing; of several processes only the first one writes.
        tensorboard: write TensorBoard events too.

    Raises:
        ValueError: when `tensorboard` is set and TensorBoard is not installed.
    """

    def __init__(self, output: Path, *, silent: bool = False, tensorboard: bool = False) -> None:
        self.path, self.silent = output / LOG_FILE, silent
        self.writer = None if silent or not tensorboard else summary_writer(output)

    def write(self, event: str, step: int, values: Numbers) -> None:
        """Appends a line.

        Args:
            event: "start", "train" or "validation".
            step: number of steps done.
            values: what to write besides.

        Raises:
            OSError: one line, on a full disk; the file keeps whole lines only.
        """
        if self.silent:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Opened for each line, so that a line is on the disk when a run is killed after it.
        append_line(self.path, json.dumps({"event": event, "step": step, **values, "time": round(time.time(), 1)}))
        if self.writer is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self.writer.add_scalar(f"{event}/{name}", value, step)
            self.writer.flush()


def summary_writer(output: Path) -> Any:
    """Returns TensorBoard's writer. TensorBoard is imported here, as it is optional and slow to import."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError(
            "train.tensorboard needs TensorBoard: pip install 'associative-embedding[tensorboard]'"
        ) from None
    return SummaryWriter(str(output))  # type: ignore[no-untyped-call]


@dataclass
class Meter:
    """Means of the losses, and the speed, since the last call of `take`.

    Attributes:
        sums: name of a loss -> its sum over the batches.
        batches: number of batches.
        images: number of images.
        since: time of the last `take`, seconds.
    """

    sums: dict[str, Tensor] = field(default_factory=dict)
    batches: int = 0
    images: int = 0
    since: float = field(default_factory=time.perf_counter)

    def add(self, images: int, losses: dict[str, Tensor]) -> None:
        """Adds the losses of one batch of this process."""
        # The sums stay on the device: reading a number from a GPU in every step would wait for it.
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value.detach()
        self.batches, self.images = self.batches + 1, self.images + images

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves the time of the block out of the speed."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.since += time.perf_counter() - began

    def take(self, world: int = 1) -> Numbers:
        """Returns the mean losses and the images per second of all `world` processes, and starts again from 0."""
        means = torch.stack(list(self.sums.values())) / (self.batches * world)
        if world > 1:
            dist.all_reduce(means)  # the sum over all processes, each already divided by their number
        rate = self.images * world / (time.perf_counter() - self.since)
        losses = {name: round(value, 6) for name, value in zip(self.sums, means.tolist(), strict=True)}
        self.sums, self.batches, self.images, self.since = {}, 0, 0, time.perf_counter()
        return {**losses, "images_per_second": round(rate, 2)}
