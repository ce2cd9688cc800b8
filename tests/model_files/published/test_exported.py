"""Exported networks of published models: all outputs that published code merges, and the same people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from associative_embedding import load
from associative_embedding.model_files.checkpoint import save_model
from associative_embedding.model_files.export import export_model
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.published.conventions import Conventions
from support.tiny import photo

pytestmark = [pytest.mark.slow, pytest.mark.extra]


TWO_STEPS = Conventions(map_size="input-in-two-steps")
UDP = Conventions(fit="corner", map_size="network", align_corners=True)


@pytest.mark.parametrize(
    ("conventions", "suffix"),
    [(Conventions(), ".onnx"), (Conventions(), ".xml"), (TWO_STEPS, ".onnx"), (UDP, ".onnx")],
)
def test_the_same_people(tmp_path: Path, conventions: Conventions, suffix: str) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip({".onnx": "onnxruntime", ".xml": "openvino"}[suffix])
    torch.manual_seed(0)
    decode = DecodeConfig(matching="rounded", assignment="published", position="quarter", fill_rule="published")
    info = ModelInfo("litepose_xs", PoseTask(COCO_17, decode), 128, conventions=conventions)
    network = info.build().eval()
    path = tmp_path / "model.safetensors"
    save_model(path, network, info)
    form = "onnx" if suffix == ".onnx" else "openvino"
    export_model(path, str(tmp_path / f"graph{suffix}"), form)  # type: ignore[arg-type]
    image = photo(100, 140)
    options = {"decode": {"threshold": 0.01}}
    expected = load(path, runtime="torch", **options)  # type: ignore[arg-type]
    found = load(tmp_path / f"graph{suffix}", **options)  # type: ignore[arg-type]
    theirs, ours = (model.explain(image)[1] for model in (expected, found))
    assert ours.heatmap.shape == theirs.heatmap.shape
    torch.testing.assert_close(ours.heatmap, theirs.heatmap, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(ours.tag, theirs.tag, atol=1e-4, rtol=1e-3)
    assert ours.tag.shape[2] == 2
    assert np.isfinite(found(image).keypoints).all()
