"""EfficientNet-Lite0's ImageNet weights become the encoder's."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from associative_embedding.apps.cli.main import main
from associative_embedding.model_files.checkpoint import start_from
from associative_embedding.networks.efficientnet_lite import EfficientNetLite0
from associative_embedding.networks.zoo import build_network
from support.malicious import Malicious


def efficientnet_state() -> dict[str, torch.Tensor]:
    """Random weights under the published names."""
    names = {
        "stem.conv": "_conv_stem",
        "stem.norm": "_bn0",
        "expand.conv": "_expand_conv",
        "expand.norm": "_bn0",
        "depthwise.conv": "_depthwise_conv",
        "depthwise.norm": "_bn1",
        "project.conv": "_project_conv",
        "project.norm": "_bn2",
    }
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = {"_fc.weight": torch.zeros(3, 3), "_conv_head.weight": torch.zeros(3)}
    for name, value in EfficientNetLite0().state_dict().items():
        prefix, layer, kind, leaf = ("", *name.rsplit(".", 3))[-4:]
        block = prefix.replace("blocks.", "_blocks.") + "." if prefix else ""
        state[f"{block}{names[f'{layer}.{kind}']}.{leaf}"] = torch.rand_like(value.float()).to(value.dtype)
    return state


def test_efficientnet_fills_the_encoder(tmp_path: Path) -> None:
    torch.save(efficientnet_state(), tmp_path / "lite0.pth")
    output = tmp_path / "e.safetensors"
    assert main(["convert", str(tmp_path / "lite0.pth"), "--from", "efficientnet-lite0", "--output", str(output)]) == 0
    network = build_network("efficientnet_lite0", 5, 1, {})
    fresh = start_from(network, output)
    assert not any(name.startswith("body.encoder") for name in fresh)
    stem = network.state_dict()["body.encoder.stem.conv.weight"]
    assert torch.equal(stem, efficientnet_state()["_conv_stem.weight"])


@pytest.mark.parametrize("how", ["malicious", "pickle", "garbage", "empty", "wrong model", "no tensors", "missing"])
def test_a_broken_efficientnet_is_refused_with_one_line(
    tmp_path: Path, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path, proof = tmp_path / "lite0.pth", tmp_path / "proof"
    state = efficientnet_state()
    match how:
        case "malicious":
            torch.save({"a": Malicious(proof)}, path)
        case "pickle":
            path.write_bytes(pickle.dumps(Malicious(proof)))
        case "garbage":
            path.write_bytes(b"\x80\x02garbage" * 100)
        case "empty":
            path.write_bytes(b"")
        case "wrong model":
            torch.save({name.replace("_blocks", "layers"): value for name, value in state.items()}, path)
        case "no tensors":
            torch.save({"epoch": 3}, path)
    assert main(["convert", str(path), "--from", "efficientnet-lite0", "--output", str(tmp_path / "o")]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("ae: error: ")
    assert not proof.exists()
    assert not (tmp_path / "o").exists()
