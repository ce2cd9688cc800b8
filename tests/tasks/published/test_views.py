"""Outputs are enlarged and averaged bit by bit as published code does it, one map after the other."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.published.conventions import Conventions
from associative_embedding.tasks.published.geometry import input_geometry
from associative_embedding.tasks.published.views import Outputs, merge

K = 3


def outputs_at(side: int, *, seed: int, higher: bool) -> Outputs:
    """Random outputs of an input of `side` pixels: stride 4 with tags and, of HigherHRNet, stride 2 without."""
    random = torch.Generator().manual_seed(seed)

    def one() -> tuple[Maps, ...]:
        coarse = torch.randn(1, 2 * K, side // 4, side // 4, generator=random)
        coarse = coarse.contiguous(memory_format=torch.channels_last)
        maps = [Maps(coarse[:, :K], coarse[:, K:].reshape(1, K, 1, side // 4, side // 4))]
        if higher:
            fine = torch.randn(1, K, side // 2, side // 2, generator=random)
            maps.append(Maps(fine, fine.new_zeros(1, K, 0, side // 2, side // 2)))
        return tuple(maps)

    return Outputs(one(), one())


def grow(values: Tensor, side: int, align: bool) -> Tensor:
    """Enlarges ``(1, K, h, w)`` as published code does; maps of this size stay as they are."""
    if values.shape[-1] == side:
        return values
    return F.interpolate(values.contiguous(), size=(side, side), mode="bilinear", align_corners=align)


def plain_merge(views: list[Outputs], side: int, rules: Conventions) -> Maps:
    """Every map by itself, with a new array for each step."""

    def mean(values: list[Tensor]) -> Tensor:
        return reduce(torch.add, values) / len(values)

    heatmaps, tags = [], []
    for view in views:
        between = side if rules.map_size == "input" else view.maps[-1].heatmap.shape[-1]
        for maps in (view.maps, view.mirrored):
            of_outputs = [grow(m.heatmap, between, rules.align_corners) for m in maps]
            heatmaps.append(grow(mean(of_outputs), side, rules.align_corners))
            of_tags = between if rules.map_size == "input-in-two-steps" else side
            own = grow(maps[0].tag[:, :, 0], of_tags, rules.align_corners)
            tags.append(grow(own, side, rules.align_corners))
    of_scales = [mean(heatmaps[i : i + 2]) for i in range(0, len(heatmaps), 2)]
    return Maps(mean(of_scales), torch.stack(tags, dim=2))


@pytest.mark.parametrize("sides", [[64], [128, 64], [128, 64, 64]])
@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("map_size", ["input", "input-in-two-steps", "network"])
def test_the_same_bits_as_map_by_map(map_size: Any, align: bool, higher: bool, sides: list[int]) -> None:
    """Also with tags of scales of different sizes; and no output of the network is changed."""
    rules = Conventions(map_size=map_size, align_corners=align)
    views = [outputs_at(side, seed=i, higher=higher) for i, side in enumerate(sides)]
    finest = sides[0] // (2 if higher else 4)
    side = finest if map_size == "network" else 64
    expected = plain_merge(views, side, rules)
    for _ in range(2):
        maps, geometry = merge(views, [True] * len(views), input_geometry((64, 64), 64, rules), rules)
        assert torch.equal(maps.heatmap, expected.heatmap)
        assert torch.equal(maps.tag, expected.tag)
        assert geometry.map_size == (side, side)


def test_the_paper_clips_heatmaps_at_one() -> None:
    rules = Conventions(fit="square", map_size="network", clip=True)
    views = [outputs_at(64, seed=5, higher=False)]
    maps, _ = merge(views, [True], input_geometry((64, 64), 64, rules), rules)
    plain = plain_merge(views, 16, rules).heatmap
    assert plain.max() > 1
    assert torch.equal(maps.heatmap, plain.clamp(max=1))


def test_tags_of_one_scale_only() -> None:
    rules = Conventions()
    views = [outputs_at(side, seed=side, higher=True) for side in (128, 64)]
    maps, _ = merge(views, [False, True], input_geometry((64, 64), 64, rules), rules)
    assert torch.equal(maps.tag, plain_merge(views[1:], 64, rules).tag)
