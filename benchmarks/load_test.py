"""Measures `ae serve` under load on loopback, and the model without the server for comparison.

    python benchmarks/load_test.py [--requests 300] [--clients 8]

Prints requests a second, latencies, and the memory of the server in its first and its last hundred requests.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import httpx
import numpy as np

from associative_embedding.inference.load import load


def photos(count: int) -> list[bytes]:
    """Returns JPEG files of 640 x 480 pixels."""
    # all different: the server caches its last few results
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 12, 16, 3), dtype=np.uint8)
    return [cv2.imencode(".jpg", cv2.resize(image, (640, 480)))[1].tobytes() for image in coarse]


def megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def bare_rate(model: str, input_size: int, images: list[bytes]) -> float:
    """Returns the images per second of the model alone, one after the other."""
    predictor = load(model, input_size=input_size, scales=[1])
    arrays = [cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) for image in images]
    start = time.perf_counter()
    for array in arrays:
        predictor(array, keep_image=False)
    return len(arrays) / (time.perf_counter() - start)


@contextmanager
def server(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Runs `ae serve`; yields its address and process id when it answers."""
    command = [sys.executable, "-m", "associative_embedding", "serve", "--model", options.model]
    command += ["--port", str(options.port), "--input_size", str(options.input_size), "--scales", "1"]
    command += ["--batch", str(options.batch)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{options.port}"
        try:
            while process.poll() is None:
                try:
                    httpx.get(f"{url}/health")
                    break
                except httpx.TransportError:  # the server still loads its model
                    time.sleep(0.2)
            yield url, process.pid
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--model", default="person")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--input_size", type=int, default=512)
    parser.add_argument("--port", type=int, default=8123)
    options = parser.parse_args()
    images = photos(options.requests)
    bare = bare_rate(options.model, options.input_size, images[:40])
    memory: list[float] = []
    with server(options) as (url, pid):

        def post(image: bytes) -> tuple[int, float]:
            before = time.perf_counter()
            status = httpx.post(f"{url}/predict", content=image, timeout=120).status_code
            memory.append(megabytes(pid))
            return status, time.perf_counter() - before

        start = time.perf_counter()
        with ThreadPoolExecutor(options.clients) as pool:
            answers = list(pool.map(post, images))
        rate = len(images) / (time.perf_counter() - start)
    seconds = sorted(time_ for _, time_ in answers)
    print(f"statuses {sorted({status for status, _ in answers})}, {options.clients} clients, {len(images)} requests")
    print(f"bare model {bare:.2f} images/s, server {rate:.2f} requests/s ({100 * rate / bare:.0f} %)")
    print(f"median {1e3 * statistics.median(seconds):.0f} ms, p95 {1e3 * seconds[int(0.95 * len(seconds))]:.0f} ms")
    # growth between the two would be a leak
    first, last = statistics.median(memory[:100]), statistics.median(memory[-100:])
    print(f"memory {first:.0f} MB in the first hundred, {last:.0f} MB in the last, {max(memory):.0f} MB at most")


if __name__ == "__main__":
    main()
