"""How long the paper's recipes train, by arithmetic: the table of docs/reproduce.md.

    python benchmarks/training_cost.py

A step of training takes three times the operations of its forward pass: that pass, and two products of the same size in
the backward pass. Reading and augmenting images is not counted: it runs beside the GPU.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from associative_embedding.apps.cli.commands import build_recipe
from associative_embedding.apps.cli.main import parse
from associative_embedding.networks.zoo import build_network
from associative_embedding.training.batches import build_task
from associative_embedding.training.recipe import Recipe

RATE = 60e12  # operations a second of one GPU: 40 % of the 156e12 that an A100 can do in TF32
SCALING = 0.9  # of eight times that rate, with eight GPUs
RECIPES = ("coco", "single-person", "mpii", "mpii-single-person", "voc-coco", "voc")
FOLDER = Path(__file__).parents[1] / "recipes" / "paper"


def operations(recipe: Recipe) -> int:
    """Returns the floating-point operations of the forward pass for one image: two for a product and its sum."""
    channels = build_task(recipe).channels
    side = recipe.data.input_size
    with torch.device("meta"):  # shapes alone: nothing is computed
        network = build_network(recipe.network.backbone, channels, recipe.network.tag_size, recipe.network.options)
        counter = FlopCounterMode(display=False)
        with counter:
            network(torch.empty(1, 3, side, side))
    return int(counter.get_total_flops())


def hours(seconds: float) -> str:
    """Returns a duration with two digits, in hours or, from two days on, in days."""
    value, unit = (seconds / 86400, "days") if seconds >= 2 * 86400 else (seconds / 3600, "h")
    digits = max(0, 1 - math.floor(math.log10(value)))
    return f"{value:.{digits}f} {unit}"


def table() -> list[str]:
    """Returns the lines of a Markdown table, a row for each recipe."""
    lines = ["| recipe | images | TFLOP an image | EFLOP | one GPU | eight GPUs |", "|---|---:|---:|---:|---:|---:|"]
    for name in RECIPES:
        recipe = build_recipe(parse(["train", str(FOLDER / f"{name}.yaml")])["train"])
        images, each = recipe.train.steps * recipe.train.batch, 3 * operations(recipe)
        total = images * each
        seconds = total / RATE
        cells = [f"{images / 1e6:.1f} M", f"{each / 1e12:.3f}", f"{total / 1e18:.1f}", hours(seconds)]
        lines.append(f"| `{name}` | {' | '.join([*cells, hours(seconds / 8 / SCALING)])} |")
    return lines


if __name__ == "__main__":
    print("\n".join(table()))
