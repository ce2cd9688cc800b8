"""Trains short runs that differ from a shipped recipe in one setting, and prints a table of their results.

    python experiments/controlled_runs.py tags                       # all, 8 minutes on one core each
    python experiments/controlled_runs.py refinement "as the recipe" "mean square error"

``ae train`` trains each run, and ``ae evaluate`` measures it on the held-out images. Finished runs are not repeated.
The recipes explain where their starting weights come from; `heatmaps` starts from the model of
``ae train recipes/shipped/person-tags.yaml``. Results: experiments/notes/controlled-runs.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RUNS = Path("runs/controlled")
COCO = Path("../shared/data/pose/coco")
NO_MOSAICS, NO_OVERLAPS = {"data.sources.*.mosaic": 0.0}, {"data.sources.*.overlap": 0.0}
# a weight must be above 0, so the other sources keep one that never draws them
COCO_ALONE = {"data.sources.*.weight": 1e-9, "data.sources.0.weight": 1.0}
MSE = {"loss.heatmap": "mse"}

# path of a setting -> value; in a list, the path has the number of an entry or "*" for all; later paths win
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Runs that differ in one setting.

    Attributes:
        recipe: path of the recipe that all runs share.
        base: values that replace the recipe's in all runs.
        variants: name of a run -> values that it replaces besides.
    """

    recipe: str
    base: Values
    variants: Mapping[str, Values]


COMPARISONS = {
    "tags": Comparison(
        "recipes/shipped/person-tags.yaml",
        {},
        {
            "as the recipe": {},
            "seed 1": {"train.seed": 1},
            "no overlaps": NO_OVERLAPS,
            "no mosaics": NO_MOSAICS,
            "neither overlaps nor mosaics": NO_OVERLAPS | NO_MOSAICS,
            "push times 3": {"loss.push": 3.0},
            "no warm-up of pull": {"loss.pull_warmup": 0},
            "192 px x 14": {"data.input_size": 192, "train.batch": 14},
            "320 px x 5": {"data.input_size": 320, "train.batch": 5},
            "448 px x 3": {"data.input_size": 448, "train.batch": 3},
            "scales 0.5 to 2": {"data.augment.scale": [0.5, 2.0]},
            "no context blocks": {"network.options": {"position": 2, "context": 0}},
        },
    ),
    "heatmaps": Comparison(
        "recipes/shipped/person-heatmaps.yaml",
        # a short run needs a short moving average; the table has its own evaluation
        {"train.steps": 400, "train.save_every": 200, "train.ema": 0.99, "data.validation": []},
        {"as the recipe": {}, "mean square error": MSE},
    ),
    "refinement": Comparison(
        "recipes/shipped/single-person.yaml",
        {"train.steps": 500, "train.save_every": 250, "train.ema": 0.99},
        {
            "as the recipe": {},
            "seed 8": {"train.seed": 8},
            "COCO alone": COCO_ALONE,
            "mean square error": MSE,
            "mean square error, foreground 10": MSE | {"loss.foreground": 10.0},
            "224 px x 12": {"data.input_size": 224, "train.batch": 12},
            "scales 0.5 to 1.6": {"data.augment.scale": [0.5, 1.6]},
            "no change of colour": {"data.augment.colour": 0.0},
            "no moving average": {"train.ema": 0.0},
            "constant learning rate": {"train.schedule": "constant"},
        },
    ),
}


def replaced(recipe: dict[str, Any], values: Values) -> dict[str, Any]:
    """Returns a copy of a recipe with other values.

    Raises:
        KeyError: if the recipe lacks a part of a path before its last name.
    """
    # through json, which also separates the parts that yaml anchors share
    copy: dict[str, Any] = json.loads(json.dumps(recipe))
    for path, value in values.items():
        *parents, name = path.split(".")
        places: list[Any] = [copy]
        for part in parents:
            places = [inner for place in places for inner in entries(place, part)]
        for place in places:
            place[name] = value
    return copy


def entries(place: Any, part: str) -> list[Any]:
    if part == "*":
        return list(place)
    return [place[int(part) if isinstance(place, list) else part]]


def train_and_evaluate(comparison: Comparison, folder: Path, name: str) -> dict[str, Any]:
    """Returns the results of a run; trains and evaluates it unless its folder has them."""
    result = folder / "result.json"
    if not result.exists():
        folder.mkdir(parents=True, exist_ok=True)
        recipe = yaml.safe_load(Path(comparison.recipe).read_text())
        values = {**comparison.base, **comparison.variants[name], "output": str(folder)}
        (folder / "controlled.yaml").write_text(yaml.safe_dump(replaced(recipe, values)))
        run("train", str(folder / "controlled.yaml"))
        if recipe.get("task") == "single-person":
            result.write_text(json.dumps({"validation": last(folder, "validation")}))
        else:
            run("evaluate", "--model", str(folder / "model.safetensors"), *evaluation(), "--json", str(result))
    return {**json.loads(result.read_text()), "train": last(folder, "train")}


def evaluation() -> list[str]:
    """Returns the options of ``ae evaluate``: two sizes, and one set of decode settings for all recipes."""
    decode = yaml.safe_load(Path("recipes/shipped/person-heatmaps.yaml").read_text())["decode"]
    sizes = ["--input_size", "512", "--scales", "1", "0.5"]
    images = ["--annotations", f"{COCO}/annotations.json", "--images", f"{COCO}/images", "--held_out", "0.1"]
    return ["--refine", "none", *sizes, "--truth_detections", "--decode", json.dumps(decode), *images]


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "associative_embedding", *arguments], check=True, stdout=sys.stderr)


def last(folder: Path, event: str) -> dict[str, Any]:
    """Returns the last line of a run's log for `event`."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    found: dict[str, Any] = [line for line in lines if line["event"] == event][-1]
    return found


def row(name: str, result: dict[str, Any]) -> str:
    train = result["train"]
    # models without tags are validated in crops while they train; the others are evaluated on whole images
    if "validation" in result:
        numbers = [result["validation"]["OKS"], result["validation"]["PCK"]]
    else:
        found, true_groups = (result["metrics"][f"predicted detections{which}"] for which in ("", ", true tags"))
        rates = [found["keypoints_grouped_right"], found["people_grouped_right"]]
        numbers = [found["AP"], true_groups["AP"], *rates, train["pull"], train["push"]]
    cells = [name, *(f"{number:.3f}" for number in numbers), f"{train['images_per_second']:.0f}"]
    return f"| {' | '.join(cells)} |"


def head(comparison: str) -> str:
    columns = (
        ["OKS", "PCK"]
        if comparison == "refinement"
        else ["AP", "AP, true groups", "keypoints right", "people right", "pull", "push"]
    )
    return "\n".join((f"| {comparison} | {' | '.join(columns)} | images/s |", "|---" * (len(columns) + 2) + "|"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", choices=COMPARISONS)
    parser.add_argument("names", nargs="*", help="names of runs; none = all")
    given = parser.parse_args()
    comparison = COMPARISONS[given.comparison]
    if unknown := [name for name in given.names if name not in comparison.variants]:
        parser.error(f"no run {unknown[0]!r}; there are {', '.join(map(repr, comparison.variants))}")
    # one core each, so that two runs can go side by side and their speeds compare
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(head(given.comparison))
    for name in given.names or comparison.variants:
        folder = RUNS / given.comparison / re.sub(r"\W+", "-", name.lower())
        print(row(name, train_and_evaluate(comparison, folder, name)), flush=True)


if __name__ == "__main__":
    main()
