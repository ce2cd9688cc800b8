"""Image -> `Maps`: whatever the body, every detection gets a score and a tag."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from associative_embedding.types import Maps


class Network(nn.Module):
    """A body with its input normalisation, its raw output split into heatmaps and tags.

    Args:
        body: normalised ``(B, 3, H, W)`` -> list of raw ``(B, C + C D [+ unused], H / stride, W / stride)``, one per
            supervised output; states `stride`, `multiple` (both input sides must be multiples of it), `mean`, `std`.
        channels: C, heatmap channels.
        tag_size: D, tag dimension.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module, channels: int, tag_size: int):
        super().__init__()
        self.body = body
        self.channels, self.tag_size = channels, tag_size
        self.stride: int = body.stride  # type: ignore[assignment]
        self.multiple: int = body.multiple  # type: ignore[assignment]
        self.register_buffer("mean", torch.tensor(body.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(body.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> list[Maps]:
        """
        Args:
            image: ``(B, 3, H, W)`` RGB in 0..255, uint8 or float.

        Returns:
            one `Maps` per supervised output, the last one the best.
        """
        height, width = image.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(f"input sides must be multiples of {self.multiple}, not {height} x {width}")
        normal = (image.to(self.mean.dtype) - self.mean) / self.std
        return [self._split(raw) for raw in self.body(normal.contiguous(memory_format=torch.channels_last))]

    def _split(self, raw: Tensor) -> Maps:
        c, d = self.channels, self.tag_size
        tag = raw[:, c : c + c * d]
        return Maps(raw[:, :c], tag.reshape(len(raw), c, d, *raw.shape[-2:]))
