"""Measures images per second of ``ae predict --engine ray`` on this machine, by the number of workers.

    python benchmarks/scale.py IMAGES [--limit 200] [--workers 1 2] [--shard 10] [--model person]

"all" includes the start of Ray, of the workers and of the model. "steady" counts from the first finished shard to the
last, as in a long job. "CPU" is the computing time of the workers for an image, which other processes change little;
free cores reach at most workers / CPU images/s. "load" is the load average of the machine before the run: when all
cores are busy, a second worker gains little.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from associative_embedding.apps.cluster import predict as cluster_predict
from associative_embedding.apps.cluster.job import Job
from associative_embedding.apps.cluster.worker import ShardWorker
from associative_embedding.io.find_images import find_images


class TimedWorker(ShardWorker):
    """Writes the CPU seconds of each shard beside the results."""

    def predict_shard(self, shard: int, paths: Sequence[str]) -> dict[str, Any]:
        start = time.process_time()
        result = super().predict_shard(shard, paths)
        Path(self.job.folder, f"_cpu-{shard}").write_text(f"{os.getpid()} {time.process_time() - start}")
        return result


def cpu_of_an_image(folder: str, shard: int) -> float:
    """Returns the median CPU seconds an image over the shards; the first shard of a worker also loads the model."""
    files = sorted(Path(folder).glob("_cpu-*"), key=lambda file: file.stat().st_mtime)
    seen: set[str] = set()
    seconds = []
    for file in files:
        worker, value = file.read_text().split()
        if worker in seen:
            seconds.append(float(value) / shard)
        seen.add(worker)
    return statistics.median(seconds)


def measure(paths: list[str], workers: int, shard: int, model: str) -> str:
    load = os.getloadavg()[0]  # before the run: the run itself raises it
    with tempfile.TemporaryDirectory() as folder:
        start = time.time()
        job = Job(folder=f"{folder}/results.parquet", model=model)
        cluster_predict.predict_on_ray(paths, job, cluster_predict.Pool(workers, shard))
        seconds = time.time() - start
        ends = sorted(file.stat().st_mtime for file in Path(job.folder).glob("part-*.parquet"))
        cpu = cpu_of_an_image(job.folder, shard)
    # the time starts at the end of the first shard, so its images do not count
    steady = (len(paths) - shard) / (ends[-1] - ends[0])
    return (
        f"workers {workers}: {len(paths)} images, all {seconds:.0f} s = {len(paths) / seconds:.2f} images/s, "
        f"steady {steady:.2f} images/s, CPU {cpu:.3f} s/image, load {load:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("images")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--shard", type=int, default=10)
    parser.add_argument("--model", default="person")
    options = parser.parse_args()
    paths = find_images([options.images])[: options.limit]
    # `predict_on_ray` takes the class from its module
    cluster_predict.ShardWorker = TimedWorker  # type: ignore[misc]
    for workers in options.workers:
        print(measure(paths, workers, options.shard, options.model), flush=True)


if __name__ == "__main__":
    main()
