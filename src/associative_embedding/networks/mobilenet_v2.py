"""MobileNetV2 (Sandler et al., CVPR 2018, table 2) as an encoder, laid out like the encoder of Google's MoveNet.

There is no batch norm: MoveNet's published weights have it folded into the convolutions. The folded network is trained
and shipped as it is. Stride-2 convolutions pad one pixel to the right and below, TensorFlow's 'SAME' for even sizes.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

# (expansion, output channels, blocks, stride of the first block)
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def widened(channels: int, width: float) -> int:
    """Returns `width` times `channels`, rounded to a multiple of 8 (halves up), at least 8, as in MoveNet."""
    return max(8, int(channels * width + 4) // 8 * 8)


class Conv(nn.Sequential):
    """Convolution with bias, then ReLU6, with TensorFlow's 'SAME' padding.

    Torch pads both sides alike. With stride 2 that would shift every map by one pixel of its input, and the published
    weights would no longer fit.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1):
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, groups=groups), nn.ReLU6(inplace=True)
        )
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` -> ``(B, outputs, H/stride, W/stride)``."""
        x = super().forward(F.pad(x, (0, 1, 0, 1)) if self.stride == 2 else x)  # type: ignore[no-untyped-call]
        return x


class InvertedResidual(nn.Module):
    """Expand, depthwise 3x3, project without activation; a shortcut where the shape stays the same (section 3.3)."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, stride: int):
        super().__init__()
        hidden = inputs * expansion
        self.expand = Conv(inputs, hidden) if expansion > 1 else nn.Identity()
        self.depthwise = Conv(hidden, hidden, 3, stride=stride, groups=hidden)
        self.project = nn.Conv2d(hidden, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` -> ``(B, outputs, H/stride, W/stride)``."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class MobileNetV2(nn.Module):
    """MobileNetV2 without its classifier; returns feature maps at five strides.

    Args:
        width: factor on all channels but the last layer's 1280 (section 4, "width multiplier"). MoveNet Lightning has
            1, MultiPose 1.5, Thunder 1.75.

    Attributes:
        channels: channels of the returned maps, fine to coarse; 16, 24, 32, 64 and 1280 for width 1.
        strides: input pixels per pixel of each map.
        mean, std: normalisation of the input, RGB in 0..255.
    """

    strides = (2, 4, 8, 16, 32)
    mean = (127.5, 127.5, 127.5)
    std = (127.5, 127.5, 127.5)

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        inputs = widened(32, width)
        self.stem = Conv(3, inputs, 3, stride=2)
        blocks: list[nn.Module] = []
        for expansion, channels, count, stride in STAGES:
            outputs = widened(channels, width)
            for i in range(count):
                blocks.append(InvertedResidual(inputs, outputs, expansion=expansion, stride=stride if i == 0 else 1))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.last = Conv(inputs, 1280)
        # The last blocks of 16, 24, 32 and 64 channels, as in MoveNet; at stride 16 it skips the blocks of 96 channels.
        self.taps = (0, 2, 5, 9)
        self.channels = (*(widened(c, width) for c in (16, 24, 32, 64)), 1280)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Returns feature maps at the strides 2, 4, 8, 16 and 32.

        Args:
            image: ``(B, 3, H, W)`` float RGB, normalised with ``mean`` and ``std``; sides are multiples of 32.

        Returns:
            Five tensors ``(B, channels[i], H/strides[i], W/strides[i])``.
        """
        features = []
        x = self.stem(image)  # (B, stem, H/2, W/2)
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.taps:
                features.append(x)
        return [*features, self.last(x)]
