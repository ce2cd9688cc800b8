"""The outputs of a network at several scales, with those of the mirror image -> the maps to decode."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.published.conventions import Conventions
from associative_embedding.tasks.published.geometry import CornerGeometry

Size = tuple[int, int]


@dataclass(frozen=True)
class Outputs:
    """What a network returns for a batch at one scale. A slice selects images of the batch.

    Attributes:
        maps: the outputs that count, the finest last.
        mirrored: those of the mirror image, mirrored back; empty without it.
    """

    maps: tuple[Maps, ...]
    mirrored: tuple[Maps, ...] = ()

    def __getitem__(self, index: slice) -> Outputs:
        return Outputs(tuple(m[index] for m in self.maps), tuple(m[index] for m in self.mirrored))


def tag_scales(scales: tuple[float, ...]) -> tuple[float, ...]:
    """Returns the scale whose tags published code uses: 1, or the nearest to it."""
    return (min(scales, key=lambda scale: abs(scale - 1)),)


def collect(outputs: Sequence[Maps], mirrored: Sequence[Maps] = (), flip_index: Array | None = None) -> Outputs:
    """Selects the outputs that count, and mirrors those of the mirror image back.

    Args:
        outputs: all supervised outputs of the network.
        mirrored: those for the image flipped left to right.
        flip_index: ``(C,)`` int64: the channels of a mirror image, see `Task`.
    """
    # Every stack of an hourglass has tags and refines the one before it; of HigherHRNet's outputs only the first has.
    used = slice(-1, None) if outputs[-1].tag.shape[2] else slice(None)
    return Outputs(tuple(outputs[used]), tuple(unmirror(maps, flip_index) for maps in mirrored[used]))


def unmirror(maps: Maps, flip_index: Array | None) -> Maps:
    """Flips maps left to right, and exchanges the channels of left and right."""
    index = torch.as_tensor(flip_index, device=maps.heatmap.device)
    return Maps(maps.heatmap.flip(-1)[:, index], maps.tag.flip(-1)[:, index])


def merge(
    views: Sequence[Outputs], with_tags: Sequence[bool], base: ImageGeometry, conventions: Conventions
) -> tuple[Maps, ImageGeometry]:
    """Averages the heatmaps of all outputs, scales and mirror images of one image, and stacks their tags on D.

    Args:
        views: the outputs at each scale, the largest first.
        with_tags: whether the tags of a scale are used.
        base: the geometry of the input at scale 1, see `geometry.input_geometry`.
        conventions: `map_size` and `align_corners` count.

    Returns:
        the maps, and their geometry.
    """
    finest = views[0].maps[-1].heatmap
    pixels: Size = (finest.shape[-2], finest.shape[-1]) if conventions.map_size == "network" else base.input_size
    heatmaps, tags = [], []
    for outputs, tagged in zip(views, with_tags, strict=True):
        sides = [_merge_outputs(maps, pixels, conventions) for maps in (outputs.maps, outputs.mirrored) if maps]
        heatmaps.append(_mean([maps.heatmap for maps in sides]))
        tags += [maps.tag for maps in sides] if tagged else []
    maps = Maps(_mean(heatmaps), torch.cat(tags, dim=2))
    if isinstance(base, CornerGeometry):
        return maps, replace(base, pixels=pixels)
    return maps, replace(base, stride=max(1, base.input_size[1] // pixels[1]))


def _merge_outputs(outputs: Sequence[Maps], pixels: Size, conventions: Conventions) -> Maps:
    """Averages the heatmaps of the outputs of one image, all enlarged to `pixels` (h, w), and stacks their tags."""
    if conventions.map_size != "input":
        last = outputs[-1].heatmap.shape
        outputs = [resize(maps, (last[-2], last[-1]), conventions.align_corners) for maps in outputs]
        outputs = [Maps(_mean([m.heatmap for m in outputs]), torch.cat([m.tag for m in outputs], dim=2))]
    resized = [resize(maps, pixels, conventions.align_corners) for maps in outputs]
    return Maps(_mean([m.heatmap for m in resized]), torch.cat([m.tag for m in resized], dim=2))


def _mean(values: Iterable[Tensor]) -> Tensor:
    """The mean, summed one by one as published code does: equal neighbours must stay equal."""
    total: Tensor | None = None
    count = 0
    for value in values:
        total, count = value if total is None else total + value, count + 1
    assert total is not None
    return total / count if count > 1 else total


def resize(maps: Maps, pixels: Size, align_corners: bool) -> Maps:
    """Resamples maps to (h, w) pixels, bilinearly."""
    if tuple(maps.heatmap.shape[-2:]) == tuple(pixels):
        return maps
    # Networks return channels-last memory, which makes the decoder slow.
    heatmap, tag = maps.heatmap.contiguous(), maps.tag.flatten(1, 2).contiguous()
    heatmap = F.interpolate(heatmap, size=pixels, mode="bilinear", align_corners=align_corners)
    if not tag.shape[1]:
        return Maps(heatmap, tag.new_zeros((*maps.tag.shape[:3], *pixels)))
    tag = F.interpolate(tag, size=pixels, mode="bilinear", align_corners=align_corners)
    return Maps(heatmap, tag.reshape(*maps.tag.shape[:3], *pixels))
