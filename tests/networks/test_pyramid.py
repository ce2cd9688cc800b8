"""Networks with a pyramid: tags of the position, the first outputs, and the finest stride."""

from __future__ import annotations

import pytest
import torch

from associative_embedding.networks.pyramid import Pyramid
from associative_embedding.networks.zoo import build_network
from associative_embedding.structures.maps import final_maps
from support.pictures import random_images
from support.tiny import tiny_info, tiny_network


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "efficientnet_lite0"])
@torch.inference_mode()
def test_position_tags_move_with_the_picture(backbone: str) -> None:
    """A figure further right by a multiple of the coarsest stride has position tags larger by just that."""
    info = tiny_info(backbone, tag_size=3, options={"position": 2, "context": 0, "position_unit": 32.0})
    network = tiny_network(info)
    image = torch.full((1, 3, 320, 384), 127.0)
    image[..., 128:160, 128:160] = random_images(32, 32).float()
    moved = torch.roll(image, (32, 64), dims=(-2, -1))
    before, after = final_maps(network(image)).tag, network(moved)[-1].tag
    there, here = after[..., 40:48, 48:56], before[..., 32:40, 32:40]
    torch.testing.assert_close(there[:, :, 0], here[:, :, 0] + 2, rtol=1e-3, atol=1e-3)  # x, 64 pixels
    torch.testing.assert_close(there[:, :, 1], here[:, :, 1] + 1, rtol=1e-3, atol=1e-3)  # y, 32 pixels
    torch.testing.assert_close(there[:, :, 2], here[:, :, 2], rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_position_tags_are_in_input_pixels() -> None:
    """With a head that says nothing, a tag is where its pixel's centre is."""
    network = tiny_network(tiny_info("mobilenet_v2", options={"position": 2, "position_unit": 1.0}))
    last = network.body.tag_head[-1]
    last.weight.zero_(), last.bias.zero_()
    tag = network(random_images(32, 64))[-1].tag
    assert tag[0, :, 0, 0].unique(dim=0)[0].tolist() == [4 * i + 2 for i in range(16)]
    assert tag[0, :, 1, :, 0].unique(dim=0)[0].tolist() == [4 * i + 2 for i in range(8)]


def test_a_pyramid_network_is_silent_at_first() -> None:
    torch.manual_seed(0)
    maps = build_network("mobilenet_v2", 5, 1, {}).eval()(random_images(64, 64))[-1]
    assert 0 < float(maps.heatmap.detach().mean()) < 0.05


def test_a_pyramid_returns_its_finest_stride() -> None:
    features = [torch.rand(1, 4, 16, 24), torch.rand(1, 6, 8, 12), torch.rand(1, 8, 4, 6)]
    assert Pyramid([4, 6, 8], [3, 5], 7, context=1)(features).shape == (1, 7, 16, 24)
