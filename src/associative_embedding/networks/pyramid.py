"""A feature pyramid, and the network that puts one for heatmaps and one for tags on an encoder.

The two pyramids are separate because the two outputs ask for different things: a heatmap for what is *here*, a tag for
*whose* it is, which needs the whole person in view. So the tag pyramid has context blocks at the coarsest level.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Separable(nn.Sequential):
    """Depthwise convolution, then 1x1 convolution and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3):
        super().__init__(
            nn.Conv2d(inputs, inputs, kernel, padding=kernel // 2, groups=inputs, bias=False),
            nn.Conv2d(inputs, outputs, 1),
            nn.ReLU(inplace=True),
        )


class Context(nn.Module):
    """A residual separable 5x5 convolution: at stride 32 each one sees 64 input pixels further to every side."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = Separable(channels, channels, 5)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.out(self.body(x))
        return x + y


class Pyramid(nn.Module):
    """Features, fine to coarse -> one feature map at the finest stride.

    Args:
        channels: of the encoder's features, fine to coarse.
        widths: of the pyramid's levels, fine to coarse; one fewer than `channels`, as the coarsest feature is brought
            to ``widths[-1]`` and enlarged at once.
        outputs: channels of the result.
        context: blocks of `Context` on the coarsest level.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int], outputs: int, *, context: int = 0):
        super().__init__()
        if len(widths) != len(channels) - 1:
            raise ValueError(
                f"a pyramid on {len(channels)} features needs {len(channels) - 1} widths, not {len(widths)}"
            )
        if context < 0 or min(*widths, outputs) < 1:
            raise ValueError(f"context must be at least 0 and widths and outputs at least 1, not {context=}, {widths=}")
        self.top = nn.Conv2d(channels[-1], widths[-1], 1)
        self.context = nn.Sequential(*(Context(widths[-1]) for _ in range(context)))
        self.lateral = nn.ModuleList(nn.Conv2d(c, w, 1) for c, w in zip(channels[:-1], widths, strict=True))
        self.smooth = nn.ModuleList(Separable(w, n) for w, n in zip(widths, [outputs, *widths[:-1]], strict=True))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x: Tensor = self.context(self.top(features[-1]))
        for feature, lateral, smooth in reversed(list(zip(features[:-1], self.lateral, self.smooth, strict=True))):
            x = F.interpolate(x, size=feature.shape[-2:], mode="bilinear", align_corners=False)
            x = smooth(x + lateral(feature))
        return x


class Head(nn.Sequential):
    """Separable 3x3 convolution, then a linear 1x1 convolution."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__(Separable(inputs, hidden), nn.Conv2d(hidden, outputs, 1))


class PyramidNetwork(nn.Module):
    """Encoder, a pyramid and head for heatmaps (sigmoid), a pyramid and head for tags (linear).

    Args:
        encoder: image -> features; states `channels` and `strides` (fine to coarse), `mean` and `std` (0..255).
        heatmaps: C.
        tag_channels: C x D; without any there is no pyramid for them.
        stride: of the output, one of the encoder's strides; finer features are not used.
        widths, outputs: of the heatmap pyramid, a width for every stride but the coarsest. The defaults are MoveNet's.
        tag_widths, tag_outputs, context: of the tag pyramid.
        position: the first so many tag dimensions (0 or 2: x, y) are predicted as an offset from the pixel's own
            position, in units of `position_unit` input pixels. The network then only has to say where its person is
            *relative to here*, which a convolution can, and far-apart people never share a tag.
    """

    def __init__(
        self,
        encoder: nn.Module,
        heatmaps: int,
        tag_channels: int,
        *,
        stride: int = 4,
        widths: Sequence[int] = (24, 32, 64),
        outputs: int = 24,
        hidden: int = 96,
        tag_widths: Sequence[int] = (32, 48, 96),
        tag_outputs: int = 32,
        context: int = 2,
        position: int = 0,
        position_unit: float = 64.0,
    ):
        super().__init__()
        strides: tuple[int, ...] = encoder.strides  # type: ignore[assignment]
        if stride not in strides:
            raise ValueError(f"stride must be one of {', '.join(map(str, strides))}, not {stride}")
        self.finest = strides.index(stride)
        channels: tuple[int, ...] = encoder.channels[self.finest :]  # type: ignore[index, assignment]
        self.mean, self.std = encoder.mean, encoder.std
        self.stride, self.multiple = stride, strides[-1]
        self.encoder = encoder
        self.heatmap_pyramid = Pyramid(channels, widths, outputs)
        self.heatmap_head = Head(outputs, hidden, heatmaps)
        if tag_channels:
            self.tag_pyramid = Pyramid(channels, tag_widths, tag_outputs, context=context)
            self.tag_head = Head(tag_outputs, hidden, tag_channels)
        if not position_unit > 0:
            raise ValueError(f"position_unit must be positive, not {position_unit}")
        if position not in (0, 2):
            raise ValueError(f"position must be 0 or 2 tag dimensions, not {position}")
        if tag_channels % heatmaps or position > tag_channels // heatmaps:
            raise ValueError(
                f"{tag_channels} tag channels of {heatmaps} maps cannot hold {position} position dimensions"
            )
        self.heatmaps, self.tag_channels = heatmaps, tag_channels
        self.position, self.position_unit = position, position_unit
        nn.init.constant_(self.heatmap_head[-1].bias, -4.0)  # type: ignore[arg-type]  # sigmoid(-4): silence at first

    def forward(self, image: Tensor) -> list[Tensor]:
        features = self.encoder(image)[self.finest :]
        heatmap = torch.sigmoid(self.heatmap_head(self.heatmap_pyramid(features)))
        if not self.tag_channels:
            return [heatmap]
        tag = self.tag_head(self.tag_pyramid(features))
        return [torch.cat([heatmap, self._positioned(tag)], dim=1)]

    def _positioned(self, tag: Tensor) -> Tensor:
        if not self.position:
            return tag
        _, channels, height, width = tag.shape
        y, x = (
            (torch.arange(size, device=tag.device, dtype=tag.dtype) + 0.5) * (self.stride / self.position_unit)
            for size in (height, width)
        )
        grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)])  # (2, h, w)
        grid = F.pad(grid, (0, 0, 0, 0, 0, channels // self.heatmaps - 2))  # (D, h, w)
        return tag + grid.repeat(self.heatmaps, 1, 1)
