"""Recognises published pose networks by the names of their tensors, and renames the tensors to ours."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from torch import Tensor

from associative_embedding.model_files.converters.encoder_names import (
    LITEPOSE,
    MOBILENET_V2,
    RESNET,
    deconvolution_widths,
    litepose_options,
    resnet_backbone,
)
from associative_embedding.model_files.converters.hourglass_names import (
    MMPOSE,
    POSE_AE,
    Blocks,
    hourglass_options,
    our_name,
)
from associative_embedding.networks.hrnet import IMAGENET_MEAN, IMAGENET_STD
from associative_embedding.networks.zoo import BACKBONES
from associative_embedding.structures.known_skeletons import COCO_17

State = dict[str, Tensor]


class Layout(NamedTuple):
    """A recognised network.

    Attributes:
        state: weights under our names.
        backbone: a key of `networks.zoo.BACKBONES`.
        options: the options of the backbone that differ from its defaults.
        keypoints: K, number of keypoint types: the first output has a heatmap and a tag of each.
    """

    state: State
    backbone: str
    options: dict[str, Any]
    keypoints: int


def pose_ae(state: State, keypoints: int | None) -> Layout:
    """pose-ae-train, the paper's code: of the 68 channels of a stack only the first 34 were trained."""
    state = rename_layers(state, POSE_AE)
    keypoints = keypoints or len(COCO_17)
    options = hourglass_options(state) | {
        "batch_norm": "stem.0.norm.weight" in state,
        "extra_outputs": len(state["outputs.0.weight"]) - 2 * keypoints,
    }
    return Layout(state, "hourglass", differing("hourglass", options), keypoints)


def higherhrnet(state: State, _: int | None = None) -> Layout:
    """HigherHRNet, or HRNet, which lacks the second output."""
    higher = "final_layers.1.weight" in state
    shape = state["final_layers.0.weight"].shape
    outputs, width = shape[0], shape[1]
    backbone = f"{'higher' if higher else ''}hrnet_w{48 if width == 48 else 32}"
    # The second output has heatmaps alone.
    keypoints = len(state["final_layers.1.weight"]) if higher else half(outputs)
    return Layout(state, backbone, {} if width in (32, 48) else {"width": width}, keypoints)


def swahr(state: State, _: int | None = None) -> Layout:
    """SWAHR: HigherHRNet, and layers that predict the scale of people, which only its training reads."""
    return higherhrnet({name: value for name, value in state.items() if not name.startswith("conv_scale_layers.")})


def litepose(state: State, _: int | None = None) -> Layout:
    """LitePose XS, S, M or L."""
    state = rename_layers(state, LITEPOSE)
    options = litepose_options(state)
    names = [name for name, backbone in BACKBONES.items() if backbone.options == options]
    backbone = names[0] if names else "litepose_s"
    keypoints = len(state["outputs.1.refined.3.weight"])  # the second output has heatmaps alone
    return Layout(state, backbone, differing(backbone, asdict(options)), keypoints)


def mmpose(state: State, _: int | None = None) -> Layout:
    """mmpose: hourglass; ResNet or MobileNetV2 with a deconvolution head; LitePose; HRNet or HigherHRNet."""
    state = rename(state, lambda name: re.sub(r"^(backbone|keypoint_head|head)\.", "", name))
    if "out_convs.0.conv.weight" in state:
        state = rename_layers(state, MMPOSE)
        options = hourglass_options(state) | {"norm_first": True, "mean": IMAGENET_MEAN, "std": IMAGENET_STD}
        return Layout(state, "hourglass", differing("hourglass", options), half(len(state["outputs.0.weight"])))
    if "layer2.0.conv1.weight" in state:
        state = rename_layers(state, RESNET)
        return deconvolution_layout(state, resnet_backbone(state))
    if "layer2.0.conv.0.conv.weight" in state:
        return deconvolution_layout(rename_layers(state, MOBILENET_V2), "mobilenet_v2_deconv")
    if "deconv_refined.0.weight" in state:
        return litepose(state)
    return higherhrnet(rename(state, lambda name: name.replace("final_layer.", "final_layers.0.")))


# Weights of a project and K, None if it is not known -> the network.
LAYOUTS: dict[str, Callable[[State, int | None], Layout]] = {
    "pose-ae": pose_ae,
    "higherhrnet": higherhrnet,
    "mmpose": mmpose,
    "litepose": litepose,
    "swahr": swahr,
}


def recognise_project(state: State) -> str | None:
    """Returns the project, a key of `LAYOUTS`, that names its tensors in this way; None for an unknown way."""
    if any(name.startswith("backbone.") for name in state):
        return "mmpose"
    signs = {
        "conv_scale_layers.0.0.weight": "swahr",
        "final_layers.0.weight": "higherhrnet",
        "deconv_refined.0.weight": "litepose",
        "pre.0.conv.weight": "pose-ae",
    }
    return next((project for sign, project in signs.items() if sign in state), None)


def rename_layers(state: State, blocks: Blocks) -> State:
    """Returns the weights under our names, see `our_name`."""
    return rename(state, lambda name: our_name(name, blocks))


def rename(state: Mapping[Any, Tensor], new_name: Callable[[str], str]) -> State:
    """Returns the weights under new names.

    Raises:
        ValueError: when two tensors get the same name.
    """
    names = {name: new_name(str(name)) for name in state}
    if len(set(names.values())) < len(names):
        (twice, _), *_ = Counter(names.values()).most_common()
        raise ValueError(f"several of its tensors are {twice} of the network")
    return {names[name]: value for name, value in state.items()}


def deconvolution_layout(state: State, backbone: str) -> Layout:
    """Returns an encoder with a deconvolution head; the weights have our names."""
    options = {"widths": deconvolution_widths(state)}
    return Layout(state, backbone, differing(backbone, options), half(len(state["output.weight"])))


def differing(backbone: str, options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options that differ from the defaults of a backbone, as json writes them."""
    defaults = asdict(BACKBONES[backbone].options)
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    return {name: value for name, value in plain.items() if options[name] != defaults[name]}


def half(outputs: int) -> int:
    """Returns the number of keypoint types of an output that has a heatmap and a tag of each.

    Raises:
        ValueError: for an odd number of channels.
    """
    if outputs % 2:
        raise ValueError(f"an output of {outputs} channels has not a heatmap and a tag of each keypoint type")
    return outputs // 2
