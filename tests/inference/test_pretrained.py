"""Models in folders as the Hugging Face Hub has them, without a network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import associative_embedding as ae
from associative_embedding.model_files.checkpoint import load_model
from associative_embedding.model_files.find import model_path
from associative_embedding.model_files.model_info import MODEL_FILE
from support.tiny import FIGURE, tiny_info, tiny_network

pytest.importorskip("huggingface_hub", reason="needs the extra [hub]")
from associative_embedding.inference import pretrained as hub

pytestmark = pytest.mark.extra
IMAGE = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    info = tiny_info(notes={"steps": 5})
    hub.Pretrained(tiny_network(info), info).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_saved_model_is_the_model(folder: Path) -> None:
    info = tiny_info(notes={"steps": 5})
    loaded = hub.Pretrained.from_pretrained(folder)
    assert loaded.info.to_json() == info.to_json()
    expected = tiny_network(info).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.network.state_dict().items())
    assert not loaded.network.training
    assert len(loaded.predictor(input_size=32)(IMAGE).skeleton) == len(FIGURE)


def test_the_folder_holds_a_model_file_of_ours_a_card_and_no_pickle(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", MODEL_FILE]
    assert load_model(folder / MODEL_FILE)[1].notes == {"steps": 5}
    assert json.loads((folder / "config.json").read_text())["backbone"] == "hourglass"
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: associative-embedding\npipeline_tag: keypoint-detection\n")
    assert all(name in card for name in FIGURE.keypoints)


def test_a_card_that_is_there_stays_and_a_second_trip_changes_nothing(folder: Path) -> None:
    (folder / "README.md").write_text("mine")
    weights = (folder / MODEL_FILE).read_bytes()
    hub.Pretrained.from_pretrained(str(folder)).save_pretrained(folder)
    assert (folder / "README.md").read_text() == "mine"
    assert (folder / MODEL_FILE).read_bytes() == weights


def test_load_takes_the_folder(folder: Path) -> None:
    found = ae.load(folder)(IMAGE)
    again = ae.load(folder / MODEL_FILE)(IMAGE)
    np.testing.assert_array_equal(found.keypoints, again.keypoints)
    assert model_path(str(folder)) == folder / MODEL_FILE
    with pytest.raises(ValueError, match="neither a shipped model"):
        model_path(folder.parent)


def test_a_shipped_model_of_masks_has_a_card(tmp_path: Path) -> None:
    hub.Pretrained(*load_model(model_path("nuclei"))).save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "pipeline_tag: image-segmentation" in card
    assert "It finds nucleus." in card


def test_a_folder_that_is_damaged(folder: Path) -> None:
    (folder / MODEL_FILE).write_bytes(b"\0" * 100)
    with pytest.raises(ValueError, match=r"model.safetensors: not a readable safetensors file"):
        hub.Pretrained.from_pretrained(folder)
    (folder / MODEL_FILE).unlink()
    with pytest.raises(ValueError, match=r"model.safetensors: no such model file"):
        hub.Pretrained.from_pretrained(folder)


def test_the_json_of_a_folder_is_not_read(folder: Path) -> None:
    """huggingface_hub would read it, however deep or large it is."""
    (folder / "config.json").write_text("[" * 100_000)
    assert hub.Pretrained.from_pretrained(folder).info.notes == {"steps": 5}
