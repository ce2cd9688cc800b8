"""ResNet-50, -101 and -152 (He et al., CVPR 2016, table 1) as an encoder.

A block with a stride has it in its 3 x 3 convolution, as in PyTorch's own ResNet. Modules have the published names.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from associative_embedding.networks.hrnet import IMAGENET_MEAN, IMAGENET_STD, STEM, Residual, conv_norm

REPEATS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # depth -> blocks of each stage
WIDTHS = (64, 128, 256, 512)  # channels inside the blocks of each stage; a block returns four times as many


class ResNet(nn.Module):
    """ResNet without its classifier; returns the last feature map.

    Args:
        depth: number of layers, a key of `REPEATS`.

    Attributes:
        channels: channels of the returned map.
        strides: input pixels per pixel of the returned map.
        mean, std: normalisation of the input, RGB in 0..255.
    """

    channels: tuple[int, ...] = (4 * WIDTHS[-1],)
    strides: tuple[int, ...] = (32,)
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_norm(3, STEM, 7, stride=2, relu=False)
        inputs = STEM
        for number, (width, repeats) in enumerate(zip(WIDTHS, REPEATS[depth], strict=True), start=1):
            blocks = []
            for repeat in range(repeats):
                stride = 2 if number > 1 and repeat == 0 else 1
                blocks.append(Residual(inputs, (width, 1), (width, 3), (4 * width, 1), stride=stride))
                inputs = 4 * width
            self.add_module(f"layer{number}", nn.Sequential(*blocks))

    def forward(self, image: Tensor) -> list[Tensor]:
        """``(B, 3, H, W)`` float RGB, normalised; sides are multiples of 32 -> one tensor ``(B, 2048, H/32, W/32)``."""
        x = F.relu(self.bn1(self.conv1(image)), inplace=True)  # (B, 64, H/2, W/2)
        x = F.max_pool2d(x, 3, stride=2, padding=1)  # (B, 64, H/4, W/4)
        for number in range(1, len(WIDTHS) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return [x]
