"""The nouns every other module speaks.

Letters, fixed everywhere: ``B`` batch, ``C`` heatmap channels, ``K`` keypoint types, ``N`` instances, ``G`` groups,
``M`` detections or samples, ``D`` tag dimension, ``H W`` image size, ``h w`` map size.

Coordinates are continuous: pixel ``i`` covers ``[i, i + 1)`` and its centre is ``i + 0.5``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TagSamples:
    """Where to read a tag, and which group it belongs to: all that the tag loss needs to know of a task.

    Attributes:
        batch, channel, y, x: ``(M,)`` int64 index into ``(B, C, h, w)``.
        group: ``(M,)`` int64 in ``[0, G)``, unique over the whole batch; a group lies in one batch element, or a track
            in the frames of one video, which follow each other in the batch.
        groups: ``(G,)`` int64, the batch element (of a track, that of the first frame) of each group.
    """

    batch: torch.Tensor
    channel: torch.Tensor
    y: torch.Tensor
    x: torch.Tensor
    group: torch.Tensor
    groups: torch.Tensor

    def to(self, device: torch.device | str) -> TagSamples:
        return TagSamples(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))


@dataclass(frozen=True)
class Target:
    """What the network is taught for a batch.

    Attributes:
        heatmap: ``(B, C, h, w)`` float32 in [0, 1].
        valid: ``(B, C, h, w)`` float32, 1 where the heatmap loss counts, 0 where it does not.
        samples: tags to be compared.
    """

    heatmap: torch.Tensor
    valid: torch.Tensor
    samples: TagSamples

    def to(self, device: torch.device | str) -> Target:
        return Target(
            self.heatmap.to(device, non_blocking=True),
            self.valid.to(device, non_blocking=True),
            self.samples.to(device),
        )


@dataclass(frozen=True)
class Maps:
    """One supervised output of the network.

    Attributes:
        heatmap: ``(B, C, h, w)`` detection scores.
        tag: ``(B, C, D, h, w)`` tags; D = 0 in an output that has none.
    """

    heatmap: torch.Tensor
    tag: torch.Tensor

    def __getitem__(self, index: slice) -> Maps:
        return Maps(self.heatmap[index], self.tag[index])


@dataclass(frozen=True)
class Peaks:
    """What is left of `Maps` when the network itself looks for peaks.

    Attributes:
        table: ``(B, P, 6 + D)`` float32, see `detect.peak_table`.
        total: ``(B,)`` the sum of all maps: not finite where one of their values is not.
        size: (C, h, w) of the maps.
    """

    table: torch.Tensor
    total: torch.Tensor
    size: tuple[int, int, int]
