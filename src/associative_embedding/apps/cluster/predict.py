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
from dataclasses import replace
from typing import Any

from tqdm import tqdm

from associative_embedding.apps.cluster.image_list import list_images, shards, sorted_once
from associative_embedding.apps.cluster.job import Job, check_manifest, complete, part_name
from associative_embedding.apps.cluster.worker import Worker
from associative_embedding.apps.errors import UsageError
from associative_embedding.io.console import say
from associative_embedding.io.object_stores import names_in, one_line, open_dataset
from associative_embedding.io.optional_packages import need

RETRIES = 1  # of a shard whose worker died, in one pass: an image that kills workers must not do so for ever
PASSES = 3  # of the shards that are left; while Ray has not noticed that a machine is gone, retries there fail at once


def predict_on_ray(
    sources: Sequence[str],
    job: Job,
    *,
    workers: int | None = None,
    shard_size: int = 256,
    gpus: float | None = None,
    recursive: bool = False,
) -> int:
    """
    Args:
        sources: see `image_list.list_images`.
        job: without digests and notes, which are filled in here.
        workers: one a model; None = as many as the cluster's GPUs or, without any, its CPUs.
        shard_size: images of a shard.
        gpus: of a worker, 0.5: two share one; None = 1 when the cluster has some, unless the device is the CPU.
        recursive: also look into subfolders.

    Returns:
        the exit status: 0, or 1 when an image or source could not be read, now or in the run that is continued.

    Raises:
        UsageError: for numbers out of range, or a device that Ray does not give.
        ValueError, OSError: when nothing can be done at all, or the folder is of another job.
        KeyboardInterrupt: the shards that were finished are kept.
    """
    check_numbers(job, workers, shard_size, gpus)
    modules()  # that Ray is missing is better known before the list of images
    paths, failures = expand(sources, recursive)
    if not paths:
        return 1
    job = complete(job, paths, shard_size)
    done = names_in(job.folder)
    check_manifest(job, done)
    todo = [(n, part) for n, part in shards(paths, shard_size) if part_name(n) not in done]
    count = -(-len(paths) // shard_size)
    if len(todo) < count:
        say(f"{count - len(todo)} of {count} shards are in {job.folder} already")
    lost = run(job, todo, workers, gpus) if todo else 0
    if lost:
        say(
            f"ae: {lost} of {count} shards are not done: their workers died each time (out of memory?); "
            "the same command tries them again",
            file=sys.stderr,
        )
    failed = count_failed(job.folder)
    say(f"{len(paths) - failed} of {len(paths)} images, {failed} failed -> {job.folder}" if not lost else job.folder)
    return 1 if failures or failed or lost else 0


def check_numbers(job: Job, workers: int | None, shard_size: int, gpus: float | None) -> None:
    """
    Raises:
        UsageError: for a number out of its range, or a device that Ray does not give.
    """
    for name, value in (("workers", workers), ("shard_size", shard_size), ("batch", job.batch)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be 1 or more, not {value}")
    if gpus is not None and not gpus > 0:
        raise UsageError(f"gpus must be positive, not {gpus}; for none, --device cpu")
    if job.device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {job.device}: Ray gives each worker its GPU: auto, cuda or cpu")


def expand(sources: Sequence[str], recursive: bool) -> tuple[list[str], int]:
    """All images, sorted, each once; and how many sources stand for none (each is reported)."""
    found: list[str] = []
    failures = 0
    for source in sources:
        try:
            found += list_images(source, recursive=recursive)
        except (ValueError, OSError) as error:
            failures += 1
            say(f"ae: {' '.join(str(error).split())}", file=sys.stderr)
    return sorted_once(found), failures


def run(job: Job, todo: Sequence[tuple[int, list[str]]], workers: int | None, gpus: float | None) -> int:
    """Do the shards; how many could not be done.

    Raises:
        ValueError: when a worker says that nothing can be done.
        KeyboardInterrupt: with what is done.
    """
    left, error = dict(todo), ""
    bar = tqdm(total=sum(map(len, left.values())), desc="predict", unit="image", disable=None)
    try:
        with ray_runtime(workers), bar:
            for _ in range(PASSES):
                error = one_pass(job, left, bar, workers, gpus)
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


def one_pass(job: Job, left: dict[int, list[str]], bar: Any, workers: int | None, gpus: float | None) -> str:
    """Do the shards that are left, and take them out of `left`; what Ray says when it cannot go on, or "".

    Raises:
        ValueError: when a worker says that nothing can be done.
    """
    ray, _ = modules()
    try:
        for row in finished(job, list(left.items()), workers, gpus):
            if row["fault"]:
                raise ValueError(row["fault"])
            for error in row["errors"]:
                say(f"ae: {error}", file=sys.stderr)
            left.pop(row["shard"])
            bar.update(row["images"])
    except ray.exceptions.RayError as error:
        return one_line("Ray", error)
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
            raise ValueError(f"Ray at {one_line(address, error)}") from None
    try:
        yield
    finally:
        if own:
            ray.shutdown()


def finished(
    job: Job, todo: Sequence[tuple[int, list[str]]], workers: int | None, gpus: float | None
) -> Iterator[dict[str, Any]]:
    """What the workers say of each shard, as they finish them."""
    ray, data = modules()
    cluster = ray.cluster_resources()
    if gpus is None:
        gpus = 0.0 if job.device == "cpu" or not cluster.get("GPU") else 1.0
    if job.device == "auto" and not gpus:
        job = replace(job, device="cpu")
    size = workers or max(1, int(cluster.get("GPU", 0) / gpus if gpus else cluster.get("CPU", 1)))
    context = data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1  # a shard that kills its workers does not stop the others
    context.max_consecutive_actor_init_deaths = 8  # nor does a machine that is gone when a worker starts on it
    items = data.from_items([{"shard": n, "paths": paths} for n, paths in todo], override_num_blocks=len(todo))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray 2.63 has no other way to say max_task_retries
        results = items.map_batches(
            Worker,
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
