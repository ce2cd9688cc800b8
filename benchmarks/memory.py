"""Prints the peak memory of training, of the process and of its loader, in MB.

    python benchmarks/memory.py [recipes/shipped/person-fast.yaml] [--steps 6]

Runs a few steps of a pose recipe. Only its data (drawn figures) and its start (random weights) differ. The peak is the
highest resident memory that Linux reports for a process; memory that the loader shares with its parent counts in both.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from timing import start_anew

from associative_embedding.apps.cli.commands import build_recipe
from associative_embedding.apps.cli.main import ALLOCATOR, parse
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.synthetic.figures import write_synthetic_dataset
from associative_embedding.io.coco_json import load_skeleton
from associative_embedding.training.batches import build_batches, build_stream, build_task
from associative_embedding.training.criterion import criterion
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.state import build_state
from associative_embedding.training.train import update

RECIPE = str(Path(__file__).resolve().parents[1] / "recipes" / "shipped" / "person-fast.yaml")


def peak_mb(process: int | str = "self") -> float:
    """Returns the highest resident memory of a process so far, in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kilobytes) * 1024 / 1e6


def on_figures(recipe: Recipe, folder: str) -> Recipe:
    """Returns the recipe with figures drawn into `folder` as its data, and without starting weights."""
    annotations = write_synthetic_dataset(folder, load_skeleton(recipe.data.skeleton), 48, size=(300, 400))
    source = SourceConfig(annotations=str(annotations), images=f"{folder}/images", mosaic=0.2, overlap=0.35)
    return replace(
        recipe, network=replace(recipe.network, start=None), data=replace(recipe.data, sources=[source], validation=[])
    )


def measure(path: str, steps: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        recipe = on_figures(build_recipe(parse(["train", path])["train"]), folder)
        task = build_task(recipe)
        state = build_state(recipe, task.channels, torch.device("cpu"))
        stream = build_stream(recipe.data, task, seed=0, batch=recipe.train.batch, multiple=state.network.multiple)
        batches = build_batches(stream, task, recipe, state.network.strides)
        for _ in range(steps):
            image, targets = next(batches)
            loss, _ = criterion(state.network(image), targets, recipe.loss, state.step)
            loss.backward()
            update(state, recipe.train)
        # read while the loader lives: /proc loses a process when it ends
        loaders = [peak_mb(process.pid) for process in multiprocessing.active_children() if process.pid]
        return {"training, peak memory, MB": peak_mb(), "of its loader, MB": sum(loaders)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("recipe", nargs="?", default=RECIPE)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(json.dumps(measure(options.recipe, options.steps)))


if __name__ == "__main__":
    start_anew(ALLOCATOR)
    main()
