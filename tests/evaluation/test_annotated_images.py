"""The same settings open the same images for every command that measures a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from associative_embedding.apps.cli.calibrate import CalibrationSettings
from associative_embedding.evaluation.annotated_images import objects_for, open_for, people_for
from associative_embedding.evaluation.poses import PoseTestSet
from associative_embedding.evaluation.settings import EvaluationSettings
from associative_embedding.inference.load import load
from support.tiny import tiny_data, tiny_model


def test_people_by_the_settings_of_both_commands(tmp_path: Path) -> None:
    source = tiny_data(tmp_path / "data", 4)
    predictor = load(str(tiny_model(tmp_path / "model.safetensors")))
    settings = EvaluationSettings(str(source.annotations), source.images, limit=3, protocol="mpii")
    opened = open_for(predictor, settings)
    assert isinstance(opened, PoseTestSet)
    assert (len(opened.data), opened.protocol.digits) == (3, 1)
    calibration = CalibrationSettings(str(source.annotations), "out.safetensors", source.images, limit=2)
    assert len(open_for(predictor, calibration.test_set).data) == 2


def test_refuses_settings_of_the_other_kind(tmp_path: Path) -> None:
    predictor = load(str(tiny_model(tmp_path / "model.safetensors")))
    for settings in (EvaluationSettings("a.json", "images", split="val"), EvaluationSettings("a.json")):
        with pytest.raises(ValueError, match="a pose model needs a COCO json and --images"):
            people_for(predictor, settings)
    with pytest.raises(ValueError, match="--groups is only for pose models"):
        objects_for(predictor, EvaluationSettings("a.json", "images", groups="groups.mat"))
