"""Renames the weights of published networks with a deconvolution head, and of LitePose, to the layers of ours.

The names come from lists of all tensors, made by running mmpose 0.29, its pull request 1486 and LitePose's own code.
mmpose's ``backbone.`` and ``keypoint_head.`` are already removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count, takewhile

from torch import Tensor

from associative_embedding.model_files.converters.hourglass_names import Blocks
from associative_embedding.networks.litepose import REPEATS as LITEPOSE_REPEATS
from associative_embedding.networks.litepose import LitePoseOptions
from associative_embedding.networks.resnet import REPEATS as RESNET_REPEATS

PARTS = ("expand", "depthwise", "project")  # of an inverted residual

DECONVOLUTIONS: Blocks = ((r"deconv_layers\.", "deconvolutions."), (r"final_layer\.", "output."))
RESNET: Blocks = ((r"(conv1|bn1|layer\d)\.", r"encoder.\1."), *DECONVOLUTIONS)
MOBILENET_V2: Blocks = (
    (r"conv1\.", "encoder.stem."),
    (r"conv2\.", "encoder.last."),
    # the first stage does not expand
    *((rf"layer1\.0\.conv\.{i}\.", f"encoder.stages.0.0.{part}.") for i, part in enumerate(PARTS[1:])),
    *(
        (rf"layer{stage + 1}\.(\d+)\.conv\.{i}\.", rf"encoder.stages.{stage}.\1.{part}.")
        for stage in range(1, 7)
        for i, part in enumerate(PARTS)
    ),
    *DECONVOLUTIONS,
)
# Once as LitePose's own code and the uploaded files of mmpose name the layers, once as mmpose's later code does.
LITEPOSE: Blocks = (
    (r"first\.([01])\.0\.", r"stem.\1.conv."),
    (r"first\.([01])\.1\.", r"stem.\1.norm."),
    (r"first\.2\.(?=weight$)", "stem.2.conv."),
    (r"first\.3\.", "stem.2.norm."),
    (r"first\.(\d)\.(?=conv|bn)", r"stem.\1."),
    *(
        (rf"stage\.(\d+)\.(\d+)\.{theirs}\.{i}\.", rf"stages.\1.\2.{ours}.{kind}.")
        for theirs, ours in zip(("inv", "depth_conv", "point_conv"), PARTS, strict=True)
        for i, kind in enumerate(("conv", "norm"))
    ),
    *((rf"stage\.(\d+)\.(\d+)\.conv\.{i}\.", rf"stages.\1.\2.{part}.") for i, part in enumerate(PARTS)),
    (r"deconv_(refined|raw)\.(\d+)\.", r"fusions.\2.\1."),
    (r"deconv_bnrelu\.(\d+)\.0\.", r"fusions.\1.norm."),
    (r"final_(refined|raw)\.(\d+)\.conv\.0\.conv\.", r"outputs.\2.\1.0."),
    (r"final_(refined|raw)\.(\d+)\.conv\.0\.bn\.", r"outputs.\2.\1.1."),
    (r"final_(refined|raw)\.(\d+)\.conv\.1\.conv\.", r"outputs.\2.\1.3."),
    (r"final_(refined|raw)\.(\d+)\.conv\.", r"outputs.\2.\1."),
)


def resnet_backbone(state: Mapping[str, Tensor]) -> str:
    """Returns the backbone whose number of blocks a ResNet's weights have.

    Args:
        state: weights under our names.

    Raises:
        ValueError: for another number of blocks.
    """
    names = {match[0] for name in state if (match := re.match(r"encoder\.layer\d\.\d+", name))}
    blocks = tuple(sum(f"layer{stage}." in name for name in names) for stage in range(1, 5))
    for depth, repeats in RESNET_REPEATS.items():
        if blocks == repeats:
            return f"resnet{depth}"
    raise ValueError(
        f"a ResNet whose stages have {', '.join(map(str, blocks))} blocks is none of 50, 101 or 152 layers"
    )


def deconvolution_widths(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Returns the channels of the deconvolutions of a `DeconvolutionNetwork`.

    Args:
        state: weights under our names.
    """
    # A deconvolution, its batch norm and its ReLU have three numbers.
    names = takewhile(lambda name: name in state, (f"deconvolutions.{3 * i}.weight" for i in count()))
    return tuple(state[name].shape[1] for name in names)


def litepose_options(state: Mapping[str, Tensor]) -> LitePoseOptions:
    """Derives the options of `LitePose` from the shapes of its tensors.

    Args:
        state: weights under our names.

    Raises:
        KeyError: the name of a missing tensor.
    """
    return LitePoseOptions(
        stem=len(state["stem.2.conv.weight"]),
        widths=tuple(len(state[f"stages.{i}.0.project.conv.weight"]) for i in range(len(LITEPOSE_REPEATS))),
        deconvolutions=tuple(state[f"fusions.{i}.refined.weight"].shape[1] for i in range(3)),
    )
