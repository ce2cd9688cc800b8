"""The EfficientNet-Lite0 encoder: shapes, padding, gradients and the names of the published weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from associative_embedding.model_files.converters.efficientnet_lite import load_imagenet_weights
from associative_embedding.networks.efficientnet_lite import ConvNorm, EfficientNetLite0

# Written down from the published weights: block -> channels in, widened (None: not widened), kernel, channels out.
BLOCKS = (
    (32, None, 3, 16),
    (16, 96, 3, 24),
    (24, 144, 3, 24),
    (24, 144, 5, 40),
    (40, 240, 5, 40),
    (40, 240, 3, 80),
    (80, 480, 3, 80),
    (80, 480, 3, 80),
    (80, 480, 5, 112),
    (112, 672, 5, 112),
    (112, 672, 5, 112),
    (112, 672, 5, 192),
    (192, 1152, 5, 192),
    (192, 1152, 5, 192),
    (192, 1152, 5, 192),
    (192, 1152, 3, 320),
)


def published_norm(name: str, channels: int) -> dict[str, Tensor]:
    leaves = ("weight", "bias", "running_mean", "running_var")
    values = {f"{name}.{leaf}": torch.rand(channels) + 0.5 for leaf in leaves}
    return values | {f"{name}.num_batches_tracked": torch.tensor(7)}


def published_state() -> dict[str, Tensor]:
    """Random weights with the names and shapes of the published file."""
    torch.manual_seed(0)
    state = {"_conv_stem.weight": torch.randn(32, 3, 3, 3)} | published_norm("_bn0", 32)
    for index, (inputs, wide, kernel, outputs) in enumerate(BLOCKS):
        block = f"_blocks.{index}."
        if wide is not None:
            state |= {f"{block}_expand_conv.weight": torch.randn(wide, inputs, 1, 1)}
            state |= published_norm(f"{block}_bn0", wide)
        middle = wide or inputs
        state |= {f"{block}_depthwise_conv.weight": torch.randn(middle, 1, kernel, kernel)}
        state |= published_norm(f"{block}_bn1", middle)
        state |= {f"{block}_project_conv.weight": torch.randn(outputs, middle, 1, 1)}
        state |= published_norm(f"{block}_bn2", outputs)
    state |= {"_conv_head.weight": torch.randn(1280, 320, 1, 1)} | published_norm("_bn1", 1280)
    return state | {"_fc.weight": torch.randn(10, 1280), "_fc.bias": torch.randn(10)}


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (96, 32)])
def test_maps_have_the_stated_strides_and_channels(size: tuple[int, int]) -> None:
    model = EfficientNetLite0().eval()
    with torch.inference_mode():
        maps = model(torch.rand(2, 3, *size))
    expected = [(2, c, size[0] // s, size[1] // s) for c, s in zip(model.channels, model.strides, strict=True)]
    assert [tuple(x.shape) for x in maps] == expected
    assert model.strides == (2, 4, 8, 16, 32)


def test_sides_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 32, not 64 x 100"):
        EfficientNetLite0()(torch.rand(1, 3, 64, 100))


def test_the_docstring_has_the_number_of_parameters() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in EfficientNetLite0().parameters())
    assert f"{count / 1e6:.2f} million parameters" in (EfficientNetLite0.__doc__ or "")


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_is_that_of_tensorflow(kernel: int, stride: int) -> None:
    """SAME on an even side: output ``i`` reads from ``i * stride - (kernel - stride) // 2`` on, zeros outside."""
    torch.manual_seed(0)
    layer = ConvNorm(2, 3, kernel, stride, relu=False).eval()
    x = torch.randn(1, 2, 8, 12)
    before = (kernel - stride) // 2
    framed = torch.zeros(1, 2, 8 + 8, 12 + 8)
    framed[:, :, 4:12, 4:16] = x
    expected = torch.empty(1, 3, 8 // stride, 12 // stride)
    for i in range(8 // stride):
        for j in range(12 // stride):
            top, left = 4 + i * stride - before, 4 + j * stride - before
            window = framed[0, :, top : top + kernel, left : left + kernel]
            expected[0, :, i, j] = (layer.conv.weight * window).sum((1, 2, 3))
    torch.testing.assert_close(layer(x), expected / (1 + 1e-3) ** 0.5, rtol=1e-4, atol=1e-5)


def test_activations_are_clipped_at_six() -> None:
    layer = ConvNorm(1, 1).eval()
    torch.nn.init.ones_(layer.conv.weight)
    x = torch.tensor([-1.0, 2.0, 50.0]).reshape(1, 1, 1, 3)
    torch.testing.assert_close(layer(x).flatten(), torch.tensor([0.0, 2.0, 6.0]), rtol=1e-3, atol=0)


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    model = EfficientNetLite0()
    sum(x.square().mean() for x in model(torch.randn(2, 3, 64, 64))).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_fine_map_does_not_depend_on_coarser_blocks() -> None:
    model = EfficientNetLite0()
    model(torch.rand(2, 3, 32, 32))[2].sum().backward()
    trained = {
        int(name.split(".")[1]) for name, p in model.blocks.named_parameters(prefix="blocks") if p.grad is not None
    }
    assert trained == {0, 1, 2, 3, 4}


def test_channels_last_changes_nothing() -> None:
    torch.manual_seed(0)
    model, image = EfficientNetLite0().eval(), torch.randn(1, 3, 64, 32)
    with torch.inference_mode():
        expected = model(image)
        actual = model.to(memory_format=torch.channels_last)(image.to(memory_format=torch.channels_last))
    for a, e in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, e, rtol=1e-3, atol=1e-5)


def test_published_weights_fill_the_encoder() -> None:
    published = published_state()
    state = load_imagenet_weights(published)
    model = EfficientNetLite0().eval()
    model.load_state_dict(state)
    pairs = {
        "stem.conv.weight": "_conv_stem.weight",
        "stem.norm.running_mean": "_bn0.running_mean",
        "blocks.0.depthwise.norm.bias": "_blocks.0._bn1.bias",
        "blocks.3.expand.norm.weight": "_blocks.3._bn0.weight",
        "blocks.15.project.norm.running_var": "_blocks.15._bn2.running_var",
        "blocks.10.project.conv.weight": "_blocks.10._project_conv.weight",
    }
    assert all(state[ours] is published[theirs] for ours, theirs in pairs.items())
    classifier = {name for name in published if name.startswith(("_conv_head", "_bn1", "_fc"))}
    assert {id(t) for t in state.values()} == {id(t) for name, t in published.items() if name not in classifier}

    # The stem computed by hand from the published names: the weights not only fit but mean the same.
    image = torch.randn(1, 3, 32, 32)
    x = F.conv2d(F.pad(image, (0, 1, 0, 1)), published["_conv_stem.weight"], stride=2)
    norm = [published[f"_bn0.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")]
    torch.testing.assert_close(model.stem(image), F.relu6(F.batch_norm(x, *norm, eps=1e-3)))


def test_the_classifier_may_be_missing() -> None:
    published = published_state()
    encoder = {name: t for name, t in published.items() if not name.startswith(("_conv_head", "_bn1", "_fc"))}
    assert load_imagenet_weights(encoder).keys() == load_imagenet_weights(published).keys()


def test_faulty_weights_are_named() -> None:
    state = published_state()
    del state["_blocks.4._bn2.bias"]
    state["_blocks.16._bn2.bias"] = torch.rand(3)
    state["extra"] = torch.rand(3)
    state["_conv_stem.weight"] = torch.rand(32, 1, 3, 3)
    with pytest.raises(ValueError) as error:
        load_imagenet_weights(state)
    message = str(error.value)
    assert "missing: blocks.4.project.norm.bias;" in message
    assert "left over: _blocks.16._bn2.bias, extra;" in message
    assert "another shape: _conv_stem.weight (32, 1, 3, 3), not (32, 3, 3, 3)" in message
    assert "\n" not in message


def test_weights_of_another_network_give_a_short_message() -> None:
    with pytest.raises(ValueError, match=r"missing: stem\.conv\.weight, .* and \d+ more; left over: a$") as error:
        load_imagenet_weights({"a": torch.rand(1)})
    assert len(str(error.value)) < 300
