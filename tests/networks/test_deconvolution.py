"""Encoders with a deconvolution head: sizes that are published, strides, and a run of training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from associative_embedding.inference.load import load
from associative_embedding.networks.deconvolution import DeconvolutionNetwork, DeconvolutionOptions
from associative_embedding.networks.mobilenet_v2_norm import MobileNetV2Norm
from associative_embedding.networks.resnet import ResNet
from associative_embedding.training.recipe import NetworkConfig
from associative_embedding.training.train import train
from support.tiny import log_of, tiny_data, tiny_recipe


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "arguments", "parameters"),
    [  # of the classifiers that everybody uses, less their last layer
        (ResNet, {"depth": 50}, 25_557_032 - 2_049_000),
        (ResNet, {"depth": 101}, 44_549_160 - 2_049_000),
        (ResNet, {"depth": 152}, 60_192_808 - 2_049_000),
        (MobileNetV2Norm, {}, 3_504_872 - 1_281_000),
    ],
)
def test_published_sizes_of_the_encoders(encoder: Any, arguments: dict[str, int], parameters: int) -> None:
    with torch.device("meta"):
        model = encoder(**arguments)
        (found,) = model(torch.empty(2, 3, 64, 96))
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert found.shape == (2, model.channels[-1], 2, 3)


def test_the_stride_of_a_resnet_is_in_its_3x3_convolutions() -> None:
    with torch.device("meta"):
        model = ResNet(50)
    for stage, stride in ((1, 1), (2, 2), (3, 2), (4, 2)):
        first = model.get_submodule(f"layer{stage}.0")
        assert first.conv1.stride == (1, 1)
        assert first.conv2.stride == (stride, stride)
        assert first.downsample[0].stride == (stride, stride)


def test_the_padding_of_mobilenet_v2_is_symmetric() -> None:
    """TensorFlow's padding, which MoveNet's encoder has, would shift all maps by a pixel."""
    stem = MobileNetV2Norm().stem.eval()
    image = torch.rand(1, 3, 32, 32)
    scale = stem.norm.eps
    expected = F.relu6(F.conv2d(image, stem.conv.weight, stride=2, padding=1) / (1 + scale) ** 0.5)
    torch.testing.assert_close(stem(image), expected)


@pytest.mark.parametrize(("widths", "stride"), [((8,), 16), ((8, 4), 8), ((8, 8, 8), 4), ((4, 4, 4, 4, 4), 1)])
def test_each_deconvolution_halves_the_stride(widths: tuple[int, ...], stride: int) -> None:
    with torch.device("meta"):
        model = DeconvolutionNetwork(MobileNetV2Norm(), 3, 6, DeconvolutionOptions(widths=widths))
        (output,) = model(torch.empty(1, 3, 64, 96))
    assert model.stride == stride
    assert output.shape == (1, 9, 64 // stride, 96 // stride)


def test_impossible_options_are_refused() -> None:
    for widths in ((), (8, 0)):
        with pytest.raises(ValueError, match=r"widths must be one or more channel counts of at least 1, not \("):
            DeconvolutionOptions(widths=widths)
    with (
        torch.device("meta"),
        pytest.raises(ValueError, match="6 deconvolutions enlarge a map of stride 32 too much"),
    ):
        DeconvolutionNetwork(MobileNetV2Norm(), 3, 3, DeconvolutionOptions(widths=(8,) * 6))


@pytest.mark.slow
def test_it_is_trained_and_predicts(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, tiny_data(tmp_path), steps=2, log_every=2, lr=1e-3)
    network = NetworkConfig(backbone="mobilenet_v2_deconv", tag_size=1, options={"widths": [8, 8, 8]})
    path = train(replace(recipe, network=network))
    assert [row["step"] for row in log_of(path.parent) if row["event"] == "train"] == [2]
    assert load(path).network.strides == (4,)
