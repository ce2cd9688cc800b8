"""A feature pyramid, and the network that puts one pyramid for heatmaps and one for tags on an encoder.

The layout is MoveNet's: a MobileNetV2 with a feature pyramid (Lin et al., CVPR 2017) down to stride 4, and heads of
separable convolutions. Tags have a pyramid of their own, because the two outputs need different features: a heatmap
depends on the pixels around a keypoint, a tag on the whole person. So only the tag pyramid has context blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from associative_embedding.structures.setting_checks import NOT_NEGATIVE, ONE_OR_MORE, POSITIVE, Range, check

CHANNEL_COUNTS: Range = ("channel counts of at least 1", lambda v: all(width >= 1 for width in v))
SILENT = -4.0  # bias of the heatmaps before training: sigmoid(-4) = 0.02


@dataclass(frozen=True)
class PyramidOptions:
    """Options of the backbones `mobilenet_v2*` and `efficientnet_lite0`. The defaults suit MoveNet's weights.

    Attributes:
        stride: input pixels per pixel of the output, 2, 4, 8, 16 or 32. The encoder's finer features are not used.
        widths: channels of the heatmap pyramid's levels, fine to coarse: one for each stride from `stride` to 16.
        outputs: channels of the heatmap pyramid's result.
        hidden: channels inside both heads.
        tag_widths: as `widths`, for the tag pyramid.
        tag_outputs: channels of the tag pyramid's result.
        context: number of context blocks at the tag pyramid's coarsest level; each widens the view of a tag by 64 input
            pixels to every side.
        position: number of tag dimensions that start at the pixel's own position (x, y): 0 or 2. The network then
            predicts where a person is *relative to the pixel*, which a convolution can, and people far from each other
            never share a tag. See docs/architecture.md, "Tags with a position".
        position_unit: input pixels per unit of the position, above 0.
    """

    stride: int = 4
    widths: tuple[int, ...] = (24, 32, 64)
    outputs: int = 24
    hidden: int = 96
    tag_widths: tuple[int, ...] = (32, 48, 96)
    tag_outputs: int = 32
    context: int = 2
    position: int = 0
    position_unit: float = 64.0

    def __post_init__(self) -> None:
        ranges: dict[str, Range] = {
            "context": NOT_NEGATIVE,
            "position": ("0 or 2 tag dimensions", lambda v: v in (0, 2)),
            "position_unit": POSITIVE,
        }
        ranges |= dict.fromkeys(("widths", "tag_widths"), CHANNEL_COUNTS)
        check("", self, ranges | dict.fromkeys(("outputs", "hidden", "tag_outputs"), ONE_OR_MORE))


class Separable(nn.Sequential):
    """Depthwise convolution, then 1x1 convolution and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3):
        super().__init__(
            nn.Conv2d(inputs, inputs, kernel, padding=kernel // 2, groups=inputs, bias=False),
            nn.Conv2d(inputs, outputs, 1),
            nn.ReLU(inplace=True),
        )


class Context(nn.Module):
    """A residual separable 5x5 convolution; at stride 32 it widens the view by 64 input pixels to every side."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = Separable(channels, channels, 5)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, channels, h, w)`` -> the same shape."""
        y: Tensor = self.out(self.body(x))
        return x + y


class Pyramid(nn.Module):
    """Merges an encoder's features into one map at the finest stride, from coarse to fine (Lin et al., CVPR 2017).

    Args:
        channels: channels of the encoder's features, fine to coarse.
        widths: channels of the pyramid's levels, fine to coarse; one fewer than `channels`, as the coarsest feature has
            no level of its own: it gets ``widths[-1]`` channels and is enlarged at once.
        outputs: channels of the result.
        context: number of `Context` blocks on the coarsest feature.

    Raises:
        ValueError: for another number of widths.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int], outputs: int, *, context: int = 0):
        super().__init__()
        if len(widths) != len(channels) - 1:
            raise ValueError(
                f"a pyramid on {len(channels)} features needs {len(channels) - 1} widths, not {len(widths)}"
            )
        self.top = nn.Conv2d(channels[-1], widths[-1], 1)
        self.context = nn.Sequential(*(Context(widths[-1]) for _ in range(context)))
        # The result of a level has the width of the next finer one, as the two are added there.
        self.lateral = nn.ModuleList(nn.Conv2d(c, w, 1) for c, w in zip(channels[:-1], widths, strict=True))
        self.smooth = nn.ModuleList(Separable(w, n) for w, n in zip(widths, [outputs, *widths[:-1]], strict=True))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features ``(B, channels[i], h / 2**i, w / 2**i)`` -> ``(B, outputs, h, w)``."""
        x: Tensor = self.context(self.top(features[-1]))  # (B, widths[-1], coarsest h, w)
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
        encoder: image -> features; has `channels` and `strides` (fine to coarse), `mean` and `std` (RGB, 0..255).
        heatmaps: C, heatmap channels, the first channels of the output.
        tag_channels: C x D, which follow; 0 = no tags and no pyramid for them.
        options: see `PyramidOptions`.

    Attributes:
        stride: input pixels per pixel of the output.
        multiple: both sides of an image must be multiples of it.

    Raises:
        ValueError: for options that do not fit the encoder or the number of tag channels.
    """

    def __init__(self, encoder: nn.Module, heatmaps: int, tag_channels: int, options: PyramidOptions):
        super().__init__()
        strides: tuple[int, ...] = encoder.strides  # type: ignore[assignment]
        check_fit(options, strides, heatmaps, tag_channels)
        self.finest = strides.index(options.stride)
        channels: tuple[int, ...] = encoder.channels[self.finest :]  # type: ignore[index, assignment]
        self.mean, self.std = encoder.mean, encoder.std
        self.stride, self.multiple = options.stride, strides[-1]
        self.heatmaps, self.tag_channels = heatmaps, tag_channels
        self.position, self.position_unit = options.position, options.position_unit
        self.encoder = encoder
        self.heatmap_pyramid = Pyramid(channels, options.widths, options.outputs)
        self.heatmap_head = Head(options.outputs, options.hidden, heatmaps)
        if tag_channels:
            self.tag_pyramid = Pyramid(channels, options.tag_widths, options.tag_outputs, context=options.context)
            self.tag_head = Head(options.tag_outputs, options.hidden, tag_channels)
        # Nearly every pixel of a target is 0: from 0.5 everywhere, the first steps would only learn to be silent.
        nn.init.constant_(self.heatmap_head[-1].bias, SILENT)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Returns the one output, heatmaps before tags.

        Args:
            image: ``(B, 3, H, W)`` float RGB, normalised; sides are multiples of ``multiple``.

        Returns:
            One tensor ``(B, C + C D, H / stride, W / stride)``: heatmaps in [0, 1], tags unbounded.
        """
        features = self.encoder(image)[self.finest :]
        heatmap = torch.sigmoid(self.heatmap_head(self.heatmap_pyramid(features)))  # (B, C, h, w)
        if not self.tag_channels:
            return [heatmap]
        tag = self.tag_head(self.tag_pyramid(features))  # (B, C D, h, w)
        return [torch.cat([heatmap, self._positioned(tag)], dim=1)]

    def _positioned(self, tag: Tensor) -> Tensor:
        """Adds each pixel's centre (x, y), in units of `position_unit`, to the first two dimensions of every tag.

        Args:
            tag: ``(B, C D, h, w)``.
        """
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


def check_fit(options: PyramidOptions, strides: Sequence[int], heatmaps: int, tag_channels: int) -> None:
    """Checks the options that depend on the encoder's strides or on the number of tags.

    Raises:
        ValueError: for a stride that the encoder does not have, or fewer tag dimensions than `position` needs.
    """
    if options.stride not in strides:
        raise ValueError(f"stride must be one of {', '.join(map(str, strides))}, not {options.stride}")
    if tag_channels % heatmaps or options.position > tag_channels // heatmaps:
        raise ValueError(
            f"{tag_channels} tag channels of {heatmaps} maps cannot hold {options.position} position dimensions"
        )
