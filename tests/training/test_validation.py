"""Validation during training: what it needs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from associative_embedding.data.settings import SourceConfig
from associative_embedding.training.validation import build_validation
from support.coco_files import document, write
from support.tiny import tiny_recipe


def test_a_validation_without_people_is_refused(tmp_path: Path, source: SourceConfig) -> None:
    """All its numbers would be empty, after hours."""
    content = json.loads(Path(str(source.annotations)).read_text())
    (tmp_path / "empty.json").write_text(json.dumps({**content, "annotations": []}))
    recipe = tiny_recipe(tmp_path, source, validate=True)
    for empty in (replace(source, annotations=str(tmp_path / "empty.json")), replace(source, annotations=None)):
        with pytest.raises(ValueError, match="no image has a labelled object to validate on"):
            build_validation(replace(recipe, data=replace(recipe.data, validation=[empty])))
    assert build_validation(replace(recipe, data=replace(recipe.data, validation=[empty, source])))


def test_a_validation_without_masks_is_refused(tmp_path: Path) -> None:
    annotations, images = write(tmp_path, {**document(), "annotations": []})
    source = SourceConfig(images=images, annotations=annotations)
    recipe = tiny_recipe(tmp_path, source, validate=True)
    data = replace(recipe.data, skeleton="coco-17", sigma=2.0)
    with pytest.raises(ValueError, match="no image has a labelled object to validate on"):
        build_validation(replace(recipe, task="segmentation", data=data))
