r"""The paper's losses. A network that is trained with them predicts where things are, and which belong together.

- Detection loss: heatmaps become Gaussians at the true places (section 3.3), `mse_loss`; alternatives follow it.
- Grouping loss $L_g$: *pull* makes the tags of one group equal, *push* makes the tags of different groups differ.
  No tag has a true value. `tag_loss` compares groups by their mean tags (poses and tracks, section 3.3),
  `pixel_tag_loss` compares pixels with each other (masks, section 3.4).

The paper does not number its equations; docstrings name the section. They use its letters: $h$ tag map, $n$
and $n'$ people or objects, $N$ their number, $k$ keypoint type, $x$ place,
$\bar h_n$ reference embedding, $S_n$ sampled pixels of object n, $\sigma$ `push_sigma`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from associative_embedding.structures.maps import TagSamples

Reduction = Literal["sum", "mean"]
Kernel = Literal["exp", "max"]


def mse_loss(heatmap: Tensor, target: Tensor, valid: Tensor, *, foreground: float = 1.0) -> Tensor:
    """Detection loss of the paper (section 3.3): masked mean square error, ``(B,)``.

    The divisor is C h w for any mask, as in all published code.

    Args:
        heatmap, target: ``(B, C, h, w)``.
        valid: ``(B, C, h, w)``, 1 where the loss counts.
        foreground: weight of a pixel with target 1; it falls linearly to 1 at target 0 (1 = the paper's).
    """
    weight = valid if foreground == 1.0 else valid * (1 + (foreground - 1) * target)
    return ((heatmap - target).square() * weight).mean(dim=(1, 2, 3))


def cross_entropy_loss(heatmap: Tensor, target: Tensor, valid: Tensor, *, foreground: float = 1.0) -> Tensor:
    """Binary cross entropy of probabilities with soft targets, averaged over C h w as in `mse_loss`, ``(B,)``.

    For networks that end in a sigmoid (`PyramidNetwork`).

    Args:
        heatmap, target: ``(B, C, h, w)`` in [0, 1].
        valid: ``(B, C, h, w)``, 1 where the loss counts.
        foreground: weight of a pixel with target 1; it falls linearly to 1 at target 0.
    """
    p = heatmap.clamp(1e-4, 1 - 1e-4)  # keeps logarithms finite; beyond, there is no gradient
    weight = valid if foreground == 1.0 else valid * (1 + (foreground - 1) * target)
    return -((target * p.log() + (1 - target) * (1 - p).log()) * weight).mean(dim=(1, 2, 3))


def focal_loss(
    heatmap: Tensor, target: Tensor, valid: Tensor, *, alpha: float = 8.0, beta: float = 4.0, gamma: float = 2.0
) -> Tensor:
    r"""Penalty-reduced focal loss for Gaussians whose centres lie between pixels, ``(B,)``.

    $$
    -\frac{\sum t^\alpha (1-p)^\gamma \log p + (1-t^\alpha) (1-t)^\beta p^\gamma \log(1-p)}{\max(1, \sum t^\alpha)}
    $$

    with p the heatmap and t the target. In CornerNet (Law and Deng, ECCV 2018, eq. 1) a pixel is positive only if its
    target is exactly 1, so keypoints must be rounded to pixels. Here a pixel is positive by the share ``t^alpha``. Near
    a keypoint a response costs little (``(1-t)^beta``), so a network that is unsure of the exact pixel can still be
    sure of the keypoint.

    Args:
        heatmap, target: ``(B, C, h, w)`` in [0, 1].
        valid: ``(B, C, h, w)``, 1 where the loss counts.
        alpha: exponent of the positives: the larger, the fewer pixels around a keypoint are positive.
        beta: exponent that reduces the cost of responses near a keypoint.
        gamma: exponent that reduces the cost of pixels that are nearly right.
    """
    p = heatmap.clamp(1e-4, 1 - 1e-4)  # in the logarithms only: the factors keep a gradient at 0 and 1
    share = target.pow(alpha)
    positive = share * (1 - heatmap).pow(gamma) * p.log()
    negative = (1 - share) * (1 - target).pow(beta) * heatmap.pow(gamma) * (1 - p).log()
    # Divided by the mass of the positives, so that the loss does not depend on the size of the map.
    return -((positive + negative) * valid).sum(dim=(1, 2, 3)) / (share * valid).sum(dim=(1, 2, 3)).clamp(min=1.0)


def distillation_loss(heatmap: Tensor, teacher: Tensor) -> Tensor:
    r"""Distance of a heatmap from a teacher's, ``(B,)``: what a network learns from another one's soft answers.

    $$
    \frac1C \sum (q - p)^2 \, (-q \log p - (1-q) \log(1-p))
    $$

    with p the heatmap and q the teacher's, the sum over pixels: the quality focal loss (Li et al., NeurIPS 2020,
    equation 3, beta 2). It is 0 where both are equal. The cross entropy alone would mostly teach the background, whose
    many small differences mean nothing.

    Args:
        heatmap, teacher: ``(B, C, h, w)`` in [0, 1].
    """
    p = heatmap.clamp(1e-4, 1 - 1e-4)  # in the logarithms only: the factor keeps a gradient at 0 and 1
    entropy = -(teacher * p.log() + (1 - teacher) * (1 - p).log())
    return ((teacher - heatmap).square() * entropy).sum(dim=(2, 3)).mean(dim=1)


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

    $$
    L_g(h, T) = \frac1N \sum_n \sum_k (\bar h_n - h_k(x_{nk}))^2
        + \frac1{N^2} \sum_n \sum_{n'} \exp\{-\frac1{2\sigma^2} (\bar h_n - \bar h_{n'})^2\}
    $$

    with the reference embedding $\bar h_n = \frac1K \sum_k h_k(x_{nk})$, the mean over the person's visible
    keypoints. The first sum is pull, the second push. The square of a difference of D-dimensional tags is the mean of
    the D squares, so that sigma and thresholds keep their meaning with any D. Images without groups have 0 for both.

    Args:
        tag: ``(B, C, D, h, w)`` h.
        samples: T, where to read tags, and their groups.
        push_sigma: sigma of the push kernel. Published code has ``2 sigma^2 = 1``: ``0.5 ** 0.5``.
        pull_reduction: "sum" over a group's samples as printed, or their "mean" as in published code.
        official_push: leave out the diagonal n = n', and divide by 2 N (N - 1), as in published code.
        push_kernel: "exp" as printed; or "max", HigherHRNet's other choice: max(0, 1 - |d|) of the difference d of two
            means, which no longer pushes means that are 1 apart, and has no sigma.
    """
    batch = tag.shape[0]
    count = len(samples.groups)
    if not count:
        zero = tag.sum(dim=(1, 2, 3, 4)) * 0  # keeps the graph, so that a batch without people still has a backward
        return zero, zero
    read, mean, size = _read(tag, samples)  # h_k(x_nk), bar h_n, K of each group
    groups_in = torch.bincount(samples.groups, minlength=batch)  # (B,) N of each image
    n = groups_in.to(tag.dtype)

    squares = (read - mean[samples.group]).square().mean(dim=1)  # (M,)
    pull = read.new_zeros(count).index_add(0, samples.group, squares)
    if pull_reduction == "mean":
        pull = pull / size
    pull = _sum_by_image(pull, samples.groups, batch) / n.clamp(min=1)

    squared, present = _pairs(mean, samples.groups, groups_in)  # (B, n, n)
    kernel = torch.exp(squared / (-2 * push_sigma**2)) if push_kernel == "exp" else _hinge(squared)
    total = (kernel * present).sum(dim=(1, 2))  # (B,) over all pairs, diagonal included
    # Each of the n diagonal pairs has the kernel 1.
    push = 0.5 * (total - n) / (n * (n - 1)).clamp(min=1) if official_push else total / n.square().clamp(min=1)
    return pull, push


def _read(tag: Tensor, samples: TagSamples) -> tuple[Tensor, Tensor, Tensor]:
    """The tags of the samples ``(M, D)``, the mean tag of each group ``(G, D)``, and its number of samples ``(G,)``."""
    count = len(samples.groups)
    read = tag[samples.batch, samples.channel, :, samples.y, samples.x]
    size = torch.bincount(samples.group, minlength=count).to(tag.dtype)
    mean = read.new_zeros(count, read.shape[1]).index_add(0, samples.group, read) / size[:, None]
    return read, mean, size


def _sum_by_image(value: Tensor, image: Tensor, batch: int) -> Tensor:
    return value.new_zeros(batch).index_add(0, image, value)


def _hinge(squared: Tensor) -> Tensor:
    """max(0, 1 - d) of squared distances d^2."""
    apart = squared > 0  # at 0 the square root has an infinite gradient; equal means get none
    return (1 - torch.where(apart, squared, 1.0).sqrt() * apart).clamp(min=0)


def _pairs(mean: Tensor, image: Tensor, groups_in: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances of all pairs of groups in each image ``(B, n, n)``, and which pairs are present (bool).

    n is the largest number of groups in one image; images with fewer are padded, so that one operation serves a batch.
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


def pixel_tag_loss(
    tag: Tensor,
    samples: TagSamples,
    *,
    push_sigma: float = 1.0,
    reduction: Reduction = "sum",
    near: float = 0.0,
) -> tuple[Tensor, Tensor]:
    r"""Grouping loss of the paper for instance segmentation (section 3.4), per image: pull ``(B,)`` and push ``(B,)``.

    $$
    L_g(h, T) = \sum_n \sum_{x \in S_n} \sum_{x' \in S_n} (h(x) - h(x'))^2
        + \sum_n \sum_{n' \neq n} \sum_{x \in S_n} \sum_{x' \in S_{n'}} \exp\{-\frac1{2\sigma^2}(h(x) - h(x'))^2\}
    $$

    Every sampled pixel is compared with every other one of its class (its channel). The paper prints the second sum
    over all n and n'; the terms n = n' would push an object's own pixels apart, so they are left out here. The square
    of a difference is the mean of the D squares, as in `tag_loss`.

    Args:
        tag: ``(B, C, D, h, w)`` h.
        samples: T, where to read tags, and their groups; all samples of a group lie in one channel.
        push_sigma: sigma of the push kernel.
        reduction: "sum" as printed. "mean": pull is the mean over objects of the mean over their pairs, push the mean
            over all pairs of pixels of different objects; neither grows with the number of objects.
        near: push only pixels closer than this, map pixels (0 = all, the paper's). A convolution covers a limited area,
            so dozens of similar objects cannot all have different tags, but neighbours can.
    """
    batch, count = tag.shape[0], len(samples.groups)
    if not count:
        zero = tag.sum(dim=(1, 2, 3, 4)) * 0
        return zero, zero
    read, mean, size = _read(tag, samples)  # h(x), mean over S_n, |S_n|
    squares = (read - mean[samples.group]).square().mean(dim=1)  # (M,)
    # The sum of (a - b)^2 over all ordered pairs of k numbers is 2 k times the sum of their squared deviations.
    pull = 2 * read.new_zeros(count).index_add(0, samples.group, squares)
    pull = pull / size if reduction == "mean" else pull * size
    pull = _sum_by_image(pull, samples.groups, batch)

    # Image by image: padded to the one with the most objects, all would need the square of its pixels.
    parts = [_push_pixels(read, samples, rows, push_sigma, near) for rows in _rows_by_image(samples.batch, batch)]
    push, pairs = (torch.stack(values) for values in zip(*parts, strict=True))
    if reduction == "mean":
        pull = pull / torch.bincount(samples.groups, minlength=batch).clamp(min=1)
        push = push / pairs.clamp(min=1)
    return pull, push


def _rows_by_image(image: Tensor, batch: int) -> tuple[Tensor, ...]:
    """The rows of each image's samples, B tensors ``(m,)``."""
    return torch.split(image.argsort(stable=True), torch.bincount(image, minlength=batch).tolist())


def _push_pixels(
    read: Tensor, samples: TagSamples, rows: Tensor, push_sigma: float, near: float
) -> tuple[Tensor, Tensor]:
    """Push of one image, summed over all ordered pairs of pixels of different objects of one class; and their number.

    Args:
        read: ``(M, D)`` the tags of all samples.
        rows: ``(m,)`` the samples of the image.
        push_sigma, near: see `pixel_tag_loss`.
    """
    tags, group, channel = read[rows], samples.group[rows], samples.channel[rows]
    apart = (group[:, None] != group) & (channel[:, None] == channel)  # (m, m)
    if not near:
        return (torch.exp(_squared_distance(tags) / (-2 * push_sigma**2)) * apart).sum(), apart.sum()
    y, x = samples.y[rows].int(), samples.x[rows].int()
    apart &= (y[:, None] - y).square() + (x[:, None] - x).square() < near**2
    # Few pairs are near: only they take part in the gradient. Each is counted in both orders.
    first, second = apart.triu().nonzero().T
    squared = (tags[first] - tags[second]).square().mean(dim=1)
    return 2 * torch.exp(squared / (-2 * push_sigma**2)).sum(), apart.sum()


def _squared_distance(tags: Tensor) -> Tensor:
    """Squared distances of all pairs of tags, ``(m, D)`` -> ``(m, m)``, means over D."""
    # By a matrix product, which needs no (m, m, D). Centred tags have smaller rounding errors.
    centred = tags - tags.detach().mean(dim=0, keepdim=True)
    norm = centred.square().sum(dim=1)
    return (norm[:, None] + norm - 2 * centred @ centred.T).clamp(min=0) / tags.shape[1]
