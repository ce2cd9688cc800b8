"""Names and shapes of the tensors of published networks, written down layer by layer; tests fill them as they need."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path

from torch import nn

Shape = list[int]
Named = tuple[str, Shape]
STATISTICS = ("weight", "bias", "running_mean", "running_var")

# (blocks of each stage) of the published ResNets; (channels, blocks) of MobileNetV2's stages
RESNETS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
MOBILENET_V2 = ((16, 1), (24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1))
# channels of the stem, the stages and the deconvolutions
LITEPOSES = {
    "xs": (16, (16, 32, 48, 80), (16, 24, 24)),
    "s": (16, (16, 32, 48, 120), (32, 24, 32)),
    "m": (16, (24, 48, 72, 120), (64, 40, 32)),
    "l": (24, (24, 64, 96, 160), (64, 40, 32)),
}


def zoo_names(shared: Path) -> list[str]:
    """The published networks with a list of tensors."""
    return sorted(path.name.removesuffix(".json.gz") for path in (shared / "reference/zoo/keys").glob("*.json.gz"))


def zoo_shapes(shared: Path, name: str) -> list[Named]:
    """The published list of a network's tensors."""
    with gzip.open(shared / f"reference/zoo/keys/{name}.json.gz") as file:
        return [(key, shape) for key, shape in json.load(file)["keys"]]


def norm(name: str, channels: int) -> Iterator[Named]:
    yield from ((f"{name}.{leaf}", [channels]) for leaf in STATISTICS)
    yield f"{name}.num_batches_tracked", []


def conv_norm(conv: str, normed: str, shape: Shape) -> Iterator[Named]:
    yield f"{conv}.weight", shape
    yield from norm(normed, shape[0])


def deconvolution_head(inputs: int, outputs: int) -> Iterator[Named]:
    for layer in (0, 3, 6):
        yield f"keypoint_head.deconv_layers.{layer}.weight", [inputs, 256, 4, 4]
        yield from norm(f"keypoint_head.deconv_layers.{layer + 1}", 256)
        inputs = 256
    yield "keypoint_head.final_layer.weight", [outputs, 256, 1, 1]
    yield "keypoint_head.final_layer.bias", [outputs]


def resnet(blocks: Sequence[int], keypoints: int = 17) -> Iterator[Named]:
    """mmpose's ResNet with bottleneck blocks."""
    yield from conv_norm("backbone.conv1", "backbone.bn1", [64, 3, 7, 7])
    inputs = 64
    for stage, repeats in enumerate(blocks):
        width = 64 * 2**stage
        for block in range(repeats):
            name = f"backbone.layer{stage + 1}.{block}"
            shapes = ([width, inputs, 1, 1], [width, width, 3, 3], [4 * width, width, 1, 1])
            for i, shape in enumerate(shapes, start=1):
                yield from conv_norm(f"{name}.conv{i}", f"{name}.bn{i}", shape)
            if block == 0:
                yield from conv_norm(f"{name}.downsample.0", f"{name}.downsample.1", [4 * width, inputs, 1, 1])
            inputs = 4 * width
    yield from deconvolution_head(inputs, 2 * keypoints)


def mobilenet_v2(keypoints: int = 17) -> Iterator[Named]:
    """mmpose's MobileNetV2."""
    yield from conv_norm("backbone.conv1.conv", "backbone.conv1.bn", [32, 3, 3, 3])
    inputs = 32
    for stage, (outputs, repeats) in enumerate(MOBILENET_V2, start=1):
        for block in range(repeats):
            wide = inputs * (6 if stage > 1 else 1)
            shapes = [[wide, inputs, 1, 1]] * (stage > 1) + [[wide, 1, 3, 3], [outputs, wide, 1, 1]]
            for i, shape in enumerate(shapes):
                name = f"backbone.layer{stage}.{block}.conv.{i}"
                yield from conv_norm(f"{name}.conv", f"{name}.bn", shape)
            inputs = outputs
    yield from conv_norm("backbone.conv2.conv", "backbone.conv2.bn", [1280, 320, 1, 1])
    yield from deconvolution_head(1280, 2 * keypoints)


def litepose(
    stem: int, widths: Sequence[int], deconvolutions: Sequence[int], keypoints: int = 17, style: str = "litepose"
) -> Iterator[Named]:
    """LitePose as its own code names it ("litepose"), or mmpose before and after a change ("mmpose", "module")."""
    body, head = ("", "") if style == "litepose" else ("backbone.", "keypoint_head.")
    later = style == "module"
    first = (([32, 3, 3, 3], "0.0", "0.1"), ([32, 1, 3, 3], "1.0", "1.1"), ([stem, 32, 1, 1], "2", "3"))
    for i, (shape, conv, normed) in enumerate(first):
        name = f"{body}first"
        names = (f"{name}.{i}.conv", f"{name}.{i}.bn") if later else (f"{name}.{conv}", f"{name}.{normed}")
        yield from conv_norm(*names, shape)
    inputs = stem
    for stage, (outputs, repeats) in enumerate(zip(widths, (6, 8, 10, 10), strict=True)):
        for block in range(repeats):
            wide, name = 6 * inputs, f"{body}stage.{stage}.{block}"
            shapes = ([wide, inputs, 1, 1], [wide, 1, 7, 7], [outputs, wide, 1, 1])
            for i, (part, shape) in enumerate(zip(("inv", "depth_conv", "point_conv"), shapes, strict=True)):
                layer = f"{name}.conv.{i}" if later else f"{name}.{part}"
                kinds = ("conv", "bn") if later else ("0", "1")
                yield from conv_norm(f"{layer}.{kinds[0]}", f"{layer}.{kinds[1]}", shape)
            inputs = outputs
    below = (stem, *widths)
    for i, (before, after) in enumerate(pairwise((widths[-1], *deconvolutions))):
        yield f"{head}deconv_refined.{i}.weight", [before, after, 4, 4]
        yield f"{head}deconv_raw.{i}.weight", [below[3 - i], after, 4, 4]
        yield from norm(f"{head}deconv_bnrelu.{i}.0", after)
    for i, outputs in enumerate((2 * keypoints, keypoints)):
        for kind, channels in (("refined", deconvolutions[i + 1]), ("raw", below[1 - i])):
            layer = f"{head}final_{kind}.{i}.conv"
            names = (f"{layer}.0.conv", f"{layer}.0.bn") if later else (f"{layer}.0", f"{layer}.1")
            yield from conv_norm(*names, [channels, 1, 5, 5])
            yield f"{layer}.{'1.conv' if later else '3'}.weight", [outputs, channels, 1, 1]


def scale_layers(width: int, keypoints: int = 17) -> Iterator[Named]:
    """What SWAHR adds to HigherHRNet."""
    for i in (0, 1):
        name = f"conv_scale_layers.{i}"
        yield from ((f"{name}.0.weight", [keypoints, width, 1, 1]), (f"{name}.0.bias", [keypoints]))
        yield from norm(f"{name}.1", keypoints)
        yield from ((f"{name}.3.weight", [keypoints, 1, 9, 9]), (f"{name}.3.bias", [keypoints]))


def mmpose_hourglass(widths: Sequence[int], stem: Sequence[int], stacks: int, keypoints: int = 17) -> Iterator[Named]:
    """mmpose's HourglassAENet."""

    def layer(name: str, before: int, after: int, kernel: int = 3) -> Iterator[Named]:
        yield from conv_norm(f"backbone.{name}.conv", f"backbone.{name}.bn", [after, before, kernel, kernel])

    width, outputs = widths[0], 2 * keypoints
    for i, (before, after) in zip((0, 1, 3, 4), pairwise((3, *stem, width)), strict=True):
        yield from layer(f"stem.{i}", before, after, 3 if i else 7)
    for stack in range(stacks):
        name = f"hourglass_modules.{stack}"
        for level, (outer, inner) in enumerate(pairwise(widths)):
            here = f"{name}.0{'.low2' * level}"
            yield from layer(f"{here}.up1", outer, outer)
            yield from layer(f"{here}.low1", outer, inner)
            yield from layer(f"{here}.low3", inner, outer)
        yield from layer(f"{name}.0{'.low2' * (len(widths) - 1)}", widths[-1], widths[-1])
        yield from chain(layer(f"{name}.1", width, width), layer(f"{name}.2", width, width))
        yield f"backbone.out_convs.{stack}.conv.weight", [outputs, width, 1, 1]
        yield f"backbone.out_convs.{stack}.conv.bias", [outputs]
    for stack in range(stacks - 1):
        yield from layer(f"remap_out_convs.{stack}", outputs, width, 1)
        yield from layer(f"remap_feature_convs.{stack}", width, width, 1)


def hrnet(body: nn.Module, style: str) -> Iterator[Named]:
    """HRNet or HigherHRNet, whose layers have their published names here too, as HigherHRNet or mmpose write them."""
    higher = hasattr(body, "deconv_layers")
    head = {"higherhrnet": "", "mmpose": "keypoint_head.", "mmpose 1.x": "head."}[style]
    for name, value in body.state_dict().items():
        if not name.startswith(("final_layers", "deconv_layers")):
            yield ("" if style == "higherhrnet" else "backbone.") + name, list(value.shape)
        elif style == "higherhrnet" or higher:
            yield head + name, list(value.shape)
        else:
            yield head + name.replace("final_layers.0", "final_layer"), list(value.shape)
