"""Converts checkpoints of other projects' pose models to models of this one, with their authors' decode settings.

Results differ from the original code in four points, which no setting changes:

- keypoints lie at the top of a parabola, not a quarter pixel towards the higher neighbour;
- filled-in keypoints have their heatmap value as score (pose-ae-train writes 1);
- images are padded to the right and below, to a multiple of `Network.multiple`, not on all sides to a multiple of 64;
- more than 30 people can be found.

Published figures include the mirror image, ``--flip``. A checkpoint does not state whether it was trained with unbiased
coordinates (mmpose's "udp"); if it was, keypoints are up to half a map pixel off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from associative_embedding.io.coco_json import load_skeleton
from associative_embedding.io.console import one_line
from associative_embedding.model_files.checkpoint import ModelInfo, read_torch
from associative_embedding.model_files.converters.check_weights import check_weights
from associative_embedding.model_files.converters.hourglass_names import (
    MMPOSE,
    POSE_AE,
    fold_batch_norms,
    hourglass_options,
    our_name,
)
from associative_embedding.networks.hourglass import StackedHourglass
from associative_embedding.networks.hrnet import IMAGENET_MEAN, IMAGENET_STD, HigherHRNet, HRNet
from associative_embedding.networks.network import Network
from associative_embedding.structures.known_skeletons import COCO_17, CROWDPOSE_14
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask

State = dict[str, Tensor]

HRNET_DECODE = DecodeConfig(
    threshold=0.1,
    nms=5,
    tag_distance="l2",
    matching="rounded",
    fill_rule="rounded",
    fill_threshold=1e-3,  # theirs is 0; values below this are noise, and there are many pixels with them
    score="all",
    duplicate_oks=1.0,
)
POSE_AE_DECODE = replace(HRNET_DECODE, nms=3, tag_distance="rms")
INPUT_SIZE = 512
SKELETONS = {len(skeleton): skeleton for skeleton in (COCO_17, CROWDPOSE_14)}


def pose_ae(state: State, skeleton: Skeleton | None) -> tuple[State, ModelInfo]:
    """pose-ae-train, the paper's code: the long side is 512 pixels, maps have stride 4.

    A stack has 68 output channels, of which only the first 34 were trained.
    """
    state = {our_name(name, POSE_AE): value for name, value in state.items()}
    options = hourglass_options(state)
    task = PoseTask(skeleton or COCO_17, POSE_AE_DECODE)
    options["extra_outputs"] = len(state["outputs.0.weight"]) - 2 * task.channels
    return state, ModelInfo("hourglass", task, INPUT_SIZE, options=options)


def higherhrnet(state: State, skeleton: Skeleton | None) -> tuple[State, ModelInfo]:
    """HigherHRNet, or HRNet, which lacks the second output: short side 512 pixels, maps have the input's size."""
    higher = "final_layers.1.weight" in state
    width = state["final_layers.0.weight"].shape[1]
    # The first output has a heatmap and a tag of each keypoint type, the second one only the heatmap.
    keypoints = len(state["final_layers.1.weight"]) if higher else len(state["final_layers.0.weight"]) / 2
    task = PoseTask(skeleton or skeleton_of(keypoints), HRNET_DECODE)
    backbone = f"{'higher' if higher else ''}hrnet_w{48 if width == 48 else 32}"
    stride = HigherHRNet.stride if higher else HRNet.stride
    options = {} if width in (32, 48) else {"width": width}
    return state, ModelInfo(backbone, task, INPUT_SIZE, options=options, resize="short", enlarge=stride)


def mmpose(state: State, skeleton: Skeleton | None) -> tuple[State, ModelInfo]:
    """mmpose 0.x: HourglassAENet, or HRNet with a simple or a higher resolution head. Settings as of HigherHRNet.

    The names come from its source (0.x, the exact version is not certain), not from a checkpoint.
    """
    parts = r"^(backbone|keypoint_head|head)\."
    state = {re.sub(parts, "", name).replace("final_layer.", "final_layers.0."): value for name, value in state.items()}
    if "out_convs.0.conv.weight" not in state:
        return higherhrnet(state, skeleton)
    state = {our_name(name, MMPOSE): value for name, value in fold_batch_norms(state).items()}
    task = PoseTask(skeleton or skeleton_of(len(state["outputs.0.weight"]) / 2), HRNET_DECODE)
    options = hourglass_options(state) | {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}
    stride = StackedHourglass.stride
    return state, ModelInfo("hourglass", task, INPUT_SIZE, options=options, resize="short", enlarge=stride)


# Weights of the project -> weights under our names, and the description of the model.
PROJECTS: dict[str, Callable[[State, Skeleton | None], tuple[State, ModelInfo]]] = {
    "pose-ae": pose_ae,
    "higherhrnet": higherhrnet,
    "mmpose": mmpose,
}


def skeleton_of(keypoints: float) -> Skeleton:
    """Returns COCO's or CrowdPose's skeleton by its number of keypoint types.

    Raises:
        ValueError: for another number, also one that is not whole (an odd number of channels).
    """
    if keypoints not in SKELETONS:
        raise ValueError(f"{keypoints:g} keypoint types are neither COCO's nor CrowdPose's: name the skeleton")
    return SKELETONS[int(keypoints)]


def read_checkpoint(path: str | Path) -> State:
    """Reads the tensors of a checkpoint: the file is a state dict, or contains one as ``state_dict``.

    Returns:
        the tensors by name, without the prefixes that wrappers add.

    Raises:
        ValueError: when the file cannot be read safely or contains something else.
    """
    content = read_torch(path)
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path}: neither a state_dict of tensors nor a checkpoint that holds one")
    # Prefixes of DataParallel, of pose-ae-train's trainer, and of HigherHRNet's half-precision wrapper.
    return {re.sub(r"^((module|model|1)\.)+", "", str(name)): value for name, value in state.items()}


def load_published(path: str | Path, project: str, skeleton: str | None = None) -> tuple[Network, ModelInfo]:
    """Returns a network of ours with the weights of a project's checkpoint, and the description of the model.

    Args:
        path: the checkpoint.
        project: a key of `PROJECTS`.
        skeleton: of the keypoints, see `coco_json.load_skeleton`; default: COCO's for 17 keypoint types,
            CrowdPose's for 14. AI Challenger also has 14: name its skeleton.

    Raises:
        ValueError: when the file cannot be read safely, or is not a checkpoint of the project.
    """
    given = load_skeleton(skeleton) if skeleton else None
    state = read_checkpoint(path)
    try:
        state, info = PROJECTS[project](state, given)
        network = info.build()
        load_body(network, state, f"the weights of a network of {project}")
    except KeyError as error:
        raise ValueError(f"{path}: not a checkpoint of {project}: it has no {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except (IndexError, RuntimeError, TypeError) as error:  # a tensor of the right name, but of a wrong shape
        raise ValueError(
            f"{path}: not a checkpoint of {project}: a tensor is of a shape that it never has ({one_line(error)[:200]})"
        ) from None
    return network, replace(info, notes={"converted_from": project})


def load_body(network: Network, state: State, what: str) -> None:
    """Loads the weights of a network's body.

    Args:
        network: is changed in place.
        state: weights under our names. The batch counters of batch norms may be missing, as in old files.
        what: the weights that `state` should be, for the error message.

    Raises:
        ValueError: when other weights are missing, left over or of another shape.
    """
    expected: dict[str, Any] = network.body.state_dict()
    counters = {name: value for name, value in expected.items() if name.endswith("num_batches_tracked")}
    check_weights(counters | state, expected, what)
    network.body.load_state_dict(counters | state)
