"""What a training run writes down: numbers by the step."""

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

Log = dict[str, Any]


class Journal:
    """``log.jsonl`` in the output folder: one json object a line, flushed.

    Args:
        output: the run's folder.
        silent: write nothing; of several processes only the first one writes.
        tensorboard: also write TensorBoard events.

    Raises:
        ValueError: when TensorBoard is asked for and not installed.
    """

    def __init__(self, output: Path, *, silent: bool = False, tensorboard: bool = False) -> None:
        self.path, self.silent = output / "log.jsonl", silent
        self.writer = None if silent or not tensorboard else summary_writer(output)

    def write(self, event: str, step: int, values: Log) -> None:
        if self.silent:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, "step": step, **values, "time": round(time.time(), 1)}) + "\n")
        if self.writer is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self.writer.add_scalar(f"{event}/{name}", value, step)
            self.writer.flush()


def summary_writer(output: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError(
            "train.tensorboard needs TensorBoard: pip install 'associative-embedding[tensorboard]'"
        ) from None
    return SummaryWriter(str(output))  # type: ignore[no-untyped-call]


@dataclass
class Meter:
    """Means of the losses and the speed since they were last taken."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    images: int = 0
    since: float = field(default_factory=time.perf_counter)

    def add(self, images: int, values: dict[str, Tensor]) -> None:
        """One step of this process. Values stay on their device: reading them here would wait for it."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value.detach()
        self.steps, self.images = self.steps + 1, self.images + images

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, time does not count."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.since += time.perf_counter() - began

    def take(self, world: int = 1) -> Log:
        """The means over the steps and all `world` processes, and images per second; starts anew."""
        means = torch.stack(list(self.sums.values())) / (self.steps * world)
        if world > 1:
            dist.all_reduce(means)
        rate = self.images * world / (time.perf_counter() - self.since)
        log = {name: round(value, 6) for name, value in zip(self.sums, means.tolist(), strict=True)}
        self.sums, self.steps, self.images, self.since = {}, 0, 0, time.perf_counter()
        return {**log, "images_per_second": round(rate, 2)}
