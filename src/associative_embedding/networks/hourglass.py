"""The paper's network: hourglasses in a row, each with its own supervised output (section 3.2, figure 2).

An hourglass (Newell, Yang and Deng, ECCV 2016) pools features until one pixel covers the whole image, then upsamples
them and adds the features of each resolution from the way down. Layers are single 3 x 3 convolutions, and the width
grows at every drop in resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from associative_embedding.structures.setting_checks import NOT_NEGATIVE, ONE_OR_MORE, Range, check

# (inputs, outputs) -> a 3 x 3 convolution with its activation, or a 1 x 1 convolution
Layer = Callable[..., nn.Module]
CHANNEL_COUNTS: Range = ("two or more channel counts of at least 1", lambda v: len(v) >= 2 and min(v) >= 1)


@dataclass(frozen=True)
class HourglassOptions:
    """Options of the backbone `hourglass`. The defaults are those of the published code.

    Attributes:
        stacks: number of hourglasses in a row, at least 1.
        widths: channels of an hourglass from its finest resolution to its coarsest, two or more. Each entry after the
            first halves the map. The paper prints 256, 386, 512, 768.
        batch_norm: batch norm after the ReLU, in the stem and in the hourglasses on the way down; in the published code
            it is an option.
        norm_first: batch norm instead of a bias, before the ReLU, in every layer but the outputs, as in mmpose. Not
            together with `batch_norm`.
        extra_outputs: channels after the tags that have no loss but are inputs of the next stack (34 in the published
            code).
        stem: channels of the stem's layers, two or more; a last layer with ``widths[0]`` channels follows. The first
            layer has stride 2, and a pooling follows the second.
        mean: subtracted from the input, RGB in 0..255.
        std: divides the input, RGB; the published network scales images to 0..1.
    """

    stacks: int = 4
    widths: tuple[int, ...] = (256, 384, 512, 640, 768)
    batch_norm: bool = False
    norm_first: bool = False
    extra_outputs: int = 0
    stem: tuple[int, ...] = (64, 128, 128)
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (255.0, 255.0, 255.0)

    def __post_init__(self) -> None:
        counts: dict[str, Range] = {"stacks": ONE_OR_MORE, "extra_outputs": NOT_NEGATIVE}
        check("", self, counts | {"widths": CHANNEL_COUNTS, "stem": CHANNEL_COUNTS})
        if self.batch_norm and self.norm_first:
            raise ValueError("batch_norm and norm_first exclude each other")


class ConvReLU(nn.Module):
    """Convolution with bias, ReLU, then an optional batch norm.

    Most networks normalise before the ReLU. The published code does it after, and published weights need that order.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, batch_norm: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(outputs) if batch_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` -> ``(B, outputs, H/stride, W/stride)``."""
        return self.norm(F.relu(self.conv(x), inplace=True))  # type: ignore[no-any-return]


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm and, unless ``relu`` is False, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` -> ``(B, outputs, H/stride, W/stride)``."""
        x = self.norm(self.conv(x))
        return F.relu(x, inplace=True) if self.relu else x


class Hourglass(nn.Module):
    """One hourglass, built from the outside in: it contains a smaller hourglass, the innermost one a single layer.

    Args:
        widths: channels from the finest resolution to the coarsest, at least two; each further one halves the map.
        layer: builds the layers but those on the way up.
        up: builds the layers on the way up.
    """

    def __init__(self, widths: Sequence[int], layer: Layer = ConvReLU, up: Layer = ConvReLU) -> None:
        super().__init__()
        outer, inner, *_ = widths
        self.skip = layer(outer, outer)
        self.down = layer(outer, inner)
        self.inner = Hourglass(widths[1:], layer, up) if len(widths) > 2 else layer(inner, inner)
        self.up = up(inner, outer)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, widths[0], h, w)`` -> the same shape; h and w are multiples of ``2 ** (len(widths) - 1)``."""
        low = self.up(self.inner(self.down(F.max_pool2d(x, 2))))  # (B, widths[0], h/2, w/2)
        return self.skip(x) + F.interpolate(low, scale_factor=2.0, mode="nearest")  # type: ignore[no-any-return]


class StackedHourglass(nn.Module):
    """Stacked hourglasses with intermediate supervision (section 3.2).

    With the default options, 17 heatmaps, 17 tags and 34 extra outputs the network has 138,893,840 parameters, like the
    published one. Weights have torch's default initialisation, as in the published code.

    Args:
        heatmaps: heatmap channels, the first channels of every output.
        tag_channels: tag channels, which follow the heatmaps.
        options: see `HourglassOptions`.

    Attributes:
        stride: input pixels per pixel of the output.
        multiple: both sides of an image must be multiples of it.

    Raises:
        ValueError: for no heatmap, or a negative number of tag channels.
    """

    stride = 4

    def __init__(self, heatmaps: int, tag_channels: int, options: HourglassOptions) -> None:
        super().__init__()
        if heatmaps < 1 or tag_channels < 0:
            raise ValueError(f"heatmaps must be at least 1 and tag_channels at least 0, not {heatmaps}, {tag_channels}")
        widths, stacks = options.widths, options.stacks
        down, up, merge = choose_layers(options)
        width, channels = widths[0], heatmaps + tag_channels + options.extra_outputs
        self.mean, self.std = tuple(options.mean), tuple(options.std)
        self.multiple = self.stride * 2 ** (len(widths) - 1)
        self.stem = build_stem((*options.stem, width), down)
        self.hourglasses = nn.ModuleList(Hourglass(widths, down, up) for _ in range(stacks))
        self.refine = nn.ModuleList(nn.Sequential(up(width, width), up(width, width)) for _ in range(stacks))
        self.outputs = nn.ModuleList(nn.Conv2d(width, channels, 1) for _ in range(stacks))
        # No stack follows the last one. Merge layers for it would never get a gradient.
        self.merge_features = nn.ModuleList(merge(width, width) for _ in range(stacks - 1))
        self.merge_outputs = nn.ModuleList(merge(channels, width) for _ in range(stacks - 1))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Returns one raw output per stack, first to last.

        Args:
            image: ``(B, 3, H, W)`` float RGB, normalised with ``mean`` and ``std``.

        Returns:
            ``stacks`` tensors ``(B, heatmaps + tag_channels + extra_outputs, H/4, W/4)``, unbounded.

        Raises:
            ValueError: when a side of the image is not a multiple of ``multiple``.
        """
        height, width = image.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(
                f"the sides of an image must be multiples of {self.multiple}, not {height} x {width}: pad or resize it"
            )
        x = self.stem(image)  # (B, widths[0], H/4, W/4)
        outputs: list[Tensor] = []
        for stack, hourglass in enumerate(self.hourglasses):
            features = self.refine[stack](hourglass(x))
            outputs.append(self.outputs[stack](features))
            if stack < len(self.merge_features):
                # The sum lets the next stack re-evaluate the estimates (Newell et al. 2016, section 3.3).
                x = x + self.merge_outputs[stack](outputs[-1]) + self.merge_features[stack](features)
        return outputs


def choose_layers(options: HourglassOptions) -> tuple[Layer, Layer, Layer]:
    """Returns the builders of the layers on the way down, of the 3 x 3 layers after them, and of the 1 x 1 merges."""
    if options.norm_first:
        return ConvNorm, ConvNorm, partial(ConvNorm, kernel=1, relu=False)
    return partial(ConvReLU, batch_norm=options.batch_norm), ConvReLU, partial(nn.Conv2d, kernel_size=1)


def build_stem(widths: Sequence[int], layer: Layer) -> nn.Sequential:
    """``(B, 3, H, W)`` -> ``(B, widths[-1], H/4, W/4)``: 7 x 7 with stride 2, 3 x 3, pooling, then the rest 3 x 3."""
    layers: list[nn.Module] = [layer(3, widths[0], kernel=7, stride=2)]
    layers += [layer(inputs, outputs) for inputs, outputs in pairwise(widths)]
    layers.insert(2, nn.MaxPool2d(2))
    return nn.Sequential(*layers)
