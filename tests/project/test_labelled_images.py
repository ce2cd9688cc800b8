"""`experiments/labelled_images.py` splits annotated images into a few to train on and the test."""

from __future__ import annotations

import json
import runpy
import shutil
from dataclasses import replace
from pathlib import Path

import yaml

from associative_embedding.data.settings import SourceConfig
from associative_embedding.training.recipe_file import check_recipe
from support.paths import ROOT


def test_few_images_train_and_the_last_ones_test(source: SourceConfig, tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "experiments" / "labelled_images.py"))
    shutil.copytree(source.images, tmp_path / "images")
    shutil.copy(source.annotations, tmp_path / "annotations.json")
    data = replace(script["DATA"]["flies"], folder=".", train=slice(0, 3), test=slice(3, None))
    path = script["write_recipe"](data, tmp_path, 2, 7, tmp_path / "run")
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    check_recipe(str(path))
    (train,), (test,) = recipe["data"]["sources"], recipe["data"]["validation"]
    ids = [[image["id"] for image in json.loads(Path(s["annotations"]).read_text())["images"]] for s in (train, test)]
    every = [image["id"] for image in json.loads(Path(source.annotations).read_text())["images"]]
    assert ids == [[every[0], every[2]], every[3:]]
    assert "held_out" not in train
    assert (recipe["data"]["input_size"], recipe["data"]["validation_size"]) == (256, 352)  # of 320 and 448
    assert (recipe["train"]["steps"], recipe["train"]["validate_every"]) == (7, 7)
