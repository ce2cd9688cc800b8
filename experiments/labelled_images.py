"""Trains on a few labelled images, and prints how far keypoints are off: the table of docs/own-animal.md.

    python experiments/labelled_images.py flies --images 10 30 60 200
    python experiments/labelled_images.py athletes --images 60 --steps 1500

Settings are those of ``ae train --data``, but for the views, which are smaller, and the steps. Images are spread over
the first part of the data, the test is the last part: of flies every second of the last 200 frames, of athletes the
last 300 photographs. Runs are in ``runs/labelled-images``; finished ones are not repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from associative_embedding.io.coco_json import read_coco
from associative_embedding.training.start_recipe import pose_recipe

RUNS = Path("runs/labelled-images")


@dataclass(frozen=True)
class Data:
    """Annotated images.

    Attributes:
        folder: below it are annotations.json and images.
        train, test: which rows of the json's images are for training and test.
        view: side of a training view, pixels.
    """

    folder: str
    train: slice
    test: slice
    view: int


DATA = {
    "flies": Data("tracking/flies", slice(0, 700), slice(800, None, 2), 256),
    "athletes": Data("pose/lspet", slice(0, -300), slice(-300, None), 192),
}


def write_part(document: dict[str, Any], images: list[dict[str, Any]], path: Path) -> str:
    """Writes a COCO json of some of the images, and returns its path."""
    ids = {image["id"] for image in images}
    rows = [row for row in document["annotations"] if row["image_id"] in ids]
    path.write_text(json.dumps({**document, "images": images, "annotations": rows}), encoding="utf-8")
    return str(path)


def write_recipe(data: Data, shared: Path, count: int, steps: int, run: Path) -> Path:
    """Writes the labels of `count` images, the labels of the test and a recipe beside the run."""
    folder = str(shared / data.folder / "images")
    document = read_coco(shared / data.folder / "annotations.json")
    rows = document["images"][data.train]
    chosen = [rows[i] for i in np.linspace(0, len(rows) - 1, count).round().astype(int)]
    train = write_part(document, chosen, run.with_name(f"{run.name}-train.json"))
    test = write_part(document, document["images"][data.test], run.with_name(f"{run.name}-test.json"))
    recipe = yaml.safe_load(pose_recipe(train, folder, str(run)))
    (source,) = recipe["data"]["sources"]
    kept = {key: value for key, value in source.items() if key != "held_out"}  # all labelled images train
    smaller = data.view / recipe["data"]["input_size"]  # of views and tests alike: animals stay as large in both
    recipe["data"] |= {
        "sources": [{**kept, "annotations": train}],
        "validation": [{"annotations": test, "images": folder}],
        "validation_images": 0,
        "input_size": data.view,
        "validation_size": 32 * round(recipe["data"]["validation_size"] * smaller / 32),
    }
    recipe["train"] |= {"steps": steps, "validate_every": steps, "save_every": steps}
    path = run.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def result(name: str, shared: Path, count: int, steps: int) -> dict[str, Any]:
    """Returns the numbers of the last validation of a run, which is trained if it is not there."""
    run = RUNS / f"{name}-{count}-{steps}"
    log = run / "log.jsonl"
    if not log.exists() or '"validation"' not in log.read_text(encoding="utf-8"):
        run.parent.mkdir(parents=True, exist_ok=True)
        recipe = write_recipe(DATA[name], shared, count, steps, run)
        subprocess.run([sys.executable, "-m", "associative_embedding", "train", str(recipe)], check=True)
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return dict([row for row in rows if row["event"] == "validation"][-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("data", choices=DATA)
    parser.add_argument("--images", type=int, nargs="+", default=[10, 30, 60, 200], help="numbers of labelled images")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    results = {count: result(options.data, options.shared, count, options.steps) for count in options.images}
    print(f"| labelled images | steps | {options.data}: error | {options.data}: PCK |")
    print("|---:|---:|---:|---:|")
    for count, numbers in results.items():
        error = "-" if numbers["pixel_error"] is None else f"{numbers['pixel_error']:.2f}"  # nobody found
        print(f"| {count} | {options.steps} | {error} | {numbers['PCK']:.3f} |")


if __name__ == "__main__":
    main()
