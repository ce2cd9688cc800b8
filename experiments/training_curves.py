"""Draws the losses of training runs over their steps, one panel for each log that ``ae train`` wrote.

Also prints the steps and hours of each run, and the sum of hours. The time between a stop and a restart does not count.

python experiments/training_curves.py experiments/logs/*.jsonl --output experiments/training.png
"""

from __future__ import annotations

import argparse
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no window; must come before pyplot is imported
from matplotlib import pyplot

TERMS = ("heatmap", "pull", "push")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def hours(lines: list[dict[str, Any]]) -> float:
    """Returns the hours of training: the time before each line of training since the line before."""
    # a restart logs "start", so the pause before it is the time before a line of another event
    return sum(b["time"] - a["time"] for a, b in pairwise(lines) if b["event"] == "train") / 3600


def report(paths: list[Path]) -> None:
    runs = {path.stem: read(path) for path in paths}
    for name, lines in runs.items():
        print(
            f"{name}: {max(line['step'] for line in lines if line['event'] == 'train')} steps, {hours(lines):.2f} hours"
        )
    print(f"all: {sum(map(hours, runs.values())):.2f} hours")


def draw(paths: list[Path], output: Path) -> None:
    columns = min(3, len(paths))
    rows = math.ceil(len(paths) / columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(4.2 * columns, 2.8 * rows), squeeze=False)
    for axis in axes.flat[len(paths) :]:
        axis.set_visible(False)
    for axis, path in zip(axes.flat, paths, strict=False):
        steps = [line for line in read(path) if line["event"] == "train"]
        for term in TERMS:
            values = [line[term] for line in steps]
            # a model without tags has pull and push 0, which a logarithmic axis cannot show
            if max(values, default=0) > 0:
                axis.plot([line["step"] for line in steps], values, label=term, linewidth=1)
        axis.set_yscale("log")
        axis.set_title(path.stem, fontsize=10)
        axis.set_xlabel("step", fontsize=8)
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(output, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    report(options.logs)
    draw(options.logs, options.output)
