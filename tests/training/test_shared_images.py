"""Validation on images that are trained on is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.stream import Samples
from associative_embedding.training.batches import build_stream, build_task
from associative_embedding.training.shared_images import shared_images
from support.tiny import tiny_recipe


def trained(folder: Path, source: SourceConfig) -> list[Samples]:
    recipe = tiny_recipe(folder, source)
    return [mixture.dataset for mixture in build_stream(recipe.data, build_task(recipe), seed=0).mixtures]


def test_validation_on_images_of_the_training(tmp_path: Path, source: SourceConfig) -> None:
    everything = trained(tmp_path, source)
    count = len(json.loads(Path(str(source.annotations)).read_text())["images"])
    (line,) = shared_images([source], everything)
    assert line.startswith(f"data.validation: {count} of {count} images of {source.annotations} are also trained on")

    parted = replace(source, held_out=0.5)
    rest = trained(tmp_path, parted)
    assert list(shared_images([parted], rest)) == []
    (line,) = shared_images([source], rest)
    assert line.startswith(f"data.validation: {len(rest[0])} of {count} images")

    # another file with the same images, by another name of their folder
    copy = tmp_path / "copy.json"
    copy.write_bytes(Path(str(source.annotations)).read_bytes())
    (tmp_path / "link").symlink_to(source.images)
    assert list(shared_images([replace(source, annotations=str(copy), images=str(tmp_path / "link"))], everything))
    assert list(shared_images([], everything)) == []
