"""Every backbone, through the one interface that the rest of the library knows."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import pytest
import torch

from associative_embedding.networks.network import Network
from associative_embedding.networks.zoo import BACKBONES, build_network
from associative_embedding.structures.maps import Maps, final_maps
from support.pictures import random_images
from support.tiny import FIGURE, HOURGLASS

NARROW = {"width": 4}
OPTIONS: dict[str, dict[str, Any]] = {
    "hourglass": HOURGLASS,
    **{name: NARROW for name in BACKBONES if "hrnet" in name},
    **{name: {"widths": [8, 8, 8]} for name in BACKBONES if "resnet" in name},
}
TWO = [(4, 3), (2, 0)]
OUTPUTS = {  # stride and tag size of each output
    "hourglass": [(4, 3), (4, 3)],
    **{name: TWO for name in BACKBONES if name.startswith(("higherhrnet", "litepose"))},
}
K = len(FIGURE)
DESCRIPTIONS: WeakKeyDictionary[Network, str] = WeakKeyDictionary()  # network -> its backbone


@pytest.fixture(scope="module", params=sorted(BACKBONES))
def network(request: pytest.FixtureRequest) -> Network:
    torch.manual_seed(0)
    built = build_network(request.param, K, 3, OPTIONS.get(request.param, {})).eval()
    DESCRIPTIONS[built] = request.param
    return built


@torch.inference_mode()
def test_shapes_of_a_picture_that_is_not_square(network: Network) -> None:
    height, width = 2 * network.multiple, 3 * network.multiple
    outputs = network(random_images(height, width, batch=2))
    backbone, *_ = description(network)
    for maps, (stride, tag_size) in zip(outputs, OUTPUTS.get(backbone, [(4, 3)]), strict=True):
        assert maps.heatmap.shape == (2, K, height // stride, width // stride)
        assert maps.tag.shape == (2, K, tag_size, height // stride, width // stride)
        assert stride in network.strides
    maps = final_maps(outputs)
    assert maps.heatmap.shape == (2, K, height // network.stride, width // network.stride)
    assert maps.tag.shape == (2, K, 3, height // network.stride, width // network.stride)


def test_sides_that_are_no_multiple_are_refused(network: Network) -> None:
    side = network.multiple
    with pytest.raises(ValueError, match=f"multiples of {side}, not {side} x {side + 1}"):
        network(random_images(side, side + 1))


@torch.inference_mode()
def test_uint8_float_and_memory_layout_do_not_matter(network: Network) -> None:
    image = random_images(network.multiple, 2 * network.multiple)
    expected = final_maps(network(image))
    for other in (image.float(), image.contiguous(memory_format=torch.channels_last)):
        maps = final_maps(network(other))
        assert torch.equal(maps.heatmap, expected.heatmap)
        assert torch.equal(maps.tag, expected.tag)


@pytest.mark.slow
@torch.inference_mode()
def test_channels_last_weights_compute_the_same(network: Network) -> None:
    image = random_images(network.multiple, network.multiple)
    expected = final_maps(network(image))
    other = build_network(*description(network)).eval()
    other.load_state_dict(network.state_dict())
    other.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.testing.assert_close(final_maps(other(image)).heatmap, expected.heatmap, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(final_maps(other(image)).tag, expected.tag, rtol=1e-3, atol=1e-4)


def description(network: Network) -> tuple[str, int, int, dict[str, Any]]:
    backbone = DESCRIPTIONS[network]
    return backbone, K, 3, OPTIONS.get(backbone, {})


@torch.inference_mode()
def test_an_image_does_not_depend_on_its_neighbours_in_the_batch(network: Network) -> None:
    images = random_images(network.multiple, network.multiple, batch=3)
    together, alone = final_maps(network(images)), final_maps(network(images[1:2]))
    torch.testing.assert_close(together.heatmap[1:2], alone.heatmap, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(together.tag[1:2], alone.tag, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_every_parameter_learns(network: Network) -> None:
    trained = build_network(*description(network)).train()
    outputs = trained(random_images(network.multiple, network.multiple, batch=2))
    torch.stack([m.heatmap.square().sum() + m.tag.square().sum() for m in outputs]).sum().backward()
    missing = [name for name, p in trained.named_parameters() if p.grad is None]
    assert not missing


@pytest.mark.parametrize(
    ("backbone", "tag_size", "options", "message"),
    [
        ("resnet", 1, {}, "unknown backbone 'resnet'; known are efficientnet_lite0, higherhrnet_w32, .*mobilenet_v2"),
        ("mobilenet_v2", 1, {"stacks": 2}, "backbone mobilenet_v2 has no option 'stacks'"),
        ("mobilenet_v2", 1, {"position": 2}, "cannot hold 2 position dimensions"),
        ("mobilenet_v2", 2, {"position": 1}, "position must be 0 or 2"),
        ("mobilenet_v2", 1, {"widths": [8, 8]}, "needs 3 widths, not 2"),
        ("mobilenet_v2", 1, {"contxt": 1}, "no option 'contxt'; did you mean 'context'"),
        ("mobilenet_v2", 1, {"context": -1}, "mobilenet_v2 cannot have .*context must be at least 0"),
        ("mobilenet_v2", 1, {"outputs": 0}, "outputs must be at least 1, not 0"),
        ("mobilenet_v2", 1, {"widths": [8, 0, 8]}, r"widths must be channel counts of at least 1, not \[8, 0, 8\]"),
        ("mobilenet_v2", 1, {"stride": 3}, "stride must be one of 2, 4, 8, 16, 32, not 3"),
        ("mobilenet_v2", 1, {"hidden": -1}, "mobilenet_v2 cannot have the options {'hidden': -1}: "),
        ("mobilenet_v2", 1, {"hidden": 1.5}, "mobilenet_v2 cannot have the options {'hidden': 1.5}: "),
        ("mobilenet_v2", 2, {"position": 2, "position_unit": 0}, "position_unit must be positive, not 0"),
        ("mobilenet_v2", 1, {"position_unit": "far"}, "cannot have the options {'position_unit': 'far'}"),
        ("hourglass", 1, {"widths": [8]}, "two or more"),
        ("hourglass", 1, {"widths": 8}, "hourglass cannot have the options {'widths': 8}"),
        ("hrnet_w32", 1, {"width": 0}, "width must be at least 1, not 0"),
        ("higherhrnet_w48", 1, {"mean": [0.5]}, "higherhrnet_w48 cannot have the options"),
        ("hrnet_w32", 1, {"std": [1, 1, 0], "width": 4}, r"std must be three positive numbers, not \(1, 1, 0\)"),
    ],
)
def test_bad_options_are_named(backbone: str, tag_size: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_network(backbone, K, tag_size, options)


def test_of_outputs_without_tags_the_last_is_decoded() -> None:
    """A single-person network has no tags, however many stacks it has; HigherHRNet has tags before its last output."""
    outputs = [Maps(torch.rand(1, 3, 4, 4), torch.zeros(1, 3, 0, 4, 4)) for _ in range(2)]
    assert final_maps(outputs) is outputs[1]
    assert final_maps(outputs[:1]) is outputs[0]
    tagged = Maps(torch.rand(1, 3, 2, 2), torch.rand(1, 3, 1, 2, 2))
    assert final_maps([tagged, outputs[1]]).tag.shape == (1, 3, 1, 4, 4)
