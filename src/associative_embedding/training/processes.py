"""The processes of a run: one, or several under torchrun."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import torch
import torch.distributed as dist


class Processes(NamedTuple):
    """The place of this process among all processes of a run.

    Attributes:
        rank: number of this process; only number 0 writes files.
        world: number of processes.
    """

    rank: int = 0
    world: int = 1


ALONE = Processes()


@contextmanager
def process_group() -> Iterator[Processes]:
    """Joins the process group of torchrun inside the block; without torchrun there is one process."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    # gloo also with GPUs: the flag of an interrupt is on the CPU, where NCCL cannot reduce it. Windows has no NCCL.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    # Only process 0 validates, and the others wait for it: a long validation must not run into the timeout.
    dist.init_process_group(backend, timeout=timedelta(hours=6))
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
        dist.barrier()  # all leave together, also while process 0 still validates
    finally:
        dist.destroy_process_group()


def check_same_step(step: int, processes: Processes) -> None:
    """Checks that all processes continue from the same step.

    Raises:
        ValueError: when one process resumes and another starts from step 0; they would wait for each other forever.
    """
    steps: list[int | None] = [step] * processes.world
    if processes.world > 1:
        dist.all_gather_object(steps, step)
    if len(set(steps)) > 1:
        raise ValueError(f"the processes found states of the steps {steps}: all must share one output folder")


def largest(value: float, processes: Processes) -> float:
    """Returns the largest value of all processes, which must all call it in the same step."""
    if processes.world == 1:
        return value
    # On the CPU, see the backend in `process_group`.
    number = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(number, op=dist.ReduceOp.MAX)
    return float(number)
