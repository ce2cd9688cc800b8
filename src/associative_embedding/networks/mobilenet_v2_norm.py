"""MobileNetV2 (Sandler et al., CVPR 2018, table 2) as an encoder, as PyTorch projects publish it.

It has batch norm and symmetric padding. The encoder of MoveNet in `mobilenet_v2` has neither, so the weights of one do
not fit the other.
"""

from __future__ import annotations

from torch import Tensor, nn

from associative_embedding.networks import mobilenet_v2
from associative_embedding.networks.hrnet import IMAGENET_MEAN, IMAGENET_STD
from associative_embedding.networks.inverted_residual import ConvNorm, Stage, build_stages

STEM, LAST = 32, 1280  # channels of the first and of the last convolution
STAGES = tuple(Stage(expand, 3, channels, repeats, stride) for expand, channels, repeats, stride in mobilenet_v2.STAGES)


class MobileNetV2Norm(nn.Module):
    """MobileNetV2 without its classifier; returns the last feature map.

    Attributes:
        channels: channels of the returned map.
        strides: input pixels per pixel of the returned map.
        mean, std: normalisation of the input, RGB in 0..255.
    """

    channels: tuple[int, ...] = (LAST,)
    strides: tuple[int, ...] = (32,)
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM, 3, stride=2)
        self.stages = build_stages(STEM, STAGES)
        self.last = ConvNorm(STAGES[-1].channels, LAST)

    def forward(self, image: Tensor) -> list[Tensor]:
        """``(B, 3, H, W)`` float RGB, normalised; sides are multiples of 32 -> one tensor ``(B, 1280, H/32, W/32)``."""
        x = self.stem(image)
        for stage in self.stages:
            x = stage(x)
        return [self.last(x)]
