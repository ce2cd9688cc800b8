"""LitePose: published sizes, options, and a run of training that starts from published weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from associative_embedding.apps.cli.main import main
from associative_embedding.inference.load import load
from associative_embedding.networks.litepose import LitePoseOptions
from associative_embedding.networks.zoo import build_network
from associative_embedding.training.recipe import NetworkConfig
from associative_embedding.training.train import train
from support.published_layouts import LITEPOSES, litepose
from support.published_weights import random_weights
from support.tiny import FIGURE, log_of, tiny_data, tiny_recipe


@pytest.mark.parametrize(
    ("size", "parameters"), [("xs", 1_675_912), ("s", 2_731_624), ("m", 3_534_336), ("l", 5_738_672)]
)
def test_published_parameter_counts(size: str, parameters: int) -> None:
    with torch.device("meta"):
        network = build_network(f"litepose_{size}", 17, 1, {})
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_sides_are_multiples_of_16() -> None:
    network = build_network("litepose_xs", 3, 1, {}).eval()
    coarse, fine = network(torch.zeros(1, 3, 48, 80))
    assert coarse.heatmap.shape[-2:] == (12, 20)
    assert fine.heatmap.shape[-2:] == (24, 40)
    assert fine.tag.shape[2] == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stem": 0}, "stem must be at least 1, not 0"),
        ({"widths": (8, 8, 8)}, r"widths must be 4 channel counts of at least 1, not \(8, 8, 8\)"),
        ({"deconvolutions": (8, 0, 8)}, r"deconvolutions must be 3 channel counts of at least 1, not \(8, 0, 8\)"),
    ],
)
def test_impossible_options_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        LitePoseOptions(**values)


@pytest.mark.slow
def test_training_starts_from_published_weights(tmp_path: Path) -> None:
    torch.save(random_weights(litepose(*LITEPOSES["xs"])), tmp_path / "published.pth")
    start = tmp_path / "published.safetensors"
    assert main(["convert", str(tmp_path / "published.pth"), "--output", str(start)]) == 0
    recipe = tiny_recipe(tmp_path, tiny_data(tmp_path), steps=2, log_every=2, lr=1e-3)
    network = NetworkConfig(backbone="litepose_xs", tag_size=1, start=str(start))
    path = train(replace(recipe, network=network))
    assert [row["step"] for row in log_of(path.parent) if row["event"] == "train"] == [2]
    predictor = load(path)
    assert predictor.network.strides == (4, 2)
    assert len(FIGURE) == predictor.network.channels
