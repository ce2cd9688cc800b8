"""Outputs and targets -> the loss that a step minimises."""

from __future__ import annotations

import torch
from torch import Tensor

from associative_embedding.losses import cross_entropy_loss, focal_loss, mse_loss, pixel_tag_loss, tag_loss
from associative_embedding.structures.maps import Maps, Target
from associative_embedding.training.recipe import LossConfig


def criterion(
    outputs: list[Maps], targets: list[Target], config: LossConfig, step: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Heatmap loss + tag loss, each averaged over the outputs that have it and the batch (paper, sections 3.3 and 4.1).

    Args:
        targets: one for each size of the outputs' maps.

    Returns:
        the scalar to minimise, and its unweighted terms.
    """
    of_size = {target.heatmap.shape[-2:]: target for target in targets}
    values: dict[str, list[Tensor]] = {"heatmap": [], "pull": [], "push": []}
    for maps in outputs:
        target = of_size[maps.heatmap.shape[-2:]]
        values["heatmap"].append(heatmap_loss(maps.heatmap, target, config).mean())
        if maps.tag.shape[2]:
            pull, push = grouping_loss(maps.tag, target, config)
            values["pull"].append(pull.mean())
            values["push"].append(push.mean())
    nothing = torch.zeros((), device=outputs[0].heatmap.device)  # of a network without tags
    terms = {name: torch.stack(losses).mean() if losses else nothing for name, losses in values.items()}
    warm = min(1.0, step / config.pull_warmup) if config.pull_warmup else 1.0
    total = config.heatmap_weight * terms["heatmap"] + config.pull * warm * terms["pull"] + config.push * terms["push"]
    return total, terms


def heatmap_loss(heatmap: Tensor, target: Target, config: LossConfig) -> Tensor:
    """The detection loss that a recipe chose, ``(B,)``."""
    if config.heatmap == "focal":
        return focal_loss(heatmap, target.heatmap, target.valid)
    loss = {"mse": mse_loss, "cross_entropy": cross_entropy_loss}[config.heatmap]
    return loss(heatmap, target.heatmap, target.valid, foreground=config.foreground)


def grouping_loss(tag: Tensor, target: Target, config: LossConfig) -> tuple[Tensor, Tensor]:
    """Pull and push of the tag loss that a recipe chose, ``(B,)`` each."""
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
