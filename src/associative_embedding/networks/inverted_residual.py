"""The inverted residual block of MobileNetV2 (Sandler et al., CVPR 2018, section 3.3), and rows of such blocks.

EfficientNet-Lite, MobileNetV2 with batch norm, and LitePose consist of them. They differ in the layer inside a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

# (inputs, outputs, kernel, stride, groups, relu) -> a convolution with batch norm, like `ConvNorm`
Layer = Callable[..., nn.Module]


class Stage(NamedTuple):
    """Blocks of one shape in a row; only the first block has the stride.

    Attributes:
        expand: factor on the channels inside a block.
        kernel: side of the depthwise kernel, pixels.
        channels: output channels of every block.
        repeats: number of blocks.
        stride: of the first block.
    """

    expand: int
    kernel: int
    channels: int
    repeats: int
    stride: int


class ConvNorm(nn.Module):
    """Convolution without bias and with symmetric padding, batch norm and, unless ``relu`` is False, ReLU6."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, relu: bool = True
    ) -> None:
        super().__init__()
        self.relu = relu
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` -> ``(B, outputs, H/stride, W/stride)``."""
        x = self.norm(self.conv(x))
        return F.relu6(x, inplace=True) if self.relu else x


class InvertedResidual(nn.Module):
    """Expand, depthwise convolution, project without activation; a shortcut where the shape stays the same.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        expand: factor on `inputs` for the channels inside; 1 = no layer that expands.
        kernel: side of the depthwise kernel, pixels.
        stride: of the depthwise convolution.
        layer: builds the convolutions.
    """

    def __init__(
        self, inputs: int, outputs: int, expand: int, kernel: int, stride: int, layer: Layer = ConvNorm
    ) -> None:
        super().__init__()
        wide = inputs * expand
        self.shortcut = stride == 1 and inputs == outputs
        self.expand = layer(inputs, wide) if expand != 1 else nn.Identity()
        self.depthwise = layer(wide, wide, kernel, stride, groups=wide)
        self.project = layer(wide, outputs, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` -> ``(B, outputs, H/stride, W/stride)``."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


def build_blocks(inputs: int, stages: Iterable[Stage], layer: Layer = ConvNorm) -> Iterable[InvertedResidual]:
    """Yields the blocks of all stages in order; the first one has ``inputs`` input channels."""
    for stage in stages:
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            yield InvertedResidual(inputs, stage.channels, stage.expand, stage.kernel, stride, layer)
            inputs = stage.channels


def build_stages(inputs: int, stages: Iterable[Stage]) -> nn.ModuleList:
    """Returns the blocks of each stage as one module; the first block has ``inputs`` input channels."""
    rows = []
    for stage in stages:
        rows.append(nn.Sequential(*build_blocks(inputs, [stage])))
        inputs = stage.channels
    return nn.ModuleList(rows)
