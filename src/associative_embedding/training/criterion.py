"""Outputs and targets -> the loss of a step. `LossConfig` selects the loss functions of losses.py."""

from __future__ import annotations

import torch
from torch import Tensor

from associative_embedding.losses import cross_entropy_loss, focal_loss, mse_loss, pixel_tag_loss, tag_loss
from associative_embedding.structures.maps import Maps, Target
from associative_embedding.training.recipe import LossConfig


def criterion(
    outputs: list[Maps], targets: list[Target], config: LossConfig, step: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Returns the weighted sum of heatmap, pull and push loss (paper, sections 3.3 and 4.1).

    Each term is the mean over the batch and over the outputs that have it.

    Args:
        outputs: maps of every supervised output, in single precision.
        targets: one target for each size of the outputs' maps.
        config: which losses, and their factors.
        step: of the schedules, from 0, for the warm-up of pull.

    Returns:
        The scalar to minimise, and the three terms without their factors ("heatmap", "pull", "push").
    """
    of_size = {target.heatmap.shape[-2:]: target for target in targets}
    values: dict[str, list[Tensor]] = {"heatmap": [], "pull": [], "push": []}
    for maps in outputs:
        target = of_size[maps.heatmap.shape[-2:]]
        values["heatmap"].append(heatmap_loss(maps.heatmap, target, config).mean())
        if maps.tag.shape[2]:  # D > 0: HigherHRNet's fine output has heatmaps only
            pull, push = grouping_loss(maps.tag, target, config)
            values["pull"].append(pull.mean())
            values["push"].append(push.mean())
    zero = torch.zeros((), device=outputs[0].heatmap.device)  # pull and push of a network without tags
    terms = {name: torch.stack(losses).mean() if losses else zero for name, losses in values.items()}
    # Tags start nearly equal, where pull is easy to lower: at full weight it would make them collapse to one value.
    warmth = min(1.0, step / config.pull_warmup) if config.pull_warmup else 1.0
    pull_factor = config.pull * warmth
    total = config.heatmap_weight * terms["heatmap"] + pull_factor * terms["pull"] + config.push * terms["push"]
    return total, terms


def heatmap_loss(heatmap: Tensor, target: Target, config: LossConfig) -> Tensor:
    """Returns the heatmap loss that the recipe selects, ``(B,)``."""
    if config.heatmap == "focal":
        return focal_loss(heatmap, target.heatmap, target.valid)
    loss = {"mse": mse_loss, "cross_entropy": cross_entropy_loss}[config.heatmap]
    return loss(heatmap, target.heatmap, target.valid, foreground=config.foreground)


def grouping_loss(tag: Tensor, target: Target, config: LossConfig) -> tuple[Tensor, Tensor]:
    """Returns pull and push of the tag loss that the recipe selects, ``(B,)`` each."""
    if config.tags == "pixels":
        return pixel_tag_loss(
            tag, target.samples, push_sigma=config.push_sigma, reduction=config.pull_reduction, near=config.near
        )
    return tag_loss(
        tag,
        target.samples,
        push_sigma=config.push_sigma,
        pull_reduction=config.pull_reduction,
        official_push=config.official_push,
        push_kernel=config.push_kernel,
    )
