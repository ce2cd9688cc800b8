"""The backbones that a recipe or a model file can name. A new one is a file and an entry in `BACKBONES`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from torch import nn

from associative_embedding.networks.deconvolution import DeconvolutionNetwork, DeconvolutionOptions
from associative_embedding.networks.efficientnet_lite import EfficientNetLite0
from associative_embedding.networks.hourglass import HourglassOptions, StackedHourglass
from associative_embedding.networks.hrnet import HigherHRNet, HRNet, HRNetOptions
from associative_embedding.networks.litepose import LitePose, LitePoseOptions
from associative_embedding.networks.mobilenet_v2 import MobileNetV2
from associative_embedding.networks.mobilenet_v2_norm import MobileNetV2Norm
from associative_embedding.networks.network import Network
from associative_embedding.networks.pyramid import PyramidNetwork, PyramidOptions
from associative_embedding.networks.resnet import ResNet


@dataclass(frozen=True)
class Backbone:
    """How to build a body.

    Attributes:
        body: called with the encoder (if there is one), C heatmap channels, C D tag channels and the options.
        options: default options, a frozen dataclass; its fields are the keys of ``network.options`` in a recipe.
        encoder: builds the encoder that the body needs; None = the body needs none.
    """

    body: Callable[..., nn.Module]
    options: Any
    encoder: Callable[[], nn.Module] | None = None

    def build(self, channels: int, tag_channels: int, options: Mapping[str, Any]) -> nn.Module:
        """Returns the body with fresh weights; `options` replace the defaults."""
        encoder = [] if self.encoder is None else [self.encoder()]
        return self.body(*encoder, channels, tag_channels, replace(self.options, **options))


# Widths are the published ones: 32 and 48 of HRNet; XS, S, M and L of LitePose; 1, 1.5 and 1.75 of MoveNet Lightning,
# MultiPose and Thunder.
BACKBONES: dict[str, Backbone] = {
    "efficientnet_lite0": Backbone(PyramidNetwork, PyramidOptions(), EfficientNetLite0),
    "higherhrnet_w32": Backbone(HigherHRNet, HRNetOptions(width=32)),
    "higherhrnet_w48": Backbone(HigherHRNet, HRNetOptions(width=48)),
    "hourglass": Backbone(StackedHourglass, HourglassOptions()),
    "hrnet_w32": Backbone(HRNet, HRNetOptions(width=32)),
    "hrnet_w48": Backbone(HRNet, HRNetOptions(width=48)),
    "litepose_xs": Backbone(LitePose, LitePoseOptions()),
    "litepose_s": Backbone(LitePose, LitePoseOptions(widths=(16, 32, 48, 120), deconvolutions=(32, 24, 32))),
    "litepose_m": Backbone(LitePose, LitePoseOptions(widths=(24, 48, 72, 120), deconvolutions=(64, 40, 32))),
    "litepose_l": Backbone(LitePose, LitePoseOptions(stem=24, widths=(24, 64, 96, 160), deconvolutions=(64, 40, 32))),
    "mobilenet_v2": Backbone(PyramidNetwork, PyramidOptions(), MobileNetV2),
    "mobilenet_v2_150": Backbone(PyramidNetwork, PyramidOptions(), partial(MobileNetV2, width=1.5)),
    "mobilenet_v2_175": Backbone(PyramidNetwork, PyramidOptions(), partial(MobileNetV2, width=1.75)),
    "mobilenet_v2_deconv": Backbone(DeconvolutionNetwork, DeconvolutionOptions(), MobileNetV2Norm),
    "resnet50": Backbone(DeconvolutionNetwork, DeconvolutionOptions(), partial(ResNet, depth=50)),
    "resnet101": Backbone(DeconvolutionNetwork, DeconvolutionOptions(), partial(ResNet, depth=101)),
    "resnet152": Backbone(DeconvolutionNetwork, DeconvolutionOptions(), partial(ResNet, depth=152)),
}


def build_network(backbone: str, channels: int, tag_size: int, options: Mapping[str, Any]) -> Network:
    """Returns a network with fresh weights.

    Args:
        backbone: a key of `BACKBONES`.
        channels: C, heatmap channels.
        tag_size: D, tag dimension; 0 = no tags.
        options: fields of the backbone's options that differ from the default, see `DeconvolutionOptions`,
            `HourglassOptions`, `HRNetOptions`, `LitePoseOptions` and `PyramidOptions`.

    Raises:
        ValueError: for an unknown backbone or option, or an option's value out of its range.
    """
    if backbone not in BACKBONES:
        raise ValueError(f"unknown backbone {backbone!r}; known are {', '.join(sorted(BACKBONES))}")
    kind = BACKBONES[backbone]
    check_names(backbone, [field.name for field in fields(kind.options)], options)
    try:
        return Network(kind.build(channels, channels * tag_size, options), channels, tag_size)
    except (RuntimeError, ValueError, TypeError, ArithmeticError) as error:
        # Options come from people and from files; torch's own errors have several lines and do not name an option.
        detail = " ".join(str(error).split())[:300]
        raise ValueError(f"backbone {backbone} cannot have the options {dict(options)}: {detail}") from None


def check_names(backbone: str, known: list[str], names: Iterable[str]) -> None:
    """Checks that a backbone has every option in `names`.

    Raises:
        ValueError: for an unknown name, with the nearest known one.
    """
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise ValueError(f"backbone {backbone} has no option {name!r}; {hint}")
