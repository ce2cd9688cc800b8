"""Image -> `Maps`: whatever the body, every detection gets a score and a tag."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from associative_embedding.structures.maps import Maps


class Network(nn.Module):
    """A body with its input normalisation, its raw output split into heatmaps and tags.

    Args:
        body: normalised ``(B, 3, H, W)`` -> list of raw ``(B, C + C D [+ unused], H / stride, W / stride)``, one per
            supervised output; states `stride` (of the last), `multiple` (both input sides must be multiples of it),
            `mean`, `std`, and `strides` if there are several. An output of C channels has heatmaps only.
        channels: C, heatmap channels.
        tag_size: D, tag dimension.
    """

    mean: Tensor
    std: Tensor
    gives_peaks = False  # but maps

    def __init__(self, body: nn.Module, channels: int, tag_size: int):
        super().__init__()
        self.body = body
        self.channels, self.tag_size = channels, tag_size
        self.stride: int = body.stride  # type: ignore[assignment]
        self.strides: tuple[int, ...] = getattr(body, "strides", (self.stride,))
        self.multiple: int = body.multiple  # type: ignore[assignment]
        self.register_buffer("mean", torch.tensor(body.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(body.std).view(1, 3, 1, 1), persistent=False)
        if not min(body.std) > 0:  # type: ignore[type-var, arg-type]
            raise ValueError(f"std must be three positive numbers, not {body.std}")

    def forward(self, image: Tensor) -> list[Maps]:
        """
        Args:
            image: ``(B, 3, H, W)`` RGB in 0..255, uint8 or float.

        Returns:
            one `Maps` per supervised output; `final_maps` makes the ones of the image of them.
        """
        height, width = image.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(f"input sides must be multiples of {self.multiple}, not {height} x {width}")
        normal = (image.to(self.mean.dtype) - self.mean) / self.std
        return [self._split(raw) for raw in self.body(normal.contiguous(memory_format=torch.channels_last))]

    @property
    def device(self) -> torch.device:
        return self.mean.device

    def _split(self, raw: Tensor) -> Maps:
        c = self.channels
        tag = raw[:, c : c + c * self.tag_size]
        return Maps(raw[:, :c], tag.reshape(raw.shape[0], c, tag.shape[1] // c, *raw.shape[-2:]))


def final_maps(outputs: Sequence[Maps]) -> Maps:
    """The maps that are decoded: the last output, as every one is better than those before it.

    If it has heatmaps only, they are averaged with those of the output before, enlarged to their size, and so are that
    one's tags (HigherHRNet's "heatmap aggregation").
    """
    last = outputs[-1]
    if last.tag.shape[2]:
        return last
    before = enlarge(outputs[-2], last.heatmap.shape[-1] // outputs[-2].heatmap.shape[-1])
    return Maps((before.heatmap + last.heatmap) / 2, before.tag)


def enlarge(maps: Maps, factor: int) -> Maps:
    """Maps of `factor` times the height and width, bilinear between the centres of pixels."""
    if factor == 1:
        return maps

    def resize(value: Tensor) -> Tensor:
        return F.interpolate(value, scale_factor=float(factor), mode="bilinear", align_corners=False)

    tag = resize(maps.tag.flatten(1, 2))
    return Maps(resize(maps.heatmap), tag.reshape(*maps.tag.shape[:3], *tag.shape[-2:]))
