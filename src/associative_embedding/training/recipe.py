"""Recipes: all settings of a training run, as frozen dataclasses that a YAML file or the command line fills in.

Only the room `training` reads recipes; its `build_*` functions pass plain values to the rooms below. The settings in
tasks/*/settings.py (`decode`, `link`, `mask_decode`, `refine`) are stored in the model file as well.

The docstrings are the text of ``ae train --help`` and of docs/reference.md: one entry per setting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from associative_embedding.data.settings import Augment, SourceConfig
from associative_embedding.io.reading import AUTO, Reading
from associative_embedding.structures.setting_checks import (
    BELOW_ONE,
    NOT_NEGATIVE,
    ONE_OR_MORE,
    POSITIVE,
    SHARE,
    Range,
    check,
    fits,
)
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.published.conventions import Conventions
from associative_embedding.tasks.segmentation.settings import MaskDecodeConfig
from associative_embedding.tasks.single_person.settings import RefineConfig
from associative_embedding.tasks.tracking.settings import LinkConfig
from associative_embedding.training.clock import seconds_of


@dataclass(frozen=True)
class MaskConfig:
    """What a model of the task "segmentation" learns.

    Attributes:
        classes: names of the categories to learn; empty = all categories of the first source.
        samples: highest number of pixels per object whose tags are compared in a step, at least 1 (section 3.4).
        object_size: smallest and largest object to learn: square root of its area after augmentation, input pixels. The
            heatmap loss ignores other objects.
    """

    classes: list[str] = field(default_factory=list)
    samples: int = 16
    object_size: tuple[float, float] = (0.0, 1e9)

    def __post_init__(self) -> None:
        check("masks.", self, {"samples": ONE_OR_MORE})
        if len(self.object_size) != 2 or not 0 <= self.object_size[0] < self.object_size[1]:
            raise ValueError(f"masks.object_size must be 0 <= low < high, not {self.object_size}")


@dataclass(frozen=True)
class NetworkConfig:
    """The network and its first weights.

    Attributes:
        backbone: name of the network, a key of `networks.zoo.BACKBONES`: mobilenet_v2, mobilenet_v2_150,
            mobilenet_v2_175, mobilenet_v2_deconv, efficientnet_lite0, hourglass, hrnet_w32, hrnet_w48,
            higherhrnet_w32, higherhrnet_w48, litepose_xs, litepose_s, litepose_m, litepose_l, resnet50, resnet101 or
            resnet152.
        tag_size: D, dimensions of a tag, at least 1; exactly 0 (no tags) for the task "single-person".
        options: options of the backbone that differ from the default, e.g. {stacks: 2}; see `PyramidOptions`,
            `HourglassOptions`, `HRNetOptions`, `LitePoseOptions` and `DeconvolutionOptions`.
        start: weights to start from: name of a shipped model, path of a model file or of a converted encoder, or
            hf://owner/name; null = fresh weights. Layers that the file lacks, or has in another shape, start fresh.
        frozen: beginnings of parameter names, e.g. [encoder.stem]. Matching parameters are not trained, and their batch
            norms keep their statistics.
    """

    backbone: str = "mobilenet_v2"
    tag_size: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    start: str | None = None
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check("network.", self, {"tag_size": NOT_NEGATIVE})


def is_side(value: float) -> bool:
    """Returns whether a side of the training input is possible; a larger one than 4096 pixels fits no memory."""
    return 32 <= value <= 4096 and value % 32 == 0


@dataclass(frozen=True)
class DataConfig:
    """The images to train on and to validate on.

    Attributes:
        sources: data sets to train on, at least one; see `SourceConfig`.
        skeleton: keypoint types to learn: name of a known skeleton, e.g. coco-17 or mpii-16, or path of a COCO json
            whose first category with keypoints defines them.
        input_size: longer side of the training input, pixels, a multiple of 32 up to 4096. The input is a square, and
            for the task "single-person" as narrow as the crop of a person at prediction, see `RefineConfig`.
        more_sizes: further sizes of the training input, other than `input_size` and in its range. Each batch draws one
            of all sizes, with equal probability.
        sigma: standard deviation of the Gaussians in the target heatmap of keypoints, map pixels, above 0.
        sigma_growth: gives large people wider Gaussians, at least 0: this share of the square root of the person's area
            where that is more than `sigma`. 0 = one sigma for all, as in the paper.
        workers: number of processes that read and augment images; 0 = the training process does it.
        validation: data sets to validate on; of each, only the share `held_out` (0 = all of it). Empty = no validation.
        validation_images: highest number of validation images per source; 0 = all.
        validation_size: long side of the network's input in validation, pixels, 32 to 4096. The model file stores it as
            the default size for prediction.
        zoom: input pixels per image pixel, for masks: images keep their scale, and large ones are cut into tiles of
            `validation_size`; 0 = the whole image is fitted into `validation_size`. The model file stores it.
        validation_scales: factors on `validation_size`, each above 0 and below 100; validation merges the maps of all
            scales. The model file stores them as the default for prediction.
        validation_tag_scales: those of the scales whose tags are used; null = all, or with `conventions` the one
            nearest to 1. The model file stores them.
        augment: random changes of training images, see `Augment`.
        reach: largest distance, in frames, of two frames that are compared, at least 1; for the task "tracking".
        normalize: values of images that become black and white: "auto", "percentiles", "none" or LOW:HIGH, see
            `Reading`; a source may state its own. The model file stores it.
    """

    sources: list[SourceConfig] = field(default_factory=list)
    skeleton: str = "coco-17"
    input_size: int = 256
    more_sizes: tuple[int, ...] = ()
    sigma: float = 2.0
    sigma_growth: float = 0.0
    workers: int = 1
    validation: list[SourceConfig] = field(default_factory=list)
    validation_images: int = 0
    validation_size: int = 256
    zoom: float = 0.0
    validation_scales: tuple[float, ...] = (1.0,)
    validation_tag_scales: tuple[float, ...] | None = None
    augment: Augment = field(default_factory=Augment)
    reach: int = 30
    normalize: str = AUTO

    def __post_init__(self) -> None:
        Reading(normalize=self.normalize)
        for name in ("sources", "validation"):
            own = [source.with_normalize(self.normalize) for source in getattr(self, name)]
            object.__setattr__(self, name, own)  # the dataclass is frozen for everybody else
        # 32 is the coarsest stride of most backbones; `build_stream` checks the larger multiple of the others.
        ranges: dict[str, Range] = {
            "reach": ONE_OR_MORE,
            "input_size": ("a multiple of 32 within 32..4096", is_side),
            "validation_size": ("within 32..4096", lambda v: 32 <= v <= 4096),
            "sigma": POSITIVE,
        }
        check(
            "data.",
            self,
            ranges | dict.fromkeys(("sigma_growth", "workers", "validation_images", "zoom"), NOT_NEGATIVE),
        )
        more = list(self.more_sizes)
        if not all(fits(side, int) and is_side(side) for side in more):
            raise ValueError(f"data.more_sizes must be multiples of 32 within 32..4096, not {more!r:.100}")
        if len({self.input_size, *more}) <= len(more):
            raise ValueError(
                f"data.more_sizes must differ from data.input_size, {self.input_size}, and from each other, "
                f"not {more!r:.100}"
            )
        if not self.validation_scales or not all(fits(s, float) and 0 < s < 100 for s in self.validation_scales):
            raise ValueError(f"data.validation_scales must be positive numbers, not {list(self.validation_scales)}")
        used = self.validation_tag_scales
        if used is not None and (not used or not set(used) <= set(self.validation_scales)):
            scales = list(self.validation_scales)
            raise ValueError(f"data.validation_tag_scales must be some of {scales}, not {list(used)}")


@dataclass(frozen=True)
class LossConfig:
    """The loss: heatmap_weight x heatmap loss + pull x pull loss + push x push loss.

    Attributes:
        heatmap: heatmap loss: "mse" (the paper's, section 3.3), "focal" (penalty-reduced, for keypoints, see
            `losses.focal_loss`) or "cross_entropy" (for masks).
        heatmap_weight: factor of the heatmap loss, at least 0.
        foreground: weight of the pixels of a keypoint or object in "mse" and "cross_entropy", above 0 (1 in the paper).
        tags: tag loss: "groups" compares the mean tags of groups (the paper's for poses, section 3.3), "pixels" all
            pairs of sampled pixels (the paper's for masks, section 3.4); null = "pixels" for the task "segmentation",
            else "groups".
        pull: factor of the pull loss, at least 0 (1e-3 in the paper).
        push: factor of the push loss, at least 0 (1e-3 in the paper).
        pull_warmup: number of steps in which the factor of pull rises from 0 to `pull`. Pull that outweighs push in the
            first steps makes all tags equal.
        push_sigma: standard deviation of the push kernel, in units of the tag, above 0. Tags three sigmas apart are
            hardly pushed any further.
        pull_reduction: "sum" of the pull of a person's keypoints (as printed in the paper) or their "mean" (as in
            published code). With tags: pixels it applies to push as well.
        official_push: push as in published code: N groups are not compared with themselves, and the sum is divided by
            2 N (N - 1) instead of N^2. Only with tags: groups.
        near: push only pixels closer than this, map pixels; 0 = all. Only with tags: pixels.
        push_kernel: how push depends on the distance of two tags: "exp", the Gaussian of the paper, or "max", the hinge
            max(0, 1 - distance) that HigherHRNet offers, which does not use `push_sigma`. Only with tags: groups.
    """

    # The defaults are the paper's losses and factors (sections 3.3 and 4.1).
    heatmap: Literal["mse", "focal", "cross_entropy"] = "mse"
    heatmap_weight: float = 1.0
    foreground: float = 1.0
    tags: Literal["groups", "pixels"] | None = None
    pull: float = 1e-3
    push: float = 1e-3
    pull_warmup: int = 0
    push_sigma: float = 1.0
    pull_reduction: Literal["sum", "mean"] = "sum"
    official_push: bool = False
    near: float = 0.0
    push_kernel: Literal["exp", "max"] = "exp"

    def __post_init__(self) -> None:
        factors = ("heatmap_weight", "pull", "push", "pull_warmup", "near")
        positive = dict.fromkeys(("foreground", "push_sigma"), POSITIVE)
        check("loss.", self, dict.fromkeys(factors, NOT_NEGATIVE) | positive)
        # A setting without an effect is refused: its run would be mistaken for one that had it.
        for name, default, other in (
            ("near", 0.0, "tags: groups"),
            ("official_push", False, "tags: pixels"),
            ("push_kernel", "exp", "tags: pixels"),
            ("push_sigma", 1.0, "push_kernel: max"),
            ("foreground", 1.0, "heatmap: focal"),
        ):
            key, value = other.split(": ")
            if getattr(self, name) != default and getattr(self, key) == value:
                raise ValueError(f"loss.{name} has no meaning with loss.{other}; leave one of them out")


@dataclass(frozen=True)
class TeacherConfig:
    """A model whose heatmaps the network learns beside the labels: another model, or the same one in several views.

    Attributes:
        model: name of a shipped model, path of a model file, or hf://owner/name; null = no teacher. It must find the
            same keypoint types or classes.
        weight: factor of its loss, above 0: the mean square error with `loss.heatmap` "mse", else
            `losses.distillation_loss`.
        input_size: side of its input, pixels; null = `data.input_size`.
        scales: factors of this size, whose heatmaps are merged; null = the model's.
        flip: it looks at the mirror image, too.
    """

    model: str | None = None
    weight: float = 1.0
    input_size: int | None = None
    scales: tuple[float, ...] | None = None
    flip: bool = False

    def __post_init__(self) -> None:
        check("teacher.", self, {"weight": POSITIVE})


@dataclass(frozen=True)
class TrainConfig:
    """Steps, learning rate and checkpoints.

    Attributes:
        steps: number of optimiser steps, at least 1.
        time: longest time of the run with its validations, such as 30m, 2h or 1h30m; "" = no limit. A run that cannot
            reach `steps` in it goes through its schedules faster, so that the learning rate has fallen when it ends.
            Sessions that continue a run share the budget.
        patience: validations without a better result after which the run ends; 0 = never. With it, the model file is
            the one of the best validation. What counts: AP, mAP50, dsb_map or OKS, by the task; it must be above 0.
        batch: samples per process in one batch, at least 1.
        accumulate: number of batches whose gradients are averaged in one step, at least 1: a larger batch in the memory
            of a small one. Batch norms that are not frozen still use the statistics of one batch.
        optimizer: "adam" or "adamw".
        lr: highest learning rate, above 0.
        lr_factors: beginning of parameter names -> factor on `lr`, at least 0, e.g. {encoder: 0.1}; the longest match
            counts.
        weight_decay: weight decay of "adamw", at least 0; "adam" has none. Biases and norms never decay.
        schedule: learning rate after the warm-up: "cosine" falls to `lr` x `lr_end`, "step" is multiplied by
            `drop_factor` at every step in `drops`, "constant" stays.
        drops: steps at which the schedule "step" lowers the learning rate.
        drop_factor: factor on the learning rate at each step in `drops`, 0 to 1.
        lr_end: last learning rate of the schedule "cosine", as a share of `lr`, 0 to 1.
        warmup: number of steps in which the learning rate rises linearly from 0.
        clip: highest norm of the gradient; a larger gradient is scaled down to it. 0 = no limit.
        ema: decay of the moving average of weights, at least 0 and below 1; validation and the model file use the
            average. 0 = no average. The decay starts low and rises to this value.
        seed: seed of fresh weights, and of the order and augmentation of samples.
        log_every: steps between two lines of the log; 0 = only at the end.
        save_every: steps between two checkpoints; 0 = only at the end.
        validate_every: steps between two validations, each with a checkpoint before it; 0 = only at the end.
        amp: mixed precision; has an effect only on a GPU.
        keep: number of numbered checkpoints to keep (state-00001000.pt ...) beside the last state.pt.
        device: where to train: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", ...
        tensorboard: write TensorBoard events too; needs the extra `tensorboard`.
    """

    steps: int = 1000
    time: str = ""
    patience: int = 0
    batch: int = 8
    accumulate: int = 1
    optimizer: Literal["adam", "adamw"] = "adamw"
    lr: float = 1e-3
    lr_factors: dict[str, float] = field(default_factory=dict)
    weight_decay: float = 1e-4
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    drops: tuple[int, ...] = ()
    drop_factor: float = 0.1
    lr_end: float = 0.01
    warmup: int = 100
    clip: float = 0.0
    ema: float = 0.0
    seed: int = 0
    log_every: int = 20
    save_every: int = 500
    validate_every: int = 0
    amp: bool = True
    keep: int = 0
    device: str = "auto"
    tensorboard: bool = False

    def __post_init__(self) -> None:
        counts = ("patience", "warmup", "seed", "log_every", "save_every", "validate_every", "keep")
        ranges = {"lr": POSITIVE, "ema": BELOW_ONE} | dict.fromkeys(("steps", "batch", "accumulate"), ONE_OR_MORE)
        ranges |= dict.fromkeys(("drop_factor", "lr_end"), SHARE)
        check("train.", self, ranges | dict.fromkeys((*counts, "weight_decay", "clip"), NOT_NEGATIVE))
        try:
            seconds_of(self.time)
        except ValueError as error:
            raise ValueError(f"train.time {error}") from None
        # `check` covers the dict, not its values. 0 is allowed: such parameters stay, but their batch norms do not.
        for prefix, factor in self.lr_factors.items():
            if not (fits(factor, float) and 0 <= factor < math.inf):
                raise ValueError(f"train.lr_factors: {prefix} must be a number of at least 0, not {factor}")
        if self.patience and not self.validate_every:
            raise ValueError("train.patience counts validations: set train.validate_every, too")


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Attributes:
        output: folder of the run: recipe, log, checkpoints and model. A run continues from the checkpoint in it.
        task: what the model finds: "pose" (all people of an image), "tracking" (as pose, with tags that stay the same
            from frame to frame of a video), "segmentation" (masks of objects) or "single-person" (the keypoints of one
            person in a crop, to refine the people that another model found).
        network: the network and its first weights, see `NetworkConfig`.
        data: the images to train on and to validate on, see `DataConfig`.
        loss: the loss, see `LossConfig`.
        teacher: a model whose heatmaps are learned beside the labels, see `TeacherConfig`.
        decode: how maps become people, for "pose" and "tracking", see `DecodeConfig`.
        link: how people become tracks, for "tracking", see `LinkConfig`.
        masks: what to learn, for "segmentation", see `MaskConfig`.
        mask_decode: how maps become objects, for "segmentation", see `MaskDecodeConfig`.
        refine: crops and when new keypoints replace old ones, for "single-person", see `RefineConfig`.
        conventions: rules of published code between an image and the maps to decode, for "pose", see `Conventions`;
            null = this project's. They have no effect on training images. The model file stores them.
        train: steps, learning rate and checkpoints, see `TrainConfig`.
    """

    output: str = "runs/run"
    task: Literal["pose", "segmentation", "single-person", "tracking"] = "pose"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    link: LinkConfig = field(default_factory=LinkConfig)
    masks: MaskConfig = field(default_factory=MaskConfig)
    mask_decode: MaskDecodeConfig = field(default_factory=MaskDecodeConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    conventions: Conventions | None = None
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check("", self, {})
        # A crop has one person and nothing to group; every other task groups by tags.
        if (self.network.tag_size == 0) != (self.task == "single-person"):
            needed = "must be 0" if self.task == "single-person" else "must be at least 1"
            raise ValueError(f"network.tag_size {needed} for the task {self.task}, not {self.network.tag_size}")
        labels = self.loss.heatmap_weight or (self.network.tag_size and (self.loss.pull or self.loss.push))
        if not labels and self.teacher.model is None:
            raise ValueError("loss.heatmap_weight, loss.pull and loss.push are 0: nothing would be learned")
        if self.conventions and self.task != "pose":
            raise ValueError(f"conventions are for the task pose, not {self.task}; leave them out")
        masks = self.task == "segmentation"
        if self.loss.tags is None:  # written into the run's own recipe, so that it states what was used
            tags: Literal["groups", "pixels"] = "pixels" if masks else "groups"
            object.__setattr__(self, "loss", replace(self.loss, tags=tags))
        idle, kind = (("sigma", "sigma_growth"), "keypoints") if masks else (("zoom",), "masks")
        for name in idle:
            if getattr(self.data, name) != getattr(DataConfig, name):
                raise ValueError(
                    f"data.{name} is for {kind}, so it has no effect with the task {self.task}; leave it out"
                )
