"""HRNet for bottom-up pose, and HigherHRNet, which adds heatmaps at twice its resolution.

HRNet (Sun et al., CVPR 2019) keeps a branch at stride 4 from beginning to end, beside ever coarser ones, and lets all
of them exchange what they know again and again. HigherHRNet (Cheng et al., CVPR 2020) enlarges its finest branch once
more. Parameters have their published names, so that published weights load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEM, BOTTLENECK = 64, 256  # channels before the first branch
STAGES = ((2, 1), (3, 4), (4, 3))  # branches, exchanges between them
BLOCKS = 4  # residual blocks in a row
IMAGENET_MEAN = (123.675, 116.28, 103.53)  # RGB in 0..255
IMAGENET_STD = (58.395, 57.12, 57.375)


def conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    """Convolution without bias, batch norm and, unless ``relu`` is False, ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), *([nn.ReLU(inplace=True)] if relu else []))


class Residual(nn.Module):
    """Convolutions with batch norm and ReLU; the input is added before the last ReLU (He et al., CVPR 2016).

    Args:
        inputs: channels.
        layers: channels and kernel of each convolution.
    """

    def __init__(self, inputs: int, *layers: tuple[int, int]) -> None:
        super().__init__()
        self.depth = len(layers)
        outputs = layers[-1][0]
        self.downsample = nn.Identity() if inputs == outputs else conv_norm(inputs, outputs, 1, relu=False)
        for number, (channels, kernel) in enumerate(layers, start=1):
            self.add_module(f"conv{number}", nn.Conv2d(inputs, channels, kernel, padding=kernel // 2, bias=False))
            self.add_module(f"bn{number}", nn.BatchNorm2d(channels))
            inputs = channels

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, h, w)`` -> ``(B, outputs, h, w)``."""
        y = x
        for number in range(1, self.depth + 1):
            y = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(y))
            if number < self.depth:
                y = F.relu(y, inplace=True)
        return F.relu(y + self.downsample(x), inplace=True)


def build_blocks(width: int) -> list[Residual]:
    return [Residual(width, (width, 3), (width, 3)) for _ in range(BLOCKS)]


class Exchange(nn.Module):
    """Residual blocks on every branch; then each of the first ``outputs`` branches gets the sum of all, in its size.

    Args:
        widths: channels of the branches, fine to coarse; each has half the height and width of the one before.
        outputs: branches to go on with.
    """

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*build_blocks(width)) for width in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(build_fusion(widths, source, target) for source in range(len(widths)))
            for target in range(outputs)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [
            F.relu(reduce(torch.add, (fuse(x) for fuse, x in zip(row.children(), maps, strict=True))), inplace=True)
            for row in self.fuse_layers
        ]


def build_fusion(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """From one branch's size to another's: enlarged (nearest), or halved by convolutions of stride 2."""
    if source == target:
        return nn.Identity()
    if source > target:
        enlarge = nn.Upsample(scale_factor=2.0 ** (source - target), mode="nearest")
        return nn.Sequential(*conv_norm(widths[source], widths[target], 1, relu=False), enlarge)
    halve = partial(conv_norm, widths[source], stride=2)
    steps = target - source - 1
    return nn.Sequential(*(halve(widths[source]) for _ in range(steps)), halve(widths[target], relu=False))


def build_transition(inputs: Sequence[int], outputs: Sequence[int]) -> nn.ModuleList:
    """One more branch, halved from the coarsest; the others change their widths where they must."""
    kept = [
        nn.Identity() if before == after else conv_norm(before, after)
        for before, after in zip(inputs, outputs, strict=False)
    ]
    new = [nn.Sequential(conv_norm(inputs[-1], width, stride=2)) for width in outputs[len(inputs) :]]
    return nn.ModuleList([*kept, *new])


class HRNet(nn.Module):
    """HRNet with heatmaps and tags of its finest branch: with width 32 and 34 outputs 28.5 million parameters.

    Args:
        heatmaps: C.
        tag_channels: C x D.
        width: channels of the finest branch; 32 and 48 are published.
        mean, std: what an image in 0..255 is normalised with, per RGB channel; ImageNet's, as published.

    Attributes:
        stride: image pixels per pixel of the last output.
        strides: of all outputs.
        multiple: both sides of an image must be multiples of it.
    """

    stride, multiple = 4, 32
    strides: tuple[int, ...] = (4,)

    def __init__(
        self,
        heatmaps: int,
        tag_channels: int,
        *,
        width: int = 32,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be at least 1, not {width}")
        self.mean, self.std = tuple(mean), tuple(std)
        self.conv1, self.bn1 = conv_norm(3, STEM, stride=2, relu=False)
        self.conv2, self.bn2 = conv_norm(STEM, STEM, stride=2, relu=False)
        narrow = ((STEM, 1), (STEM, 3), (BOTTLENECK, 1))
        first = (Residual(inputs, *narrow) for inputs in (STEM, *[BOTTLENECK] * (BLOCKS - 1)))
        self.layer1 = nn.Sequential(*first)
        widths = [BOTTLENECK]
        for number, (branches, exchanges) in enumerate(STAGES, start=1):
            wider = [width * 2**branch for branch in range(branches)]
            last = 1 if number == len(STAGES) else branches
            outputs = [*[branches] * (exchanges - 1), last]
            self.add_module(f"transition{number}", build_transition(widths, wider))
            self.add_module(f"stage{number + 1}", nn.Sequential(*(Exchange(wider, count) for count in outputs)))
            widths = wider
        self.final_layers = nn.ModuleList([nn.Conv2d(width, heatmaps + tag_channels, 1)])

    def forward(self, image: Tensor) -> list[Tensor]:
        """
        Args:
            image: ``(B, 3, H, W)`` float RGB, normalised; sides are multiples of ``multiple``.

        Returns:
            one tensor ``(B, heatmaps + tag_channels, H/4, W/4)``, unbounded.
        """
        return [self.final_layers[0](self.features(image))]

    def features(self, image: Tensor) -> Tensor:
        """The finest branch at the end, ``(B, width, H/4, W/4)``."""
        x = F.relu(self.bn1(self.conv1(image)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        maps: list[Tensor] = [self.layer1(x)]
        for number in range(1, len(STAGES) + 1):
            transition = self.get_submodule(f"transition{number}").children()
            branches = [move(maps[min(i, len(maps) - 1)]) for i, move in enumerate(transition)]
            maps = self.get_submodule(f"stage{number + 1}")(branches)
        return maps[0]


class HigherHRNet(HRNet):
    """HRNet, and heatmaps alone at stride 2 from its features and its output: with width 32 28.6 million parameters.

    The arguments are those of `HRNet`.
    """

    stride = 2
    strides = (4, 2)

    def __init__(
        self,
        heatmaps: int,
        tag_channels: int,
        *,
        width: int = 32,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__(heatmaps, tag_channels, width=width, mean=mean, std=std)
        enlarge = nn.ConvTranspose2d(width + heatmaps + tag_channels, width, 4, stride=2, padding=1, bias=False)
        first = nn.Sequential(enlarge, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        blocks = (nn.Sequential(block) for block in build_blocks(width))
        self.deconv_layers = nn.ModuleList([nn.Sequential(first, *blocks)])
        self.final_layers.append(nn.Conv2d(width, heatmaps, 1))

    def forward(self, image: Tensor) -> list[Tensor]:
        """
        Args:
            image: as `HRNet`.

        Returns:
            ``(B, heatmaps + tag_channels, H/4, W/4)`` and ``(B, heatmaps, H/2, W/2)``, unbounded.
        """
        features = self.features(image)
        coarse = self.final_layers[0](features)
        fine = self.final_layers[1](self.deconv_layers[0](torch.cat([features, coarse], dim=1)))
        return [coarse, fine]
