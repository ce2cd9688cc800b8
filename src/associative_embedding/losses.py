"""The paper's two losses: one for detection (heatmaps), one for grouping (tags). Nothing here knows of a task."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from associative_embedding.types import TagSamples

Reduction = Literal["sum", "mean"]
Kernel = Literal["exp", "max"]


def mse_loss(heatmap: Tensor, target: Tensor, valid: Tensor, *, foreground: float = 1.0) -> Tensor:
    """Detection loss of the paper (section 3.3): masked mean square error, ``(B,)``.

    The divisor is C h w whatever the mask holds, as in all published code.

    Args:
        heatmap, target: ``(B, C, h, w)``.
        valid: ``(B, C, h, w)``, 1 where it counts.
        foreground: weight of a pixel whose target is 1; it falls to 1 with the target (1 = the paper's).
    """
    weight = valid if foreground == 1.0 else valid * (1 + (foreground - 1) * target)
    return ((heatmap - target).square() * weight).mean(dim=(1, 2, 3))


def focal_loss(
    heatmap: Tensor, target: Tensor, valid: Tensor, *, alpha: float = 8.0, beta: float = 4.0, gamma: float = 2.0
) -> Tensor:
    r"""Penalty-reduced focal loss for Gaussians whose centres lie between pixels, ``(B,)``.

    .. math:: -\sum t^\alpha (1-p)^\gamma \log p + (1-t^\alpha) (1-t)^\beta p^\gamma \log(1-p)

    In CornerNet (Law and Deng, ECCV 2018, eq. 1) a pixel is positive only if its target is exactly 1, so keypoints must
    be rounded to pixels; here it is positive by the share ``t^alpha``. Near a keypoint a response is hardly punished
    (``(1-t)^beta``), so a network that is not sure of the last pixel may still be sure of the keypoint. The divisor is
    the mass of the positives (at least 1), so that it does not depend on the map's size.

    Args:
        heatmap, target: ``(B, C, h, w)`` in [0, 1].
        valid: ``(B, C, h, w)``, 1 where it counts.
        alpha: sharpness of the positives.
        beta: how far a Gaussian protects its surroundings.
        gamma: how little a pixel that is nearly right counts.
    """
    p = heatmap.clamp(1e-4, 1 - 1e-4)  # in the logarithms only: the weights keep a gradient at 0 and 1
    share = target.pow(alpha)
    positive = share * (1 - heatmap).pow(gamma) * p.log()
    negative = (1 - share) * (1 - target).pow(beta) * heatmap.pow(gamma) * (1 - p).log()
    return -((positive + negative) * valid).sum(dim=(1, 2, 3)) / (share * valid).sum(dim=(1, 2, 3)).clamp(min=1.0)


def tag_loss(
    tag: Tensor,
    samples: TagSamples,
    *,
    push_sigma: float = 1.0,
    pull_reduction: Reduction = "sum",
    official_push: bool = False,
    push_kernel: Kernel = "exp",
) -> tuple[Tensor, Tensor]:
    r"""Grouping loss of the paper (section 3.3), per image: pull ``(B,)`` and push ``(B,)``.

    .. math::
        L_g = \frac1N \sum_n \sum_k (\bar h_n - h_k(x_{nk}))^2
            + \frac1{N^2} \sum_n \sum_{n'} \exp\{-\frac1{2\sigma^2} (\bar h_n - \bar h_{n'})^2\}

    with the reference embedding :math:`\bar h_n` the mean over the person's keypoints. The square of a difference of
    D-dimensional tags is the mean of the D squares (so that sigma and thresholds keep their meaning with any D).
    Images without groups have both terms 0.

    Args:
        tag: ``(B, C, D, h, w)``.
        samples: where to read tags, and their groups.
        push_sigma: sigma of the push kernel. Published code has ``2 sigma^2 = 1``: ``0.5 ** 0.5``.
        pull_reduction: ``sum`` over a group's samples as printed, or their ``mean`` as in published code.
        official_push: leave out the diagonal, divide by 2 N (N - 1), as in published code.
        push_kernel: "exp" as above, or "max": max(0, 1 - |d|) of two means' difference d, HigherHRNet's other choice,
            which no longer pushes tags that are 1 apart (and knows no sigma).
    """
    batch = tag.shape[0]
    count = len(samples.groups)
    if not count:
        zero = tag.sum(dim=(1, 2, 3, 4)) * 0  # keeps the graph, so that a batch without people still has a backward
        return zero, zero
    read = tag[samples.batch, samples.channel, :, samples.y, samples.x]  # (M, D)
    size = torch.bincount(samples.group, minlength=count).to(tag.dtype)  # (G,)
    mean = read.new_zeros(count, read.shape[1]).index_add(0, samples.group, read) / size[:, None]  # (G, D)
    groups_in = torch.bincount(samples.groups, minlength=batch)  # (B,) N of each image
    n = groups_in.to(tag.dtype)

    spread = (read - mean[samples.group]).square().mean(dim=1)  # (M,)
    pull = read.new_zeros(count).index_add(0, samples.group, spread)
    if pull_reduction == "mean":
        pull = pull / size
    pull = _sum_by_image(pull, samples.groups, batch) / n.clamp(min=1)

    squared, both = _pairs(mean, samples.groups, groups_in)  # (B, n, n)
    near = torch.exp(squared / (-2 * push_sigma**2)) if push_kernel == "exp" else _hinge(squared)
    kernel = (near * both).sum(dim=(1, 2))  # (B,) over all pairs, diagonal included
    push = 0.5 * (kernel - n) / (n * (n - 1)).clamp(min=1) if official_push else kernel / n.square().clamp(min=1)
    return pull, push


def _sum_by_image(value: Tensor, image: Tensor, batch: int) -> Tensor:
    return value.new_zeros(batch).index_add(0, image, value)


def _hinge(squared: Tensor) -> Tensor:
    """max(0, 1 - d) of squared distances; without a gradient at 0, where the square root has none that is finite."""
    apart = squared > 0
    return (1 - torch.where(apart, squared, 1.0).sqrt() * apart).clamp(min=0)


def _pairs(mean: Tensor, image: Tensor, groups_in: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances of all pairs of groups of each image ``(B, n, n)``, and which of them there are (bool).

    Padded to n, the most groups of an image.
    """
    start = groups_in.cumsum(0) - groups_in
    order = image.argsort(stable=True)
    rank = torch.arange(len(image), device=image.device) - start[image[order]]
    width = int(groups_in.max())
    padded = mean.new_zeros(len(groups_in), width, mean.shape[1])
    padded = padded.index_put((image[order], rank), mean[order])
    present = torch.arange(width, device=image.device) < groups_in[:, None]  # (B, n)
    squared = (padded[:, :, None] - padded[:, None]).square().mean(dim=-1)  # (B, n, n)
    return squared, present[:, :, None] & present[:, None]
