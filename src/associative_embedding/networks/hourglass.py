"""The paper's network: hourglasses in a row, each with its own supervised output (section 3.2, figure 2).

An hourglass pools features down until one pixel sees the whole image, then upsamples them and adds what each resolution
held on the way down. Layers are single 3 x 3 convolutions and the width grows at every drop in resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F


class ConvReLU(nn.Module):
    """Convolution with bias, ReLU, then (unlike most networks: after the ReLU) an optional batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, batch_norm: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(outputs) if batch_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` -> ``(B, outputs, H/stride, W/stride)``."""
        return self.norm(F.relu(self.conv(x), inplace=True))  # type: ignore[no-any-return]


class Hourglass(nn.Module):
    """One hourglass, built from the outside in: what is inside it is a smaller hourglass or a single layer.

    Args:
        widths: channels from the outer resolution to the innermost, at least two; each further one halves the map.
        batch_norm: batch norm after every layer except the ones on the way up.
    """

    def __init__(self, widths: Sequence[int], batch_norm: bool = False) -> None:
        super().__init__()
        outer, inner, *_ = widths
        self.skip = ConvReLU(outer, outer, batch_norm=batch_norm)
        self.down = ConvReLU(outer, inner, batch_norm=batch_norm)
        self.inner = (
            Hourglass(widths[1:], batch_norm) if len(widths) > 2 else ConvReLU(inner, inner, batch_norm=batch_norm)
        )
        self.up = ConvReLU(inner, outer)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, widths[0], h, w)`` -> the same shape; h and w are multiples of ``2 ** (len(widths) - 1)``."""
        low = self.up(self.inner(self.down(F.max_pool2d(x, 2))))
        return self.skip(x) + F.interpolate(low, scale_factor=2.0, mode="nearest")  # type: ignore[no-any-return]


class StackedHourglass(nn.Module):
    """Stacked hourglasses with intermediate supervision (section 3.2).

    The defaults are those of the published code: with 17 heatmaps, 17 tags and 34 extra outputs the network has
    138,893,840 parameters. The paper prints the widths 256, 386, 512, 768. Weights start as torch starts them, as they
    do there.

    Args:
        heatmaps: heatmap channels, the first ones of every output.
        tag_channels: tag channels, the ones after the heatmaps.
        stacks: hourglasses in a row.
        widths: channels of an hourglass from its outer resolution to its innermost.
        batch_norm: batch norm in the stem and in the hourglasses on the way down.
        extra_outputs: channels after the tags that no loss sees but the next stack does (34 in the published code).
        stem: channels of the stem's layers before the last one, which has ``widths[0]``. The first has stride 2, the
            second is followed by a pooling, so there are at least two.
        mean, std: what an image in 0..255 is normalised with, per RGB channel; as published only scaled to 0..1.

    Attributes:
        stride: image pixels per pixel of the output.
        multiple: both sides of an image must be multiples of it.
    """

    stride = 4

    def __init__(
        self,
        heatmaps: int,
        tag_channels: int,
        *,
        stacks: int = 4,
        widths: Sequence[int] = (256, 384, 512, 640, 768),
        batch_norm: bool = False,
        extra_outputs: int = 0,
        stem: Sequence[int] = (64, 128, 128),
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (255.0, 255.0, 255.0),
    ) -> None:
        super().__init__()
        self.mean, self.std = tuple(mean), tuple(std)
        if stacks < 1 or heatmaps < 1 or min(tag_channels, extra_outputs) < 0:
            raise ValueError(
                "need at least one stack and one heatmap, and no negative number of outputs, not "
                f"{stacks=}, {heatmaps=}, {tag_channels=}, {extra_outputs=}"
            )
        if len(widths) < 2 or len(stem) < 2 or min(*widths, *stem) < 1:
            raise ValueError(f"widths and stem need two or more channel counts each, not {widths=}, {stem=}")
        width, channels = widths[0], heatmaps + tag_channels + extra_outputs
        self.multiple = self.stride * 2 ** (len(widths) - 1)
        self.stem = build_stem((*stem, width), batch_norm)
        self.hourglasses = nn.ModuleList(Hourglass(widths, batch_norm) for _ in range(stacks))
        self.refine = nn.ModuleList(
            nn.Sequential(ConvReLU(width, width), ConvReLU(width, width)) for _ in range(stacks)
        )
        self.outputs = nn.ModuleList(nn.Conv2d(width, channels, 1) for _ in range(stacks))
        # The last stack has no next one to feed.
        self.merge_features = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(stacks - 1))
        self.merge_outputs = nn.ModuleList(nn.Conv2d(channels, width, 1) for _ in range(stacks - 1))

    def forward(self, image: Tensor) -> list[Tensor]:
        """One raw output per stack, first to last.

        Args:
            image: ``(B, 3, H, W)`` float RGB, normalised with ``mean`` and ``std``.

        Returns:
            ``stacks`` tensors ``(B, heatmaps + tag_channels + extra_outputs, H/4, W/4)``, unbounded.

        Raises:
            ValueError: a side of the image is not a multiple of ``multiple``.
        """
        height, width = image.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(
                f"the sides of an image must be multiples of {self.multiple}, not {height} x {width}: pad or resize it"
            )
        x = self.stem(image)
        outputs: list[Tensor] = []
        for stack, hourglass in enumerate(self.hourglasses):
            features = self.refine[stack](hourglass(x))
            outputs.append(self.outputs[stack](features))
            if stack < len(self.merge_features):
                x = x + self.merge_outputs[stack](outputs[-1]) + self.merge_features[stack](features)
        return outputs


def build_stem(widths: Sequence[int], batch_norm: bool) -> nn.Sequential:
    """``(B, 3, H, W)`` -> ``(B, widths[-1], H/4, W/4)``: 7 x 7 with stride 2, 3 x 3, pooling, then the rest 3 x 3."""
    layers: list[nn.Module] = [ConvReLU(3, widths[0], kernel=7, stride=2, batch_norm=batch_norm)]
    layers += [ConvReLU(inputs, outputs, batch_norm=batch_norm) for inputs, outputs in pairwise(widths)]
    layers.insert(2, nn.MaxPool2d(2))
    return nn.Sequential(*layers)
