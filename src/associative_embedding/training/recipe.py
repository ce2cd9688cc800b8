"""Recipes: what a training run is, as frozen dataclasses that a YAML file or the command line fills in.

Only `build_*` functions and the trainer see a recipe; everything below them takes values. Of a recipe's sections those
in settings.py go on with the model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from associative_embedding.data.settings import Augment, SourceConfig
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
from associative_embedding.tasks.segmentation.settings import MaskDecodeConfig
from associative_embedding.tasks.single_person.settings import RefineConfig
from associative_embedding.tasks.tracking.settings import LinkConfig


@dataclass(frozen=True)
class MaskConfig:
    """What of a data set with masks is learned.

    Attributes:
        classes: names of the categories (empty = all of the first source).
        samples: pixels of each object whose tags are compared in a step, at most.
        object_size: smallest and largest square root of an object's area, input pixels, that is learned.
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
    """
    Attributes:
        backbone: a key of `models.zoo.BACKBONES`.
        tag_size: D, the tag dimension (0 = no tags, for a single person).
        options: keyword arguments of the backbone.
        start: weights to start from: a shipped model's name, a model file of this project, or a converted encoder.
            What it lacks starts anew.
        frozen: parameters whose names start with one of these are not trained; batch norms keep their statistics, too.
    """

    backbone: str = "mobilenet_v2"
    tag_size: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    start: str | None = None
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check("network.", self, {"tag_size": NOT_NEGATIVE})


@dataclass(frozen=True)
class DataConfig:
    """
    Attributes:
        sources: where samples come from.
        skeleton: a key of `skeleton.SKELETONS` or a COCO json whose category says it.
        input_size: side of the square training input, pixels.
        sigma: of the heatmap's Gaussians, map pixels.
        sigma_growth: people so large that this share of the square root of their area is more than `sigma` get that
            (0 = one sigma for all, the paper's).
        workers: loader processes (0 = in the training process).
        validation: COCO jsons, of which the `held_out` share is validated on (0 = all of it).
        validation_images: at most so many a source (0 = all).
        validation_size: long side of the network's input in validation and the model's default afterwards.
        zoom: input pixels per image pixel: images keep their scale, and large ones are seen in tiles of
            `validation_size` (0 = the whole image is fitted into that).
        validation_scales: of that size, over which is averaged, and the model's default afterwards.
        reach: of the task "tracking": frames of a video that are compared lie at most so many apart.
    """

    sources: list[SourceConfig] = field(default_factory=list)
    skeleton: str = "coco-17"
    input_size: int = 256
    sigma: float = 2.0
    sigma_growth: float = 0.0
    workers: int = 1
    validation: list[SourceConfig] = field(default_factory=list)
    validation_images: int = 0
    validation_size: int = 256
    zoom: float = 0.0
    validation_scales: tuple[float, ...] = (1.0,)
    augment: Augment = field(default_factory=Augment)
    reach: int = 30

    def __post_init__(self) -> None:
        ranges: dict[str, Range] = {
            "reach": ONE_OR_MORE,
            "input_size": ("a positive multiple of 32", lambda v: v > 0 and v % 32 == 0),
            "validation_size": ("within 32..4096", lambda v: 32 <= v <= 4096),
            "sigma": POSITIVE,
        }
        check(
            "data.",
            self,
            ranges | dict.fromkeys(("sigma_growth", "workers", "validation_images", "zoom"), NOT_NEGATIVE),
        )
        if not self.validation_scales or not all(fits(s, float) and 0 < s < 100 for s in self.validation_scales):
            raise ValueError(f"data.validation_scales must be positive numbers, not {list(self.validation_scales)}")


@dataclass(frozen=True)
class LossConfig:
    """
    Attributes:
        heatmap: "mse" (the paper's), "focal" (penalty-reduced, for keypoints, see `losses.focal_loss`) or
            "cross_entropy" (for masks).
        heatmap_weight: factor of the heatmap loss.
        foreground: weight of a keypoint's or object's pixels in the MSE or cross entropy (1 = the paper's).
        tags: "groups" compares the mean tags of groups (the paper's for poses, section 3.3), "pixels" every two sampled
            pixels (the paper's for masks, section 3.4).
        pull, push: factors of the two tag losses (the paper: 1e-3).
        pull_warmup: steps over which the pull factor rises from 0; pull that outweighs push early makes tags collapse.
        push_sigma: sigma of the push kernel.
        pull_reduction: pull summed over a person's keypoints (as printed) or averaged (as in published code); of
            "pixels", both terms are.
        official_push: published code's normalisation of push; of "groups" alone.
        near: push only pixels less than so many map pixels apart (0 = all); of "pixels" alone.
        push_kernel: "exp" (the paper's) or "max" (a hinge, HigherHRNet's other choice).
    """

    heatmap: Literal["mse", "focal", "cross_entropy"] = "mse"
    heatmap_weight: float = 1.0
    foreground: float = 1.0
    tags: Literal["groups", "pixels"] = "groups"
    pull: float = 1e-3
    push: float = 1e-3
    pull_warmup: int = 0
    push_sigma: float = 1.0
    pull_reduction: Literal["sum", "mean"] = "sum"
    official_push: bool = False
    near: float = 0.0
    push_kernel: Literal["exp", "max"] = "exp"

    def __post_init__(self) -> None:
        if (self.tags == "groups" and self.near) or (self.tags == "pixels" and self.official_push):
            raise ValueError(
                f"loss.{'near' if self.near else 'official_push'} has no meaning with loss.tags: {self.tags}"
            )
        factors = ("heatmap_weight", "foreground", "pull", "push", "pull_warmup", "near")
        check("loss.", self, dict.fromkeys(factors, NOT_NEGATIVE) | {"push_sigma": POSITIVE})


@dataclass(frozen=True)
class TrainConfig:
    """
    Attributes:
        steps: optimiser steps in all.
        batch: samples a step and process, or of each part of a step.
        accumulate: parts of a step: their gradients are averaged, which is a batch so many times as large in the memory
            of one. Batch norms that are not frozen still see the samples of a part.
        optimizer: "adam" or "adamw".
        lr: highest learning rate.
        lr_factors: parameter-name prefix -> factor on `lr` (the longest matching prefix counts).
        weight_decay: of AdamW; plain Adam has none.
        schedule: "cosine" to `lr * lr_end`, or "step": times `drop_factor` at every step in `drops`, or "constant".
        drops, drop_factor: for "step".
        lr_end: last learning rate of "cosine", as a share.
        warmup: steps of linear rise.
        clip: highest gradient norm (0 = none).
        ema: decay of the moving average of weights (0 = none); it rises to this with the steps.
        seed: of weights and data.
        log_every, save_every, validate_every: steps (0 = only at the end).
        amp: mixed precision on a GPU.
        keep: numbered checkpoints to keep besides the last.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        tensorboard: also write TensorBoard events (extra `tensorboard`).
    """

    steps: int = 1000
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
        counts = ("warmup", "seed", "log_every", "save_every", "validate_every", "keep")
        ranges = {"lr": POSITIVE, "ema": BELOW_ONE} | dict.fromkeys(("steps", "batch", "accumulate"), ONE_OR_MORE)
        ranges |= dict.fromkeys(("drop_factor", "lr_end"), SHARE)
        check("train.", self, ranges | dict.fromkeys((*counts, "weight_decay", "clip"), NOT_NEGATIVE))
        for prefix, factor in self.lr_factors.items():
            if not (fits(factor, float) and 0 <= factor < math.inf):
                raise ValueError(f"train.lr_factors: {prefix} must be a number of at least 0, not {factor}")


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Attributes:
        output: its folder.
        task: "pose" (everybody in an image), "single-person" (the one that a crop shows, to refine what was found),
            "segmentation", or "tracking" (as pose, of videos: everybody keeps their tag).
        decode: settings of a "pose" or "tracking" model.
        link: of a "tracking" model.
        masks, mask_decode: of a "segmentation" model.
        refine: settings of a "single-person" model.
    """

    output: str = "runs/run"
    task: Literal["pose", "segmentation", "single-person", "tracking"] = "pose"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    link: LinkConfig = field(default_factory=LinkConfig)
    masks: MaskConfig = field(default_factory=MaskConfig)
    mask_decode: MaskDecodeConfig = field(default_factory=MaskDecodeConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check("", self, {})
        if (self.network.tag_size == 0) != (self.task == "single-person"):
            needed = "must be 0" if self.task == "single-person" else "must be at least 1"
            raise ValueError(f"network.tag_size {needed} for the task {self.task}, not {self.network.tag_size}")
