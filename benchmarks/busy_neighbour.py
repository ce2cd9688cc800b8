"""Times training and prediction on one and two threads, alone and beside another busy process.

    python benchmarks/busy_neighbour.py [--rounds 3]

The cases take turns, each in a process of its own, as OpenMP reads its settings at the start. "counting" = threads wait
for each other by counting, as libgomp and ONNX Runtime do by themselves; "sleeping" = as this library sets them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from multiprocessing import Event, Process
from multiprocessing.synchronize import Event as EventType
from typing import Any

import numpy as np

STEPS = 8
COUNTING, SLEEPING = "counting", "sleeping"


def measure(what: str, threads: int, waiting: str) -> float:
    """Returns the median milliseconds of one step or image; runs in a process of its own."""
    import torch

    torch.set_num_threads(threads)
    run = training_step() if what == "training" else prediction(waiting)
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]) * 1e3


def training_step() -> Callable[[], Any]:
    import torch

    from associative_embedding.model_files.checkpoint import load_model
    from associative_embedding.model_files.find import model_path

    network, _ = load_model(model_path("person-fast"))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-6)
    images = torch.randint(0, 256, (4, 3, 320, 320), dtype=torch.uint8)

    def step() -> None:
        outputs = network.train()(images)
        sum(maps.heatmap.mean() + maps.tag.mean() for maps in outputs).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def prediction(waiting: str) -> Callable[[], Any]:
    if waiting == COUNTING:
        import onnxruntime

        plain = onnxruntime.SessionOptions.add_session_config_entry
        onnxruntime.SessionOptions.add_session_config_entry = lambda self, key, value: (
            None if key == "session.intra_op.allow_spinning" else plain(self, key, value)
        )
    from associative_embedding.inference.load import load

    model = load("person-fast", runtime="onnx")
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    return lambda: model.find(image)


def count_until(stop: EventType) -> None:
    """Keeps one core busy."""
    while not stop.is_set():
        sum(range(10**5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", nargs=3, help="used by the script itself")
    options = parser.parse_args()
    if options.case:
        what, threads, waiting = options.case
        print(measure(what, int(threads), waiting))
        return
    times: dict[tuple[str, bool, int, str], list[float]] = defaultdict(list)
    for busy in (False, True):
        stop = Event()
        neighbours = [Process(target=count_until, args=(stop,)) for _ in range(os.cpu_count() or 1)] if busy else []
        for process in neighbours:
            process.start()
        for _ in range(options.rounds):
            for what in ("training", "prediction"):
                for threads, waiting in ((1, SLEEPING), (2, COUNTING), (2, SLEEPING)):
                    # 30 thousand million turns are libgomp's own rule as long as threads do not outnumber cores
                    spin = "30000000000" if waiting == COUNTING else "100"
                    output = subprocess.run(
                        [sys.executable, __file__, "--case", what, str(threads), waiting],
                        env={**os.environ, "GOMP_SPINCOUNT": spin},
                        capture_output=True,
                        text=True,
                        check=True,
                    ).stdout
                    times[what, busy, threads, waiting].append(float(output.split()[-1]))
        stop.set()
        for process in neighbours:
            process.join()
    print(f"{'milliseconds':24} {'1 thread':>10} {'2 counting':>11} {'2 sleeping':>11}")
    for what in ("training", "prediction"):
        for busy in (False, True):
            row = [statistics.median(times[what, busy, n, w]) for n, w in ((1, SLEEPING), (2, COUNTING), (2, SLEEPING))]
            name = f"{what}, {'busy neighbours' if busy else 'alone'}"
            print(f"{name:24} {row[0]:10.0f} {row[1]:11.0f} {row[2]:11.0f}")


if __name__ == "__main__":
    main()
