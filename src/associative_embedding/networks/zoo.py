"""The bodies a network can have. A new one is one file and one line here."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from associative_embedding.networks.efficientnet_lite import EfficientNetLite0
from associative_embedding.networks.hourglass import StackedHourglass
from associative_embedding.networks.hrnet import HigherHRNet, HRNet
from associative_embedding.networks.mobilenet_v2 import MobileNetV2
from associative_embedding.networks.network import Network
from associative_embedding.networks.pyramid import PyramidNetwork

# name -> the body, which takes the options, and the encoder that it is put on, if any
BACKBONES: dict[str, tuple[Callable[..., nn.Module], *tuple[Callable[[], nn.Module], ...]]] = {
    "efficientnet_lite0": (PyramidNetwork, EfficientNetLite0),
    "higherhrnet_w32": (partial(HigherHRNet, width=32),),
    "higherhrnet_w48": (partial(HigherHRNet, width=48),),
    "hourglass": (StackedHourglass,),
    "hrnet_w32": (partial(HRNet, width=32),),
    "hrnet_w48": (partial(HRNet, width=48),),
    "mobilenet_v2": (PyramidNetwork, MobileNetV2),
    "mobilenet_v2_150": (PyramidNetwork, partial(MobileNetV2, width=1.5)),
    "mobilenet_v2_175": (PyramidNetwork, partial(MobileNetV2, width=1.75)),
}


def build_network(backbone: str, channels: int, tag_size: int, options: Mapping[str, Any]) -> Network:
    """
    Args:
        backbone: a key of `BACKBONES`.
        channels: C, heatmap channels.
        tag_size: D.
        options: keyword arguments of the backbone.

    Raises:
        ValueError: for an unknown backbone or option, or an option's value that cannot be.
    """
    if backbone not in BACKBONES:
        raise ValueError(f"unknown backbone {backbone!r}; known are {', '.join(sorted(BACKBONES))}")
    kind, *encoders = BACKBONES[backbone]
    check_options(backbone, kind, options)
    try:
        body = kind(*(encoder() for encoder in encoders), channels, channels * tag_size, **options)
        return Network(body, channels, tag_size)
    except (RuntimeError, ValueError, TypeError, ArithmeticError) as error:
        detail = " ".join(str(error).split())[:300]
        raise ValueError(f"backbone {backbone} cannot have the options {dict(options)}: {detail}") from None


def check_options(backbone: str, kind: Callable[..., nn.Module], options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(kind).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise ValueError(f"backbone {backbone} has no option {name!r}; {hint}")
