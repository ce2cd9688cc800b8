"""The outputs of a network at several scales, with those of the mirror image -> the maps to decode."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.map_values import Values, concatenate
from associative_embedding.structures.maps import Maps, unmirror
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


def collect(outputs: Sequence[Maps], of_mirror: Sequence[Maps] = (), flip_index: Array | None = None) -> Outputs:
    """Selects the outputs that count, and mirrors those of the mirror image back.

    Args:
        outputs: all supervised outputs of the network.
        of_mirror: those for the image flipped left to right.
        flip_index: ``(C,)`` int64: the channels of a mirror image, see `Task`.
    """
    # Every stack of an hourglass has tags and refines the one before it; of HigherHRNet's outputs only the first has.
    used = slice(-1, None) if outputs[-1].tag.shape[2] else slice(None)
    return Outputs(tuple(outputs[used]), tuple(unmirror(maps, flip_index) for maps in of_mirror[used]))


def merge(
    views: Sequence[Outputs], with_tags: Sequence[bool], base: ImageGeometry, conventions: Conventions
) -> tuple[Maps, ImageGeometry]:
    """Averages the heatmaps of all outputs, scales and mirror images of one image, and stacks their tags on D.

    Args:
        views: the outputs at each scale, the largest first.
        with_tags: whether the tags of a scale are used.
        base: the geometry of the input at scale 1, see `geometry.input_geometry`.
        conventions: `map_size`, `align_corners` and `clip` count.

    Returns:
        the maps, and their geometry.
    """
    finest = views[0].maps[-1].heatmap
    pixels: Size = (finest.shape[-2], finest.shape[-1]) if conventions.map_size == "network" else base.input_size
    align = conventions.align_corners
    heatmaps, tags = [], []
    for outputs, tagged in zip(views, with_tags, strict=True):
        last = outputs.maps[-1].heatmap
        first: Size = pixels if conventions.map_size == "input" else (last.shape[-2], last.shape[-1])
        sides = [maps for maps in (outputs.maps, outputs.mirrored) if maps]
        heatmaps.append(_mean(_average(maps, first, pixels, align) for maps in sides))
        if tagged:
            # mmpose enlarges tags at once, also where heatmaps take two steps (UDP at several scales).
            before = first if conventions.map_size == "input-in-two-steps" else pixels
            tags.append(_stack([m.tag for maps in sides for m in maps], before, pixels, align))
    heatmap = _mean(heatmaps)
    heatmap = heatmap.clip(max=1) if conventions.clip else heatmap
    maps = Maps(heatmap, tags[0] if len(tags) == 1 else concatenate(tags, axis=2))
    if isinstance(base, CornerGeometry):
        return maps, replace(base, pixels=pixels)
    return maps, replace(base, stride=max(1, base.input_size[1] // pixels[1]))


def _average(outputs: Sequence[Maps], first: Size, pixels: Size, align_corners: bool) -> Values:
    """Averages the heatmaps of the outputs of one image, enlarged to `first` before and to `pixels` after it."""
    mean = _mean(resize(maps.heatmap, first, align_corners) for maps in outputs)
    return resize(mean, pixels, align_corners)


def _stack(tags: Sequence[Values], first: Size, pixels: Size, align_corners: bool) -> Values:
    """Stacks tags ``(1, C, D, h, w)`` of one size on D, enlarged to `first` and then to `pixels`."""
    # Stacked while they are small: copying the enlarged ones takes about as long as finding the peaks.
    stacked = concatenate([tag for tag in tags if tag.shape[2]], axis=2)
    return resize(resize(stacked, first, align_corners), pixels, align_corners)


def _mean(values: Iterable[Values]) -> Values:
    """The mean, summed one by one as published code does: equal neighbours must stay equal."""
    total, *others = values
    for value in others:
        total = total + value
    return total / (1 + len(others)) if others else total


def resize(values: Values, pixels: Size, align_corners: bool) -> Values:
    """Resamples maps ``(1, ..., h, w)`` to (h, w) pixels, bilinearly."""
    if tuple(values.shape[-2:]) == tuple(pixels):
        return values
    import torch
    from torch.nn import functional as F

    # By torch, as published code does, so that equal neighbours stay equal to the last bit.
    flat = torch.as_tensor(values).flatten(1, -3).contiguous()
    large = F.interpolate(flat, size=pixels, mode="bilinear", align_corners=align_corners)
    large = large.reshape(*values.shape[:-2], *pixels)
    return large.numpy() if isinstance(values, np.ndarray) else large
