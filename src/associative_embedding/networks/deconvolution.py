"""An encoder and deconvolutions that enlarge its coarse map (Xiao, Wu and Wei, ECCV 2018, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from associative_embedding.structures.setting_checks import Range, check

CHANNEL_COUNTS: Range = ("one or more channel counts of at least 1", lambda v: len(v) >= 1 and min(v) >= 1)


@dataclass(frozen=True)
class DeconvolutionOptions:
    """Options of the backbones `resnet*` and `mobilenet_v2_deconv`. The defaults are the published ones.

    Attributes:
        widths: channels of each deconvolution, one or more; each doubles the height and width of the map.
    """

    widths: tuple[int, ...] = (256, 256, 256)

    def __post_init__(self) -> None:
        check("", self, {"widths": CHANNEL_COUNTS})


def deconvolution(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Returns a 4 x 4 deconvolution that doubles height and width."""
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)


class DeconvolutionNetwork(nn.Module):
    """Encoder, deconvolutions with batch norm and ReLU, and a 1 x 1 convolution to heatmaps and tags.

    Args:
        encoder: image -> feature maps, of which the last is read; has `channels`, `strides`, `mean` and `std`.
        heatmaps: C, heatmap channels, the first channels of the output.
        tag_channels: C x D, which follow.
        options: see `DeconvolutionOptions`.

    Attributes:
        stride: input pixels per pixel of the output.
        multiple: both sides of an image must be multiples of it.

    Raises:
        ValueError: for more deconvolutions than the encoder halves the map.
    """

    def __init__(self, encoder: nn.Module, heatmaps: int, tag_channels: int, options: DeconvolutionOptions) -> None:
        super().__init__()
        self.mean, self.std = encoder.mean, encoder.std
        self.multiple: int = encoder.strides[-1]  # type: ignore[index, assignment]
        self.stride, rest = divmod(self.multiple, 2 ** len(options.widths))
        if rest:
            raise ValueError(f"{len(options.widths)} deconvolutions enlarge a map of stride {self.multiple} too much")
        self.encoder = encoder
        inputs: int = encoder.channels[-1]  # type: ignore[index, assignment]
        layers: list[nn.Module] = []
        for width in options.widths:
            layers += [deconvolution(inputs, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            inputs = width
        self.deconvolutions = nn.Sequential(*layers)
        self.output = nn.Conv2d(inputs, heatmaps + tag_channels, 1)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Returns the raw output.

        Args:
            image: ``(B, 3, H, W)`` float RGB, normalised; sides are multiples of ``multiple``.

        Returns:
            One tensor ``(B, heatmaps + tag_channels, H / stride, W / stride)``, unbounded.
        """
        return [self.output(self.deconvolutions(self.encoder(image)[-1]))]
