"""``ae predict --engine ray``: predicts any number of images on any number of machines, by Ray Data.

The sorted list of images is cut into shards. The results of a shard are one parquet file in the output folder. A shard
is done when its file exists, so the same command continues a stopped job and does nothing twice.
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

from associative_embedding.apps.cluster.image_list import cut_into_shards, list_images, sorted_once
from associative_embedding.apps.cluster.job import Job, check_manifest, part_name, prepare_job
from associative_embedding.apps.cluster.worker import ShardWorker
from associative_embedding.apps.errors import UsageError
from associative_embedding.apps.sources import collect_images
from associative_embedding.io.console import say, say_error, visible
from associative_embedding.io.object_stores import error_at, names_in, open_dataset
from associative_embedding.io.optional_packages import need
from associative_embedding.io.progress import Progress

RETRIES = 1  # of a shard whose worker died, in one pass: an image that kills its worker must not kill them for ever
# Runs over the shards that are left. Ray needs a while to notice that a machine is gone; until then, retries on it fail
# at once, and a later pass succeeds.
PASSES = 3

Shard = tuple[int, list[str]]  # number from 0, and the paths of its images


@dataclass(frozen=True)
class Pool:
    """The workers of a job.

    Attributes:
        workers: number of workers, each with one model; None = one per GPU of the cluster, or per CPU without a GPU.
        shard_size: images per parquet file.
        gpus: GPUs per worker, 0.5 = two workers share one; None = 1 if the cluster has GPUs and the device is not the
            CPU.

    Raises:
        UsageError: for a value out of range.
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
            raise UsageError(f"gpus must be positive, not {self.gpus}; --device cpu uses no GPU")


def predict_on_ray(sources: Sequence[str], job: Job, pool: Pool | None = None, *, recursive: bool = False) -> int:
    """Predicts the images of the sources. If the folder contains results of an earlier run, only the rest is done.

    Args:
        sources: see `image_list.list_images`.
        job: without digests and notes, which `prepare_job` adds.
        pool: the workers; default: one per GPU or CPU.
        recursive: include the images in subfolders.

    Returns:
        the exit status: 0, or 1 if an image or source could not be read, now or in an earlier run.

    Raises:
        UsageError: for a batch out of range, or a device that Ray cannot give to a worker.
        ValueError: when Ray or the model cannot be used, or the folder belongs to another job.
        OSError: when the folder cannot be read or written.
        KeyboardInterrupt: finished shards are kept.
    """
    pool = pool or Pool()
    check_job(job)
    import_ray()  # here, so that a missing Ray is an error at once, not after a million images were listed
    images, failures = collect_images(sources, lambda source: list_images(source, recursive=recursive))
    paths = sorted_once(images)
    if not paths:
        return 1
    job = prepare_job(job, paths, pool.shard_size)
    done = names_in(job.folder)
    check_manifest(job, done)
    shards = list(cut_into_shards(paths, pool.shard_size))
    todo = [(number, shard) for number, shard in shards if part_name(number) not in done]
    if len(todo) < len(shards):
        say(f"{len(shards) - len(todo)} of {len(shards)} shards are in {visible(job.folder)} already")
    lost = run_shards(job, pool, todo) if todo else 0
    if lost:
        say(
            f"ae: {lost} of {len(shards)} shards are not done: their workers died each time (out of memory?); "
            "the same command tries them again",
            file=sys.stderr,
        )
    failed = count_failed_images(job.folder)
    counts = "" if lost else f"{len(paths) - failed} of {len(paths)} images, {failed} failed -> "
    say(f"{counts}{visible(job.folder)}")
    return 1 if failures or failed or lost else 0


def check_job(job: Job) -> None:
    """Checks the values of a job that Ray depends on.

    Raises:
        UsageError: for a batch out of range, or a device that Ray cannot give to a worker.
    """
    if job.batch is not None and job.batch < 1:
        raise UsageError(f"batch must be 1 or more, not {job.batch}")
    # Each process of Ray finds only its own GPUs, numbered from 0, so "cuda:1" would not exist in most of them.
    if job.options.device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {job.options.device}: Ray chooses the GPU of each worker; use auto, cuda or cpu")


def run_shards(job: Job, pool: Pool, todo: Sequence[Shard]) -> int:
    """Predicts shards; returns the number of shards that could not be done.

    Raises:
        ValueError: when a worker reports an error that stops the job.
        KeyboardInterrupt: with the number of finished shards.
    """
    left, error = dict(todo), ""
    bar: Progress[str] = Progress((), "predict", "image", sum(map(len, left.values())))
    try:
        with ray_runtime(pool.workers), bar:
            for _ in range(PASSES):
                error = run_pass(job, pool, left, bar)
                if not left:
                    break
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; {len(todo) - len(left)} of {len(todo)} shards are in {job.folder}, "
            "the same command continues"
        ) from None
    if left and error:
        say_error(error)
    return len(left)


def run_pass(job: Job, pool: Pool, left: dict[int, list[str]], bar: Any) -> str:
    """Predicts the shards that are left, each once or with a retry, and removes the finished ones from `left`.

    Args:
        job: the job.
        pool: its workers.
        left: number -> paths of each shard that is not done; it is changed.
        bar: a progress bar that counts images.

    Returns:
        the error of Ray that ended the pass, or "".

    Raises:
        ValueError: when a worker reports an error that stops the job.
    """
    ray, _ = import_ray()
    try:
        for row in shard_results(job, pool, list(left.items())):
            if row["fault"]:
                raise ValueError(row["fault"])
            for error in row["errors"]:
                say_error(error)
            left.pop(row["shard"])
            bar.update(row["images"])
    except ray.exceptions.RayError as error:
        return error_at("Ray", error)
    return ""


def import_ray() -> tuple[Any, Any]:
    """Returns the modules ``ray`` and ``ray.data``, set to print errors only.

    Raises:
        ValueError: when they are not installed.
    """
    for name, value in (("RAY_USAGE_STATS_ENABLED", "0"), ("RAY_BACKEND_LOG_LEVEL", "fatal")):
        os.environ.setdefault(name, value)  # before the import, which reads them; the user's own values have priority
    data = need("ray.data", "ray", "--engine ray")
    ray = need("ray", "ray", "--engine ray")
    logging.getLogger("ray").setLevel(logging.ERROR)
    # Ray Data logs a traceback as an error for each dead worker. `run_shards` counts the shards that are lost.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    return ray, data


@contextmanager
def ray_runtime(workers: int | None) -> Iterator[None]:
    """Connects to Ray: if this process is not connected yet, to the cluster at RAY_ADDRESS, or to a new local one.

    A connection that was made here ends with the context.

    Args:
        workers: number of workers that a local cluster must have room for; None = the number of CPU cores.

    Raises:
        ValueError: when Ray is not installed, or there is no cluster at RAY_ADDRESS.
    """
    ray, _ = import_ray()
    connects = not ray.is_initialized()
    if connects:
        address = os.environ.get("RAY_ADDRESS", "local")
        options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if address == "local":
            # Ray schedules by this number, not by the real cores; with fewer than the workers it would wait for ever.
            options |= {"num_cpus": max(workers or 1, os.cpu_count() or 1), "include_dashboard": False}
        try:
            ray.init(address, **options)
        except (ConnectionError, RuntimeError) as error:
            raise ValueError(f"Ray at {error_at(address, error)}") from None
    try:
        yield
    finally:
        if connects:
            ray.shutdown()


def shard_results(job: Job, pool: Pool, todo: Sequence[Shard]) -> Iterator[dict[str, Any]]:
    """Yields what `ShardWorker.predict_shard` returns, in the order in which the shards are finished."""
    ray, data = import_ray()
    cluster, gpus = ray.cluster_resources(), pool.gpus
    if gpus is None:
        gpus = 0.0 if job.options.device == "cpu" or not cluster.get("GPU") else 1.0
    if job.options.device == "auto" and not gpus:
        job = replace(job, options=replace(job.options, device="cpu"))
    size = pool.workers or max(1, int(cluster.get("GPU", 0) / gpus if gpus else cluster.get("CPU", 1)))
    context = data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1  # a shard that kills its workers does not stop the others
    context.max_consecutive_actor_init_deaths = 8  # nor does a machine that disappears while workers start on it
    # A block is what Ray gives to a worker, and what it repeats after a worker's death: one block for each shard.
    items = data.from_items([{"shard": n, "paths": paths} for n, paths in todo], override_num_blocks=len(todo))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray 2.63 warns about max_task_retries, but has no other way to set it
        results = items.map_batches(
            ShardWorker,
            fn_constructor_args=(job,),
            batch_size=1,
            batch_format="pyarrow",
            # One shard at a time: if a shard kills its worker, the shards queued behind it would count as failed too.
            compute=data.ActorPoolStrategy(size=min(size, len(todo)), max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=gpus or None,
            max_task_retries=RETRIES,
        )
    yield from results.iter_rows()


def count_failed_images(folder: str) -> int:
    """Returns how many rows in all parquet files of a folder have an error."""
    from pyarrow.dataset import field

    # With this filter pyarrow reads only the statistics of the files, not the rows of millions of images.
    return int(open_dataset(folder).count_rows(filter=~field("error").is_null()))
