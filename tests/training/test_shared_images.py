"""Validation on images that are trained on is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.stream import Samples
from associative_embedding.training.batches import build_stream, build_task
from associative_embedding.training.shared_images import shared_images, validation_set_lines
from support.tiny import tiny_recipe


def trained(folder: Path, source: SourceConfig) -> list[Samples]:
    recipe = tiny_recipe(folder, source)
    return [mixture.dataset for mixture in build_stream(recipe.data, build_task(recipe), seed=0).mixtures]


def test_validation_on_images_of_the_training(tmp_path: Path, source: SourceConfig) -> None:
    everything = trained(tmp_path, source)
    count = len(json.loads(Path(str(source.annotations)).read_text())["images"])
    (line,) = shared_images([source], everything)
    assert line.startswith(f"data.validation: training has {count} of {count} images of {source.annotations}, so")

    parted = replace(source, held_out=0.5)
    rest = trained(tmp_path, parted)
    assert list(shared_images([parted], rest)) == []
    (line,) = shared_images([source], rest)
    assert line.startswith(f"data.validation: training has {len(rest[0])} of {count} images")

    # the same ids, as a list
    (tmp_path / "ids").write_text("1\n2\n")
    listed = replace(source, held_out_ids=str(tmp_path / "ids"))
    assert list(shared_images([listed], trained(tmp_path, listed))) == []
    (line,) = shared_images([listed], everything)
    assert line.startswith("data.validation: training has 2 of 2 images")

    # another file with the same images, by another name of their folder
    copy = tmp_path / "copy.json"
    copy.write_bytes(Path(str(source.annotations)).read_bytes())
    (tmp_path / "link").symlink_to(source.images)
    assert list(shared_images([replace(source, annotations=str(copy), images=str(tmp_path / "link"))], everything))
    assert list(shared_images([], everything)) == []


def test_training_on_cocos_validation_set(tmp_path: Path, source: SourceConfig) -> None:
    """Its images are no training images of COCO: figures for val2017 would be of images that the model has seen."""
    document = json.loads(Path(str(source.annotations)).read_text())
    stated = [{"coco_split": "val2017"}, {"coco_url": "http://images.cocodataset.org/val2017/1.jpg"}]
    stated += [{"coco_url": "http://images.cocodataset.org/train2017/2.jpg"}]
    for image, entry in zip(document["images"], stated, strict=False):
        image.update(entry)
    named = replace(source, annotations=str(tmp_path / "named.json"))
    Path(str(named.annotations)).write_text(json.dumps(document))
    count = len(document["images"])
    (line,) = validation_set_lines([named], trained(tmp_path, named))
    assert f"COCO's validation set val2017 has 2 of {count} images of {named.annotations}: " in line
    assert list(validation_set_lines([source], trained(tmp_path, source))) == []
