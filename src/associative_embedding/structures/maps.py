"""Maps of a network, the target that teaches them, and the peaks that an exported network returns in their place.

The letters of the shapes and the coordinates are explained in `associative_embedding.structures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from associative_embedding.structures import map_values
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.map_values import Values

if TYPE_CHECKING:  # a program that needs no network does not wait for torch
    import torch


@dataclass(frozen=True)
class TagSamples:
    """Where to read tags, and which group each tag belongs to: all that the tag loss needs of a task.

    Attributes:
        batch, channel, y, x: ``(M,)`` int64 index into ``(B, C, h, w)``.
        group: ``(M,)`` int64 in ``[0, G)``, unique over the whole batch. A group lies in one image; in tracking, a
            group is a track and lies in the frames of one video, which are consecutive in the batch.
        groups: ``(G,)`` int64, the image of each group (of a track, the first frame of its video).
    """

    batch: torch.Tensor
    channel: torch.Tensor
    y: torch.Tensor
    x: torch.Tensor
    group: torch.Tensor
    groups: torch.Tensor

    def to(self, device: torch.device | str) -> TagSamples:
        """Returns a copy on a device."""
        return TagSamples(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))


@dataclass(frozen=True)
class Target:
    """The target of a batch at one stride.

    Attributes:
        heatmap: ``(B, C, h, w)`` float32 in [0, 1].
        valid: ``(B, C, h, w)`` float32, 1 where the heatmap loss counts, 0 where it does not.
        samples: the tags that the tag loss compares.
    """

    heatmap: torch.Tensor
    valid: torch.Tensor
    samples: TagSamples

    def to(self, device: torch.device | str) -> Target:
        """Returns a copy on a device."""
        return Target(
            self.heatmap.to(device, non_blocking=True),
            self.valid.to(device, non_blocking=True),
            self.samples.to(device),
        )


@dataclass(frozen=True)
class Maps:
    """One supervised output of a network. A slice selects images of the batch.

    The values are tensors in training and on a GPU, and numpy arrays where a CPU decodes.

    Attributes:
        heatmap: ``(B, C, h, w)`` detection scores.
        tag: ``(B, C, D, h, w)`` tags; D = 0 for an output without tags (a single-person network has none, and
            HigherHRNet has them at one of its two resolutions).
    """

    heatmap: Values
    tag: Values

    def __getitem__(self, index: slice) -> Maps:
        return Maps(self.heatmap[index], self.tag[index])


def final_maps(outputs: Sequence[Maps]) -> Maps:
    """Returns the maps to decode: the last output, since each stack refines the output before it.

    If only the last output has no tags, the output before it is enlarged to its size: the heatmaps of the two are
    averaged, and the tags are the enlarged ones (HigherHRNet, section 3.4, "heatmap aggregation").
    """
    last = outputs[-1]
    if last.tag.shape[2] or not any(maps.tag.shape[2] for maps in outputs):  # D > 0, or a single-person network
        return last
    before = enlarge(outputs[-2], last.heatmap.shape[-1] // outputs[-2].heatmap.shape[-1])
    return Maps((before.heatmap + last.heatmap) / 2, before.tag)


def unmirror(maps: Maps, flip_index: Array | None) -> Maps:
    """Flips maps of a mirror image left to right, and exchanges the channels of left and right.

    Args:
        flip_index: ``(C,)`` int64: mirrored back, the left shoulder's map is in the channel of the right one. None is
            for models that are never mirrored.
    """
    assert flip_index is not None
    return Maps(*(map_values.mirrored(values[:, flip_index]) for values in (maps.heatmap, maps.tag)))


def enlarge(maps: Maps, factor: int) -> Maps:
    """Resamples maps to `factor` times their height and width, bilinear between the centres of pixels."""
    return Maps(map_values.enlarge(maps.heatmap, factor), map_values.enlarge(maps.tag, factor))


@dataclass(frozen=True)
class Peaks:
    """The output of a network that was exported with its peak search: a small table in place of `Maps`.

    Attributes:
        table: ``(B, P, 6 + D)`` float32, one row for each of P peaks; columns as in `detection.peak_table`.
        total: ``(B,)`` sum of all maps, times a small number. It is finite if and only if all values of the maps are;
            the maps themselves are not available to check.
        size: (C, h, w) of the maps.
    """

    table: Array
    total: Array
    size: tuple[int, int, int]

    def __getitem__(self, index: slice) -> Peaks:
        return Peaks(self.table[index], self.total[index], self.size)
