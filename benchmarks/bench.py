"""`make bench`: decoding, loss and prediction beside the network's own forward time.

Medians of repeated runs in one process on seeded inputs, for one and two threads; ``--json FILE`` writes them too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from associative_embedding.geometry import letterbox
from associative_embedding.losses import tag_loss
from associative_embedding.predict import load
from associative_embedding.skeleton import COCO_17
from associative_embedding.tasks.pose import PoseTask
from associative_embedding.tasks.pose_target import draw_gaussians
from associative_embedding.tasks.target import join_samples
from associative_embedding.types import Array, Maps


def median_ms(function: Callable[[], Any], *, seconds: float = 2.0) -> float:
    """Median time of a call in milliseconds, over as many calls as fit (5 at least), after two to warm up."""
    function(), function()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        function()
        times.append(time.perf_counter() - before)
    return 1e3 * statistics.median(times)


def scene(people: int, side: int, dimensions: int, seed: int = 0) -> Maps:
    """Maps of `people` random people on ``side x side``, 15 % of the keypoints missing, tags 2 apart with noise."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, side - 1, (people, 1, 2)) + rng.normal(0, side / 12, (people, 17, 2))
    visible = rng.random((people, 17)) > 0.15
    heatmap = draw_gaussians(xy, visible, (side, side), 2.0)
    tag = rng.normal(0, 0.05, (17, dimensions, side, side))
    for n, k in zip(*np.nonzero(visible), strict=True):
        x, y = np.rint(xy[n, k]).astype(int)
        tag[k, :, max(0, y - 4) : y + 5, max(0, x - 4) : x + 5] += 2.0 * n
    return Maps(
        torch.from_numpy(heatmap)[None] * torch.from_numpy(rng.uniform(0.6, 1, (1, 17, 1, 1))).float(),
        torch.from_numpy(tag).float()[None],
    )


def bench_decode() -> dict[str, float]:
    task = PoseTask(COCO_17)
    rows = {}
    for people, side, dimensions in ((1, 128, 1), (5, 128, 1), (30, 128, 1), (30, 128, 2), (100, 128, 1), (30, 256, 2)):
        maps = scene(people, side, dimensions)
        geometry = letterbox((side * 4, side * 4), side * 4, multiple=4, stride=4)
        rows[f"decode {people} people {side}x{side} D={dimensions}"] = median_ms(
            lambda m=maps, g=geometry: task.decode(m, g)
        )
    return rows


def random_index(rng: np.random.Generator, people: int, side: int) -> Array:
    """``(M, 4)`` tag samples: every keypoint of every person somewhere."""
    person, channel = (a.ravel() for a in np.indices((people, 17)))
    return np.column_stack([channel, rng.integers(0, side, (people * 17, 2)), person])


def bench_loss() -> dict[str, float]:
    rows = {}
    for batch, people in ((8, 5), (8, 30), (32, 30)):
        rng = np.random.default_rng(0)
        samples = join_samples([random_index(rng, people, 128) for _ in range(batch)])
        tag = torch.randn(batch, 17, 1, 128, 128, generator=torch.Generator().manual_seed(0)).requires_grad_()

        def step(tag: torch.Tensor = tag, samples: Any = samples) -> None:
            tag.grad = None
            pull, push = tag_loss(tag, samples)
            (pull.mean() + push.mean()).backward()  # type: ignore[no-untyped-call]

        rows[f"tag loss forward + backward, batch {batch} x {people} people x 17 x 128x128"] = median_ms(step)
    return rows


def bench_predict() -> dict[str, float]:
    model = load()
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    size = model.input_size
    x = torch.nn.functional.interpolate(x, size=(-(-size * 3 // 4 // 32) * 32, -(-size // 32) * 32))

    def network() -> None:
        with torch.inference_mode():
            model.network(x)

    rows = {f"network alone, {x.shape[3]}x{x.shape[2]}": median_ms(network)}
    rows["predict, 640x480 photo, array in, instances out"] = median_ms(lambda: model(image, keep_image=False))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="decode, loss and predict times")
    parser.add_argument("--json", type=Path, default=None, help="also write the numbers here")
    options = parser.parse_args()
    table: dict[str, dict[str, float]] = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for bench in (bench_decode, bench_loss, bench_predict):
            for name, value in bench().items():
                table.setdefault(name, {})[f"{threads} threads"] = round(value, 2)
    width = max(map(len, table))
    print(f"{'milliseconds, median':{width}}  1 thread  2 threads")
    for name, row in table.items():
        print(f"{name:{width}}  {row['1 threads']:8.2f}  {row['2 threads']:9.2f}")
    if options.json:
        options.json.write_text(json.dumps({"milliseconds": table, "torch": torch.__version__}, indent=1))


if __name__ == "__main__":
    main()
