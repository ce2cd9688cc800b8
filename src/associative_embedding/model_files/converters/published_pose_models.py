"""Converts checkpoints of other projects' pose models to models of this one, with their authors' rules at test time.

Results are those of the original code: input, mirror image, enlarging, grouping, filling and places of keypoints. Two
faults of the paper's code, pose-ae-train, are left out: it gives filled-in keypoints the score 1, and places them by a
wrong row of the map.

A checkpoint need not state whether it was trained with unbiased coordinates (mmpose's "udp"); if it was and this is not
known, keypoints are up to half a map pixel off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from associative_embedding.io.coco_json import load_skeleton
from associative_embedding.io.console import one_line, remark
from associative_embedding.model_files.checkpoint import read_torch
from associative_embedding.model_files.converters.check_weights import check_weights
from associative_embedding.model_files.converters.clues import DATASETS, Clues, read_clues
from associative_embedding.model_files.converters.layouts import LAYOUTS, Layout, State, recognise_project, rename
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.networks.network import Network
from associative_embedding.structures.known_skeletons import COCO_17, SKELETONS
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.published.conventions import Conventions

MMPOSE_DECODE = DecodeConfig(
    threshold=0.1,
    nms=5,
    tag_distance="l2",
    matching="rounded",
    assignment="published",
    position="quarter",
    fill_rule="published",
    score="all",
    duplicate_oks=1.0,
)
HIGHERHRNET_DECODE = replace(MMPOSE_DECODE, max_people=30, crowd="join")
POSE_AE_DECODE = replace(MMPOSE_DECODE, nms=3, tag_distance="rms", max_people=30, crowd="stop")
HIGHERHRNET_RULES = Conventions(rounding="down", map_size="input-in-two-steps")
UDP_RULES = Conventions(fit="corner", map_size="network", align_corners=True)


@dataclass(frozen=True)
class Project:
    """What a project publishes.

    Attributes:
        decode: its rules of decoding.
        conventions: its rules between the image and the maps.
        corner_aligned: the backbones whose maps it enlarges from corner to corner.
        skeletons: keys of `SKELETONS`, one for each data set that it trained on.
        sizes: backbone -> input size of the published models, where it is not `INPUT_SIZE`.
        thresholds: backbone -> detection threshold, where it differs from the one of `decode`.
        resize: the side of an image that becomes the input size.
        enlarges: whether it enlarges maps to the size of the input before it decodes them.
        listed_order: whether other keypoints than COCO's are grouped in the order of the annotations; if not, they are
            grouped in COCO's order, cut off.
    """

    decode: DecodeConfig = HIGHERHRNET_DECODE
    conventions: Conventions = HIGHERHRNET_RULES
    corner_aligned: tuple[str, ...] = ()
    skeletons: tuple[str, ...] = ("coco-17", "crowdpose-14")
    sizes: Mapping[str, int] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    resize: Literal["long", "short"] = "short"
    enlarges: bool = True
    listed_order: bool = False


INPUT_SIZE = 512
LITEPOSE_SIZES = {"litepose_xs": 256, "litepose_s": 448, "litepose_m": 448, "litepose_l": 512}
PROJECTS = {
    "pose-ae": Project(
        POSE_AE_DECODE,
        Conventions(fit="square", map_size="network", clip=True),
        skeletons=("coco-17",),
        resize="long",
        enlarges=False,
    ),
    "higherhrnet": Project(sizes={"higherhrnet_w48": 640}),
    "mmpose": Project(
        MMPOSE_DECODE,
        Conventions(),
        ("hourglass",),  # its config leaves align_corners out, which is then true
        skeletons=(*DATASETS.values(),),
        sizes=LITEPOSE_SIZES,
        listed_order=True,
    ),
    "litepose": Project(sizes=LITEPOSE_SIZES),
    "swahr": Project(sizes={"higherhrnet_w48": 640}, thresholds={"higherhrnet_w32": 0.12}),
}


def read_checkpoint(path: str | Path) -> tuple[State, Any]:
    """Reads a checkpoint: the file is a state dict, or contains one as ``state_dict``.

    Returns:
        the tensors by name, without the prefixes that wrappers add; and the content of the file.

    Raises:
        ValueError: when the file cannot be read safely or contains something else.
    """
    content = read_torch(path)
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path}: neither a state_dict of tensors nor a checkpoint that holds one")
    # Prefixes of DataParallel, of pose-ae-train's trainer, and of HigherHRNet's half-precision wrapper.
    try:
        return rename(state, lambda name: re.sub(r"^((module|model|1)\.)+", "", name)), content
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def load_published(
    path: str | Path,
    project: str | None = None,
    *,
    skeleton: str | None = None,
    input_size: int | None = None,
    udp: bool | None = None,
) -> tuple[Network, ModelInfo]:
    """Returns a network of ours with the weights of a project's checkpoint, and the description of the model.

    Prints what was recognised, and one line for each value that is in neither the file nor its name.

    Args:
        path: the checkpoint.
        project: a key of `PROJECTS`; default: recognised by the names of the tensors.
        skeleton: of the keypoints, see `coco_json.load_skeleton`; default: the one of the data set that the file or its
            name tells, or the only one of the project with this number of keypoint types.
        input_size: pixels; default: what the file or its name tells, or the size of the published model.
        udp: whether it was trained with unbiased coordinates; default: what the file or its name tells.

    Raises:
        ValueError: when the file cannot be read safely, or is not a checkpoint of the project, or two skeletons fit.
    """
    given = load_skeleton(skeleton) if skeleton else None
    state, content = read_checkpoint(path)
    try:
        project = choose_project(state, project)
        layout = LAYOUTS[project](state, len(given) if given else None)
        clues = read_clues(path, content)
        clues = replace(clues, udp=clues.udp if udp is None else udp)
        name = skeleton or choose_skeleton(project, layout.keypoints, clues)
        size = input_size or clues.input_size
        info = describe(project, layout, published_skeleton(project, name), replace(clues, input_size=size))
        network = info.build()
        load_body(network, layout.state, f"the weights of a network of {project}")
    except KeyError as error:
        raise ValueError(f"{path}: not a checkpoint of {project}: it has no {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except (IndexError, RuntimeError, TypeError) as error:  # a tensor of the right name, but of a wrong shape
        raise ValueError(
            f"{path}: not a checkpoint of {project}: a tensor is of a shape that it never has ({one_line(error)[:200]})"
        ) from None
    known = replace(clues, input_size=size)
    if skeleton or clues.skeleton == name:
        known = replace(known, skeleton=name)
    report(path, project, name, info, known)
    enlarge = network.stride if PROJECTS[project].enlarges else 1
    return network, replace(info, enlarge=enlarge, notes={"converted_from": project})


def choose_project(state: State, given: str | None) -> str:
    """Returns the project whose names the tensors have.

    Raises:
        ValueError: for names of another project than the given one, or of none and none is given.
    """
    found = recognise_project(state)
    if not found and not given:
        raise ValueError(
            f"its tensors have the names of none of {', '.join(PROJECTS)}; if it is an encoder, name it with --from"
        )
    if found and given and found != given:
        raise ValueError(f"not a checkpoint of {given}: its tensors have the names of {found}; leave --from out")
    return given or str(found)


def choose_skeleton(project: str, keypoints: int, clues: Clues) -> str:
    """Returns the name of the skeleton of a data set that the project trained on.

    Raises:
        ValueError: when none or several have this number of keypoint types and the clues decide for none.
    """
    fitting = [name for name in PROJECTS[project].skeletons if len(SKELETONS[name]) == keypoints]
    if clues.skeleton in fitting:
        return clues.skeleton
    if len(fitting) > 1:
        raise ValueError(
            f"its {keypoints} keypoint types are those of {' or '.join(fitting)}, and neither the file nor its name "
            "tells which: name one with --skeleton"
        )
    if not fitting:
        raise ValueError(f"{keypoints} keypoint types are neither COCO's nor CrowdPose's: name the skeleton")
    return fitting[0]


def published_skeleton(project: str, name: str) -> Skeleton:
    """Returns a skeleton with the order in which a project groups its keypoints.

    Args:
        project: a key of `PROJECTS`.
        name: see `coco_json.load_skeleton`; only the skeletons of the project get its order.

    Raises:
        ValueError: for a skeleton that cannot be read.
    """
    skeleton, rules = load_skeleton(name), PROJECTS[project]
    if name not in rules.skeletons or skeleton == COCO_17:
        return skeleton
    count = len(skeleton)
    order = range(count) if rules.listed_order else [i for i in COCO_17.group_index if i < count]
    return replace(skeleton, group_order=tuple(skeleton.keypoints[i] for i in order))


def describe(project: str, layout: Layout, skeleton: Skeleton, clues: Clues) -> ModelInfo:
    """Returns the description of a published model.

    Args:
        project: a key of `PROJECTS`.
        layout: the recognised network.
        skeleton: of its keypoints.
        clues: `input_size` and `udp` count.

    Raises:
        ValueError: for a skeleton of another number of keypoints than the network has.
    """
    if len(skeleton) != layout.keypoints:
        raise ValueError(f"a skeleton of {len(skeleton)} keypoints does not fit its {layout.keypoints} keypoint types")
    rules = PROJECTS[project]
    conventions = replace(rules.conventions, align_corners=layout.backbone in rules.corner_aligned)
    decode = replace(rules.decode, threshold=rules.thresholds.get(layout.backbone, rules.decode.threshold))
    if clues.udp:
        conventions, decode = UDP_RULES, replace(decode, position="dark")
    return ModelInfo(
        layout.backbone,
        PoseTask(skeleton, decode),
        clues.input_size or rules.sizes.get(layout.backbone, INPUT_SIZE),
        options=layout.options,
        resize=rules.resize,
        conventions=conventions,
    )


def report(path: str | Path, project: str, skeleton: str, info: ModelInfo, known: Clues) -> None:
    """Prints what was recognised, and one line for each value that is not known from the file or from the user.

    Args:
        path: the checkpoint.
        project: a key of `PROJECTS`.
        skeleton: name of the skeleton that the model has now.
        info: the description of the model.
        known: what was known.
    """
    remark(f"{path}: {info.backbone} of {project}, skeleton {skeleton}, input size {info.input_size} px")
    if not known.skeleton:
        keypoints = len(SKELETONS[skeleton])
        remark(f"{path}: its data set is not known; took {skeleton} for its {keypoints} keypoint types (--skeleton)")
    if not known.input_size:
        remark(f"{path}: its input size is not known; took the published one, {info.input_size} px (--input_size)")
    if project == "mmpose" and known.udp is None:
        remark(f"{path}: whether it was trained with unbiased coordinates (udp) is not known; took that it was not")


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
