"""Trains the paper's own form on 16 drawn images, and draws how its tags come apart.

The figure has pull and push over the steps, and histograms of the tags at the true keypoints of one image. A few
minutes on one core.

    python experiments/tags_while_training.py --output docs/images/tags-while-training.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")  # no window; must come before pyplot is imported
from matplotlib import pyplot
from matplotlib.axes import Axes

from associative_embedding.apps.cli.commands import build_recipe
from associative_embedding.apps.cli.main import parse
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.synthetic.figures import write_synthetic_dataset
from associative_embedding.evaluation.oracle import true_detections
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.coco_json import load_skeleton
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.networks.network import Network
from associative_embedding.structures.arrays import Array
from associative_embedding.training.log import Numbers
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.train import train
from associative_embedding.training.validation import build_validation

RECIPE = Path(__file__).parent / "recipes" / "paper-form.yaml"
Tags = list[tuple[Array, Array]]  # at each validation: the tags (M,) of one image's keypoints, and their people (M,)


def recorder(recipe: Recipe, tags: Tags) -> Callable[[Network, ModelInfo], Numbers]:
    """Returns the validation of a recipe, which also adds the tags of the image with the most people to `tags`."""
    validate = build_validation(recipe)
    assert validate is not None
    source, skeleton = recipe.data.sources[0], load_skeleton(recipe.data.skeleton)
    samples = list(map(CocoKeypoints(source.annotations, source.images, skeleton).__getitem__, range(16)))
    sample = max(samples, key=lambda s: len(s.keypoints))

    def record(network: Network, info: ModelInfo) -> Numbers:
        maps, geometry = Predictor(network, info).maps(sample.image)
        detections, place = true_detections(maps, geometry, sample.keypoints, skeleton.group_index)
        tags.append((detections.tag[:, 0], place[:, 0]))
        return validate(network, info)

    return record


def draw(folder: Path, tags: Tags, every: int, output: Path) -> None:
    """Draws the log of a run and the tags that were recorded after each `every` steps."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    grid = {"height_ratios": [1.2, 1.0]}
    figure, axes = pyplot.subplots(2, len(tags), figsize=(1.7 * len(tags), 4.6), sharey="row", gridspec_kw=grid)
    for axis in axes[0, :]:
        axis.remove()
    draw_losses(figure.add_subplot(2, 1, 1), [line for line in lines if line["event"] == "train"])
    every_tag = np.concatenate([value for value, _ in tags])
    right = [line["people_grouped_right"] for line in lines if line["event"] == "validation"]
    for number, (axis, (value, person)) in enumerate(zip(axes[1], tags, strict=True), start=1):
        people = [value[person == n] for n in range(person.max() + 1)]
        axis.hist(people, bins=np.linspace(every_tag.min() - 0.1, every_tag.max() + 0.1, 25), stacked=True)
        axis.set_title(f"step {number * every}\n{right[number - 1]:.0%} of people right", fontsize=8)
        axis.set_xlabel("tag", fontsize=8)
        axis.tick_params(labelsize=7)
    axes[1, 0].set_ylabel("keypoints", fontsize=8)
    figure.tight_layout()
    figure.savefig(output, dpi=110)


def draw_losses(axis: Axes, lines: list[dict[str, float]]) -> None:
    for term in ("pull", "push"):
        axis.plot([line["step"] for line in lines], [line[term] for line in lines], label=term, linewidth=1.2)
    axis.set_yscale("log")
    axis.set_xlabel("step", fontsize=8)
    axis.set_ylabel("loss, without its factor", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="the picture")
    parser.add_argument("--folder", type=Path, default=Path("runs/paper-form"), help="folder of the run")
    parser.add_argument("--steps", type=int, default=1500)
    given = parser.parse_args()
    recipe = build_recipe(parse(["train", str(RECIPE)])["train"])
    data = write_synthetic_dataset(given.folder / "figures", load_skeleton(recipe.data.skeleton), 16)
    source = replace(recipe.data.sources[0], annotations=str(data), images=str(data.parent / "images"))
    every = given.steps // 6
    recipe = replace(
        recipe,
        output=str(given.folder),
        data=replace(recipe.data, sources=[source], validation=[source]),
        train=replace(recipe.train, steps=6 * every, validate_every=every),
    )
    tags: Tags = []
    train(recipe, validate=recorder(recipe, tags))
    draw(given.folder, tags, every, given.output)
    print(f"-> {given.output}")


if __name__ == "__main__":
    main()
