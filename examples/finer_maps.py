"""Gives a model with a pyramid maps of twice the resolution: one more level, which at first changes little.

    python examples/finer_maps.py nuclei runs/nuclei-finer-start.safetensors

The new level passes on the enlarged result of the level below. Training then teaches it details. The network must be
one of `PyramidNetwork`, with an encoder that has features at half of the stride.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from associative_embedding.io.outputs import check_output, own_mark
from associative_embedding.model_files.checkpoint import load_model, save_model
from associative_embedding.model_files.find import model_path
from associative_embedding.model_files.model_info import KEY
from associative_embedding.networks.pyramid import Pyramid, PyramidNetwork, PyramidOptions
from associative_embedding.networks.zoo import build_network


def finer_options(options: PyramidOptions) -> dict[str, Any]:
    """Returns options for half of the stride; the new levels are as wide as what they pass on."""
    return {
        "stride": options.stride // 2,
        "widths": [options.outputs, *options.widths],
        "tag_widths": [options.tag_outputs, *options.tag_widths],
    }


def shifted(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns weights under the names of a pyramid that has one more fine level: level i becomes level i + 1."""
    return {shifted_name(name): value for name, value in state.items()}


def shifted_name(name: str) -> str:
    """Returns the name of a weight in a pyramid with one more fine level."""
    parts = name.split(".")
    if parts[1].endswith("_pyramid") and parts[2] in ("lateral", "smooth"):
        parts[3] = str(int(parts[3]) + 1)
    return ".".join(parts)


def pass_on(pyramid: Pyramid) -> None:
    """Makes the finest level the identity: nothing of its own feature, and what comes from below unchanged."""
    lateral, depthwise, pointwise = pyramid.lateral[0], pyramid.smooth[0][0], pyramid.smooth[0][1]  # type: ignore[index]
    for layer in (lateral, pointwise):
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    nn.init.normal_(lateral.weight, std=0.01)  # type: ignore[arg-type]  # not 0, so that training can begin
    nn.init.dirac_(depthwise.weight, groups=depthwise.groups)  # type: ignore[arg-type]
    nn.init.dirac_(pointwise.weight)  # type: ignore[arg-type]


def finer(source: str, target: str) -> None:
    """Writes a model whose maps have twice the resolution.

    Args:
        source: model file, or name of a shipped model.
        target: file to write.

    Raises:
        ValueError: if the network has no pyramid, or no finer features, or the target is no model file.
    """
    path = str(model_path(source))
    check_output(target, own_mark(KEY.encode()), [path])
    network, info = load_model(path)
    if not isinstance(network.body, PyramidNetwork):
        raise ValueError(f"{source}: the network {info.backbone} has no pyramid")
    options = dict(info.options) | finer_options(PyramidOptions(**info.options))
    larger = build_network(info.backbone, info.task.channels, info.tag_size, options)
    for name in ("heatmap_pyramid", "tag_pyramid"):
        pass_on(getattr(larger.body, name))
    missing = larger.load_state_dict(shifted(network.state_dict()), strict=False)
    if missing.unexpected_keys:
        raise ValueError(f"{source}: {missing.unexpected_keys[0]} has no place in the finer network")
    save_model(target, larger, replace(info, options=options))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="model file, or name of a shipped model")
    parser.add_argument("target", help="file to write")
    arguments = parser.parse_args()
    finer(arguments.model, arguments.target)
