"""Several processes under torchrun."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist


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
