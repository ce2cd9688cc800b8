"""Losses of training runs over their steps: one panel a run, from the json lines that ``ae train`` writes.

python examples/training_curves.py docs/training-log/*.jsonl --output docs/images/training.png
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

TERMS = ("heatmap", "pull", "push")


def draw(paths: list[Path], output: Path) -> None:
    columns = min(3, len(paths))
    rows = math.ceil(len(paths) / columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(4.2 * columns, 2.8 * rows), squeeze=False)
    for axis in axes.flat[len(paths) :]:
        axis.set_visible(False)
    for axis, path in zip(axes.flat, paths, strict=False):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        steps = [line for line in lines if line["event"] == "train"]
        for term in TERMS:
            values = [line[term] for line in steps]
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
    draw(options.logs, options.output)
