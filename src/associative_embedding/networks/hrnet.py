"""HRNet for bottom-up pose, and HigherHRNet, which adds heatmaps at twice its resolution.

HRNet (Sun et al., CVPR 2019, section 3) keeps a branch at stride 4 from beginning to end, beside coarser branches, and
fuses all branches repeatedly. HigherHRNet (Cheng et al., CVPR 2020, section 3) enlarges the finest branch once more.
Modules have the names of the published code, so that published weights load without a change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from associative_embedding.networks.deconvolution import deconvolution
from associative_embedding.structures.setting_checks import ONE_OR_MORE, check

STEM, BOTTLENECK = 64, 256  # channels of the stem, and of the residual blocks before the first branch
STAGES = ((2, 1), (3, 4), (4, 3))  # number of branches, number of exchanges between them
BLOCKS = 4  # residual blocks in a row
IMAGENET_MEAN = (123.675, 116.28, 103.53)  # RGB in 0..255
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class HRNetOptions:
    """Options of the backbones `hrnet_*` and `higherhrnet_*`.

    Attributes:
        width: channels of the finest branch, at least 1; each coarser branch has twice as many. Published weights have
            32 or 48; the name of the backbone contains the default.
        mean: subtracted from the input, RGB in 0..255; the default is ImageNet's, as published.
        std: divides the input, RGB in 0..255.
    """

    width: int = 32
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        check("", self, {"width": ONE_OR_MORE})


def conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    """Convolution without bias, batch norm and, unless ``relu`` is False, ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), *([nn.ReLU(inplace=True)] if relu else []))


class Residual(nn.Module):
    """Convolutions with batch norm and ReLU; the input is added before the last ReLU (He et al., CVPR 2016).

    Args:
        inputs: channels of the input.
        layers: (channels, kernel size) of each convolution.
        stride: of the first convolution that is larger than 1 x 1, and of the shortcut.
    """

    def __init__(self, inputs: int, *layers: tuple[int, int], stride: int = 1) -> None:
        super().__init__()
        self.depth = len(layers)
        outputs = layers[-1][0]
        same = inputs == outputs and stride == 1
        self.downsample = nn.Identity() if same else conv_norm(inputs, outputs, 1, stride, relu=False)
        # The numbered names are the published ones. A ModuleList would change the keys of the state dict.
        for number, (channels, kernel) in enumerate(layers, start=1):
            step, stride = (1, stride) if kernel == 1 else (stride, 1)
            conv = nn.Conv2d(inputs, channels, kernel, step, padding=kernel // 2, bias=False)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", nn.BatchNorm2d(channels))
            inputs = channels

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, h, w)`` -> ``(B, outputs, h / stride, w / stride)``."""
        y = x
        for number in range(1, self.depth + 1):
            y = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(y))
            if number < self.depth:
                y = F.relu(y, inplace=True)
        return F.relu(y + self.downsample(x), inplace=True)


def build_blocks(width: int) -> list[Residual]:
    """Returns `BLOCKS` residual blocks of two 3 x 3 convolutions each."""
    return [Residual(width, (width, 3), (width, 3)) for _ in range(BLOCKS)]


class Exchange(nn.Module):
    """Residual blocks on every branch; then each output branch is the sum of all branches, resized to it.

    HRNet, section 3, "repeated multi-scale fusion".

    Args:
        widths: channels of the branches, fine to coarse; each has half the height and width of the one before.
        outputs: number of branches to return, the finest first.
    """

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*build_blocks(width)) for width in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(build_fusion(widths, source, target) for source in range(len(widths)))
            for target in range(outputs)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """``len(widths)`` maps ``(B, widths[i], h / 2**i, w / 2**i)`` -> the first ``outputs`` of these shapes."""
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [
            F.relu(reduce(torch.add, (fuse(x) for fuse, x in zip(row.children(), maps, strict=True))), inplace=True)
            for row in self.fuse_layers
        ]


def build_fusion(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """Returns the layers that bring branch `source` to the channels and size of branch `target`.

    A coarser source is enlarged (nearest), a finer one halved step by step by 3 x 3 convolutions of stride 2.
    """
    if source == target:
        return nn.Identity()
    if source > target:
        enlarge = nn.Upsample(scale_factor=2.0 ** (source - target), mode="nearest")
        return nn.Sequential(*conv_norm(widths[source], widths[target], 1, relu=False), enlarge)
    halve = partial(conv_norm, widths[source], stride=2)
    steps = target - source - 1
    return nn.Sequential(*(halve(widths[source]) for _ in range(steps)), halve(widths[target], relu=False))


def build_transition(inputs: Sequence[int], outputs: Sequence[int]) -> nn.ModuleList:
    """Returns one module per branch of the next stage: the old branches, and a new one from the coarsest old branch.

    Args:
        inputs: channels of the old branches; old branches whose channels change get a 3 x 3 convolution.
        outputs: channels of the new branches, one more than `inputs` has.
    """
    kept = [
        nn.Identity() if before == after else conv_norm(before, after)
        for before, after in zip(inputs, outputs, strict=False)
    ]
    new = [nn.Sequential(conv_norm(inputs[-1], width, stride=2)) for width in outputs[len(inputs) :]]
    return nn.ModuleList([*kept, *new])


class HRNet(nn.Module):
    """HRNet whose finest branch predicts heatmaps and tags.

    With width 32 and 34 output channels it has 28.5 million parameters.

    Args:
        heatmaps: C, heatmap channels, the first channels of the output.
        tag_channels: C x D.
        options: see `HRNetOptions`.

    Attributes:
        stride: input pixels per pixel of the last output.
        strides: the stride of every output, in order.
        multiple: both sides of an image must be multiples of it.
    """

    stride, multiple = 4, 32
    strides: tuple[int, ...] = (4,)

    def __init__(self, heatmaps: int, tag_channels: int, options: HRNetOptions) -> None:
        super().__init__()
        width = options.width
        self.mean, self.std = tuple(options.mean), tuple(options.std)
        self.conv1, self.bn1 = conv_norm(3, STEM, stride=2, relu=False)
        self.conv2, self.bn2 = conv_norm(STEM, STEM, stride=2, relu=False)
        narrow = ((STEM, 1), (STEM, 3), (BOTTLENECK, 1))
        first = (Residual(inputs, *narrow) for inputs in (STEM, *[BOTTLENECK] * (BLOCKS - 1)))
        self.layer1 = nn.Sequential(*first)
        widths = [BOTTLENECK]
        for number, (branches, exchanges) in enumerate(STAGES, start=1):
            wider = [width * 2**branch for branch in range(branches)]
            # Only the finest branch is read at the end, so the last exchange does not compute the others.
            last = 1 if number == len(STAGES) else branches
            outputs = [*[branches] * (exchanges - 1), last]
            self.add_module(f"transition{number}", build_transition(widths, wider))
            self.add_module(f"stage{number + 1}", nn.Sequential(*(Exchange(wider, count) for count in outputs)))
            widths = wider
        self.final_layers = nn.ModuleList([nn.Conv2d(width, heatmaps + tag_channels, 1)])

    def forward(self, image: Tensor) -> list[Tensor]:
        """Returns the raw output of the finest branch.

        Args:
            image: ``(B, 3, H, W)`` float RGB, normalised; sides are multiples of ``multiple``.

        Returns:
            One tensor ``(B, heatmaps + tag_channels, H/4, W/4)``, unbounded.
        """
        return [self.final_layers[0](self.features(image))]

    def features(self, image: Tensor) -> Tensor:
        """Returns the finest branch after the last stage, ``(B, width, H/4, W/4)``."""
        x = F.relu(self.bn1(self.conv1(image)), inplace=True)  # (B, 64, H/2, W/2)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)  # (B, 64, H/4, W/4)
        maps: list[Tensor] = [self.layer1(x)]  # one branch, (B, 256, H/4, W/4)
        for number in range(1, len(STAGES) + 1):
            transition = self.get_submodule(f"transition{number}").children()
            # The new branch has no map yet: it is made from the coarsest one.
            branches = [move(maps[min(i, len(maps) - 1)]) for i, move in enumerate(transition)]
            maps = self.get_submodule(f"stage{number + 1}")(branches)
        return maps[0]


class HigherHRNet(HRNet):
    """HRNet with a second output at stride 2: heatmaps without tags, from the features and the first output.

    With width 32 and 34 output channels it has 28.6 million parameters. The arguments are the same as in `HRNet`.
    """

    stride = 2
    strides = (4, 2)

    def __init__(self, heatmaps: int, tag_channels: int, options: HRNetOptions) -> None:
        super().__init__(heatmaps, tag_channels, options)
        width = options.width
        enlarge = deconvolution(width + heatmaps + tag_channels, width)
        first = nn.Sequential(enlarge, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        blocks = (nn.Sequential(block) for block in build_blocks(width))
        self.deconv_layers = nn.ModuleList([nn.Sequential(first, *blocks)])
        self.final_layers.append(nn.Conv2d(width, heatmaps, 1))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Returns the raw outputs of both resolutions, coarse first.

        Args:
            image: ``(B, 3, H, W)`` float RGB, normalised; sides are multiples of ``multiple``.

        Returns:
            ``(B, heatmaps + tag_channels, H/4, W/4)`` and ``(B, heatmaps, H/2, W/2)``, unbounded.
        """
        features = self.features(image)  # (B, width, H/4, W/4)
        coarse = self.final_layers[0](features)
        fine = self.final_layers[1](self.deconv_layers[0](torch.cat([features, coarse], dim=1)))
        return [coarse, fine]
