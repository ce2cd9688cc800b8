"""LitePose (Wang et al., CVPR 2022): inverted residuals of large kernels; deconvolutions that fuse finer features.

The output of stride 4 has heatmaps and tags, the output of stride 2 heatmaps alone, as in HigherHRNet.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from associative_embedding.networks.deconvolution import deconvolution
from associative_embedding.networks.hrnet import IMAGENET_MEAN, IMAGENET_STD
from associative_embedding.networks.inverted_residual import ConvNorm, Stage, build_stages
from associative_embedding.structures.setting_checks import ONE_OR_MORE, Range, check

FIRST = 32  # channels of the first convolution
EXPAND, KERNEL = 6, 7  # of every block
REPEATS = (6, 8, 10, 10)  # blocks of each stage
STRIDES = (2, 2, 2, 1)  # of each stage, after a stem of stride 2


def channel_counts(number: int) -> Range:
    """Returns the range of an option that has `number` channel counts."""
    return f"{number} channel counts of at least 1", lambda v: len(v) == number and min(v) >= 1


@dataclass(frozen=True)
class LitePoseOptions:
    """Options of the backbones `litepose_*`. The name of the backbone stands for the defaults.

    Attributes:
        stem: channels of the map of stride 2, at least 1.
        widths: channels of the four stages, whose strides are 4, 8, 16 and 16.
        deconvolutions: channels of the three maps that the head enlarges, whose strides are 8, 4 and 2.
    """

    stem: int = 16
    widths: tuple[int, ...] = (16, 32, 48, 80)
    deconvolutions: tuple[int, ...] = (16, 24, 24)

    def __post_init__(self) -> None:
        check("", self, {"stem": ONE_OR_MORE, "widths": channel_counts(4), "deconvolutions": channel_counts(3)})


class Fusion(nn.Module):
    """Enlarges the head's map and a map of the encoder by deconvolutions, and adds them; batch norm, ReLU.

    Args:
        inputs: channels of the head's map.
        skipped: channels of the encoder's map.
        outputs: channels of the result.
    """

    def __init__(self, inputs: int, skipped: int, outputs: int) -> None:
        super().__init__()
        self.refined = deconvolution(inputs, outputs)
        self.raw = deconvolution(skipped, outputs)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, refined: Tensor, raw: Tensor) -> Tensor:
        """``(B, inputs, h, w)`` and ``(B, skipped, h, w)`` -> ``(B, outputs, 2 h, 2 w)``."""
        return F.relu(self.norm(self.refined(refined) + self.raw(raw)), inplace=True)


def predictor(inputs: int, outputs: int) -> nn.Sequential:
    """Returns a depthwise 5 x 5 convolution, batch norm, ReLU and a 1 x 1 convolution, without biases."""
    depthwise = nn.Conv2d(inputs, inputs, 5, padding=2, groups=inputs, bias=False)
    return nn.Sequential(
        depthwise, nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), nn.Conv2d(inputs, outputs, 1, bias=False)
    )


class Output(nn.Module):
    """The sum of what the head's map and the encoder's map of the same stride predict.

    Args:
        inputs: channels of the head's map.
        skipped: channels of the encoder's map.
        outputs: channels of the result.
    """

    def __init__(self, inputs: int, skipped: int, outputs: int) -> None:
        super().__init__()
        self.refined = predictor(inputs, outputs)
        self.raw = predictor(skipped, outputs)

    def forward(self, refined: Tensor, raw: Tensor) -> Tensor:
        """``(B, inputs, h, w)`` and ``(B, skipped, h, w)`` -> ``(B, outputs, h, w)``."""
        y: Tensor = self.refined(refined) + self.raw(raw)
        return y


class LitePose(nn.Module):
    """LitePose.

    Args:
        heatmaps: C, heatmap channels, the first channels of every output.
        tag_channels: C x D, in the first output.
        options: see `LitePoseOptions`.

    Attributes:
        stride: input pixels per pixel of the last output.
        strides: the stride of every output, in order.
        multiple: both sides of an image must be multiples of it.
    """

    stride, multiple = 2, 16
    strides = (4, 2)
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __init__(self, heatmaps: int, tag_channels: int, options: LitePoseOptions) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvNorm(3, FIRST, 3, stride=2),
            ConvNorm(FIRST, FIRST, 3, groups=FIRST),
            ConvNorm(FIRST, options.stem, relu=False),
        )
        widths = (options.stem, *options.widths)
        shapes = zip(options.widths, REPEATS, STRIDES, strict=True)
        self.stages = build_stages(options.stem, (Stage(EXPAND, KERNEL, *shape) for shape in shapes))
        coarse, middle, fine = options.deconvolutions
        self.fusions = nn.ModuleList(
            [Fusion(widths[4], widths[3], coarse), Fusion(coarse, widths[2], middle), Fusion(middle, widths[1], fine)]
        )
        self.outputs = nn.ModuleList(
            [Output(middle, widths[1], heatmaps + tag_channels), Output(fine, widths[0], heatmaps)]
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Returns the raw outputs of both resolutions, coarse first.

        Args:
            image: ``(B, 3, H, W)`` float RGB, normalised; sides are multiples of ``multiple``.

        Returns:
            ``(B, heatmaps + tag_channels, H/4, W/4)`` and ``(B, heatmaps, H/2, W/2)``, unbounded.
        """
        maps = [self.stem(image)]  # strides 2, 4, 8, 16, 16
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        x = self.fusions[0](maps[4], maps[3])  # (B, coarse, H/8, W/8)
        middle = self.fusions[1](x, maps[2])  # (B, middle, H/4, W/4)
        fine = self.fusions[2](middle, maps[1])  # (B, fine, H/2, W/2)
        return [self.outputs[0](middle, maps[1]), self.outputs[1](fine, maps[0])]
