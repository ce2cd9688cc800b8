"""The bodies a network can have. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from associative_embedding.models.efficientnet_lite import EfficientNetLite0
from associative_embedding.models.hourglass import StackedHourglass
from associative_embedding.models.mobilenet_v2 import MobileNetV2
from associative_embedding.models.network import Network
from associative_embedding.models.pyramid import PyramidNetwork


def mobilenet_v2(heatmaps: int, tag_channels: int, **options: Any) -> nn.Module:
    return PyramidNetwork(MobileNetV2(), heatmaps, tag_channels, **options)


def efficientnet_lite0(heatmaps: int, tag_channels: int, **options: Any) -> nn.Module:
    return PyramidNetwork(EfficientNetLite0(), heatmaps, tag_channels, **options)


BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "efficientnet_lite0": efficientnet_lite0,
    "hourglass": StackedHourglass,
    "mobilenet_v2": mobilenet_v2,
}


def build_network(backbone: str, channels: int, tag_size: int, options: Mapping[str, Any]) -> Network:
    """
    Args:
        backbone: a key of `BACKBONES`.
        channels: C, heatmap channels.
        tag_size: D.
        options: keyword arguments of the backbone.

    Raises:
        ValueError: for an unknown backbone or option.
    """
    if backbone not in BACKBONES:
        raise ValueError(f"unknown backbone {backbone!r}; known are {', '.join(sorted(BACKBONES))}")
    try:
        body = BACKBONES[backbone](channels, channels * tag_size, **options)
    except TypeError as error:
        raise ValueError(f"backbone {backbone}: {error}") from None
    return Network(body, channels, tag_size)
