"""HRNet's ImageNet weights become the first weights of HRNet and HigherHRNet."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from associative_embedding.apps.cli.main import main
from associative_embedding.model_files.checkpoint import start_from
from associative_embedding.networks.hrnet import HRNet, HRNetOptions
from associative_embedding.networks.zoo import build_network

# names and shapes in the published file, with width 32
PUBLISHED = {
    "conv1.weight": (64, 3, 3, 3),
    "layer1.0.downsample.0.weight": (256, 64, 1, 1),
    "layer1.3.conv3.weight": (256, 64, 1, 1),
    "transition1.0.0.weight": (32, 256, 3, 3),
    "transition1.1.0.0.weight": (64, 256, 3, 3),
    "stage2.0.branches.1.3.bn2.running_var": (64,),
    "stage2.0.fuse_layers.0.1.0.weight": (32, 64, 1, 1),
    "transition2.2.0.0.weight": (128, 64, 3, 3),
    "stage3.3.fuse_layers.2.0.1.0.weight": (128, 32, 3, 3),
    "transition3.3.0.1.bias": (256,),
    "stage4.2.branches.3.3.conv2.weight": (256, 256, 3, 3),
    "stage4.2.fuse_layers.0.3.1.weight": (32,),
}
# the classifier, and branches that a network for poses does not read
ONLY_PUBLISHED = {
    "stage4.2.fuse_layers.1.0.0.0.weight": (64, 32, 3, 3),
    "stage4.2.fuse_layers.3.2.0.1.running_mean": (256,),
    "incre_modules.3.0.conv1.weight": (256, 256, 1, 1),
    "downsamp_modules.0.0.weight": (256, 128, 3, 3),
    "final_layer.0.weight": (2048, 1024, 1, 1),
    "classifier.weight": (1000, 2048),
}


def imagenet_state(width: int = 32) -> dict[str, Tensor]:
    """Random weights under the published names; the classifier's have one element, whose shapes nobody reads."""
    torch.manual_seed(0)
    with torch.device("meta"):
        own = HRNet(1, 1, HRNetOptions(width=width)).state_dict()
    state = {name: torch.rand(value.shape) for name, value in own.items() if not name.startswith("final_layers")}
    state = {name: value.long() if name.endswith("tracked") else value for name, value in state.items()}
    return state | {name: torch.rand(1) for name in ONLY_PUBLISHED}


def test_the_names_are_the_published_ones() -> None:
    state = imagenet_state()
    assert {name: tuple(state[name].shape) for name in PUBLISHED} == PUBLISHED


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "wrapped"), [("hrnet_w32", False), ("higherhrnet_w32", True)])
def test_all_but_the_outputs_start_from_them(backbone: str, wrapped: bool, tmp_path: Path) -> None:
    """Also from a file as a trainer saves it, without the counters that old versions of torch did not have."""
    state = imagenet_state()
    old = {f"module.{name}": value for name, value in state.items() if not name.endswith("tracked")}
    torch.save({"state_dict": old, "epoch": 100} if wrapped else state, tmp_path / "hrnet.pth")
    output = tmp_path / "hrnet.safetensors"
    command = ["convert", str(tmp_path / "hrnet.pth"), "--from", "hrnet-imagenet", "--output", str(output)]
    assert main(command) == 0
    assert not set(safetensors.torch.load_file(output)) & set(ONLY_PUBLISHED)
    network = build_network(backbone, 17, 1, {})
    fresh = start_from(network, output)
    assert {name.split(".")[1] for name in fresh} <= {"final_layers", "deconv_layers"}
    for name in PUBLISHED:
        assert torch.equal(network.state_dict()[f"body.{name}"], state[name])


@pytest.mark.slow
def test_other_widths_fit_their_own_network(tmp_path: Path) -> None:
    torch.save(imagenet_state(8), tmp_path / "hrnet.pth")
    output = tmp_path / "hrnet.safetensors"
    assert main(["convert", str(tmp_path / "hrnet.pth"), "--from", "hrnet-imagenet", "--output", str(output)]) == 0
    fresh = start_from(build_network("hrnet_w32", 17, 1, {"width": 8}), output)
    assert {name.split(".")[1] for name in fresh} == {"final_layers"}
    with pytest.raises(ValueError, match="hardly fits this network"):
        start_from(build_network("hrnet_w32", 17, 1, {"width": 4}), output)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage2.0.branches.0.0.conv1.weight": None}, "it has no stage2.0.branches.0.0.conv1.weight"),
        ({"stage3.0.branches.0.0.conv1.weight": None}, "missing: stage3.0.branches.0.0.conv1.weight"),
        ({"layer9.weight": torch.zeros(1)}, "left over: layer9.weight"),
        ({"conv1.weight": torch.zeros(64, 1, 3, 3)}, "another shape: conv1.weight (64, 1, 3, 3), not (64, 3, 3, 3)"),
    ],
)
def test_other_weights_get_one_line(
    change: dict[str, Tensor | None], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {name: value for name, value in (imagenet_state(4) | change).items() if value is not None}
    torch.save(state, tmp_path / "hrnet.pth")
    command = ["convert", str(tmp_path / "hrnet.pth"), "--from", "hrnet-imagenet", "--output", str(tmp_path / "o")]
    assert main(command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ae: error: ")
    assert message in line
    assert not (tmp_path / "o").exists()
