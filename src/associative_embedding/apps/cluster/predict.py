"""``ae predict --engine ray``: any number of images on any number of machines, by Ray Data; the results are parquet.

The sorted list of images is cut into shards. A shard is one file of the output folder, which is there or not: the same
command does what is left, and nothing twice.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tqdm import tqdm

from associative_embedding.apps.cluster.image_list import list_images, shards, sorted_once
from associative_embedding.apps.cluster.job import Job, check_manifest, complete, part_name
from associative_embedding.apps.cluster.worker import ShardWorker
from associative_embedding.apps.errors import UsageError
from associative_embedding.apps.sources import expand
from associative_embedding.io.console import say
from associative_embedding.io.object_stores import error_at, names_in, open_dataset
from associative_embedding.io.optional_packages import need

RETRIES = 1  # of a shard whose worker died, in one pass: an image that kills workers must not do so for ever
PASSES = 3  # of the shards that are left; while Ray has not noticed that a machine is gone, retries there fail at once


@dataclass(frozen=True)
class Pool:
    """The workers of a job.

    Attributes:
        workers: number of workers, each with one model; None = the number of the cluster's GPUs or, without any, CPUs.
        shard_size: images per parquet file.
        gpus: GPUs per worker, 0.5 = two share one; None = 1 if the cluster has some and the device is not the CPU.
    """

    workers: int | None = None
    shard_size: int = 256
    gpus: float | None = None

    def __post_init__(self) -> None:
        for name in ("workers", "shard_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be 1 or more, not {value}")
        if self.gpus is not None and not self.gpus > 0:
            raise UsageError(f"gpus must be positive, not {self.gpus}; for none, --device cpu")


def predict_on_ray(sources: Sequence[str], job: Job, pool: Pool | None = None, *, recursive: bool = False) -> int:
    """Predicts the images of the sources (`image_list.list_images`), or what an earlier run of the job left.

    Args:
        job: without digests and notes, which are filled in here.
        recursive: include subfolders.

    Returns:
        the exit status: 0, or 1 when an image or source could not be read, now or in the earlier run.

    Raises:
        UsageError: for numbers out of range, or a device that Ray does not give.
        ValueError, OSError: when nothing can be done at all, or the folder belongs to another job.
        KeyboardInterrupt: finished shards are kept.
    """
    pool = pool or Pool()
    check_job(job)
    modules()  # without Ray, an error now, not after listing a million images
    found, failures = expand(sources, lambda source: list_images(source, recursive=recursive))
    paths = sorted_once(found)
    if not paths:
        return 1
    job = complete(job, paths, pool.shard_size)
    done = names_in(job.folder)
    check_manifest(job, done)
    todo = [(n, part) for n, part in shards(paths, pool.shard_size) if part_name(n) not in done]
    count = -(-len(paths) // pool.shard_size)
    if len(todo) < count:
        say(f"{count - len(todo)} of {count} shards are in {job.folder} already")
    lost = run(job, pool, todo) if todo else 0
    if lost:
        say(
            f"ae: {lost} of {count} shards are not done: their workers died each time (out of memory?); "
            "the same command tries them again",
            file=sys.stderr,
        )
    failed = count_failed(job.folder)
    say(f"{len(paths) - failed} of {len(paths)} images, {failed} failed -> {job.folder}" if not lost else job.folder)
    return 1 if failures or failed or lost else 0


def check_job(job: Job) -> None:
    """
    Raises:
        UsageError: for a batch out of range, or a device that Ray does not give.
    """
    if job.batch is not None and job.batch < 1:
        raise UsageError(f"batch must be 1 or more, not {job.batch}")
    if job.options.device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {job.options.device}: Ray gives each worker its GPU: auto, cuda or cpu")


def run(job: Job, pool: Pool, todo: Sequence[tuple[int, list[str]]]) -> int:
    """Does the shards; returns the number of shards that could not be done.

    Raises:
        ValueError: when a worker says that nothing can be done.
        KeyboardInterrupt: with what is done.
    """
    left, error = dict(todo), ""
    bar = tqdm(total=sum(map(len, left.values())), desc="predict", unit="image", disable=None)
    try:
        with ray_runtime(pool.workers), bar:
            for _ in range(PASSES):
                error = one_pass(job, pool, left, bar)
                if not left:
                    break
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; {len(todo) - len(left)} of {len(todo)} shards are in {job.folder}, "
            "the same command does the others"
        ) from None
    if left and error:
        say(f"ae: {error}", file=sys.stderr)
    return len(left)


def one_pass(job: Job, pool: Pool, left: dict[int, list[str]], bar: Any) -> str:
    """Does the shards in `left` and removes the finished ones; returns Ray's error when it cannot go on, or "".

    Raises:
        ValueError: when a worker says that nothing can be done.
    """
    ray, _ = modules()
    try:
        for row in finished(job, pool, list(left.items())):
            if row["fault"]:
                raise ValueError(row["fault"])
            for error in row["errors"]:
                say(f"ae: {error}", file=sys.stderr)
            left.pop(row["shard"])
            bar.update(row["images"])
    except ray.exceptions.RayError as error:
        return error_at("Ray", error)
    return ""


def modules() -> tuple[Any, Any]:
    """Ray, and Ray Data, silent but for errors.

    Raises:
        ValueError: when they are not installed.
    """
    for name, value in (("RAY_USAGE_STATS_ENABLED", "0"), ("RAY_BACKEND_LOG_LEVEL", "fatal")):
        os.environ.setdefault(name, value)  # read at the import
    data = need("ray.data", "ray", "--engine ray")
    ray = need("ray", "ray", "--engine ray")
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # a traceback for each dead worker; shards are counted
    return ray, data


@contextmanager
def ray_runtime(workers: int | None) -> Iterator[None]:
    """Ray: the one that runs, the cluster that RAY_ADDRESS names, or one of this machine's own, for as long as needed.

    Raises:
        ValueError: when it is not installed, or there is no such cluster.
    """
    ray, _ = modules()
    own = not ray.is_initialized()
    if own:
        address = os.environ.get("RAY_ADDRESS", "local")
        options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if address == "local":
            options |= {"num_cpus": max(workers or 1, os.cpu_count() or 1), "include_dashboard": False}
        try:
            ray.init(address, **options)
        except (ConnectionError, RuntimeError) as error:
            raise ValueError(f"Ray at {error_at(address, error)}") from None
    try:
        yield
    finally:
        if own:
            ray.shutdown()


def finished(job: Job, pool: Pool, todo: Sequence[tuple[int, list[str]]]) -> Iterator[dict[str, Any]]:
    """Yields what `ShardWorker` returns for each shard, in the order in which they are finished."""
    ray, data = modules()
    cluster, gpus = ray.cluster_resources(), pool.gpus
    if gpus is None:
        gpus = 0.0 if job.options.device == "cpu" or not cluster.get("GPU") else 1.0
    if job.options.device == "auto" and not gpus:
        job = replace(job, options=replace(job.options, device="cpu"))
    size = pool.workers or max(1, int(cluster.get("GPU", 0) / gpus if gpus else cluster.get("CPU", 1)))
    context = data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1  # a shard that kills its workers does not stop the others
    context.max_consecutive_actor_init_deaths = 8  # nor does a machine that is gone when a worker starts on it
    items = data.from_items([{"shard": n, "paths": paths} for n, paths in todo], override_num_blocks=len(todo))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray 2.63 has no other way to say max_task_retries
        results = items.map_batches(
            ShardWorker,
            fn_constructor_args=(job,),
            batch_size=1,
            batch_format="pyarrow",
            # one shard at a time: what waits behind one that kills its worker would be blamed, too
            compute=data.ActorPoolStrategy(size=min(size, len(todo)), max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=gpus or None,
            max_task_retries=RETRIES,
        )
    yield from results.iter_rows()


def count_failed(folder: str) -> int:
    """How many rows of all parquet files have an error; their statistics say so, rows are not read."""
    from pyarrow.dataset import field

    return int(open_dataset(folder).count_rows(filter=~field("error").is_null()))
