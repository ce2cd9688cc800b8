"""Prints the time and the peak memory of the tag loss of masks, forward and backward, on one thread.

    python benchmarks/pixel_loss.py

Eight images with 5 to 100 objects of 24 sampled pixels, on maps of 256 x 256. The memory is what the calls add to the
process that holds the maps. It imports only what other revisions have, too:

    git worktree add ../before a8866ac^
    PYTHONPATH=../before/src python benchmarks/pixel_loss.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from timing import markdown, median_ms, start_anew

from associative_embedding.apps.cli.main import ALLOCATOR
from associative_embedding.losses import pixel_tag_loss
from associative_embedding.structures.maps import TagSamples

OBJECTS = (5, 10, 20, 30, 40, 60, 80, 100)  # of each image
PIXELS, SIDE, WIDTH = 24, 256, 8  # samples of an object; sides of the map and of an object, map pixels


def draw_samples(seed: int = 0) -> TagSamples:
    """Returns samples of one class: the pixels of each object lie in a square of `WIDTH` at a random place."""
    rng = np.random.default_rng(seed)
    groups = torch.repeat_interleave(torch.arange(len(OBJECTS)), torch.tensor(OBJECTS))  # the image of each object
    corner = rng.integers(0, SIDE - WIDTH, (len(groups), 1, 2))
    y, x = torch.from_numpy((corner + rng.integers(0, WIDTH, (len(groups), PIXELS, 2))).reshape(-1, 2)).unbind(1)
    group = torch.repeat_interleave(torch.arange(len(groups)), PIXELS)
    return TagSamples(batch=groups[group], channel=torch.zeros_like(group), y=y, x=x, group=group, groups=groups)


def peak_mb() -> float:
    """Returns the highest resident memory of this process so far, in MB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def measure(near: float, seconds: float) -> dict[str, str]:
    samples = draw_samples()
    generator = torch.Generator().manual_seed(0)
    tag = torch.randn(len(OBJECTS), 1, 2, SIDE, SIDE, generator=generator).requires_grad_()

    def step() -> None:
        tag.grad = None
        pull, push = pixel_tag_loss(tag, samples, reduction="mean", near=near)
        (pull.mean() + push.mean()).backward()  # type: ignore[no-untyped-call]

    before = peak_mb()
    return {"ms": f"{median_ms(step, seconds=seconds):.0f}", "MB": f"{peak_mb() - before:.0f}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--near", type=float, nargs="+", default=[0.0, 24.0], help="`loss.near`; 0 = all pairs")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each row; at least 5 calls (default: 5)")
    parser.add_argument("--json", action="store_true", help="one row, as json")
    options = parser.parse_args()
    if options.json:
        torch.set_num_threads(1)
        print(json.dumps(measure(options.near[0], options.seconds)))
        return
    # each row in a process of its own: one that has held more memory has a higher peak
    again = [sys.executable, __file__, "--json", "--seconds", str(options.seconds), "--near"]
    rows = {f"{near:g}": json.loads(subprocess.check_output([*again, str(near)])) for near in options.near}
    print(markdown("near, map pixels", ["ms", "MB"], rows))


if __name__ == "__main__":
    start_anew(ALLOCATOR)
    main()
