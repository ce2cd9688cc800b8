"""Pose annotation -> training target: Gaussians on heatmaps, one tag sample a visible keypoint (paper, section 3.3)."""

from __future__ import annotations

import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.targets import ImageTarget, mostly

CUT = 4.0  # Gaussians are drawn out to so many sigma, where they are 3e-4


def encode_pose(sample: Sample, *, stride: int, sigma: float, sigma_growth: float = 0.0) -> ImageTarget:
    """
    Args:
        sample: in input pixels (augmented); its image is the network's input. Its groups are people, or their tracks.
        stride: input pixels per map pixel.
        sigma: of the Gaussians, in map pixels.
        sigma_growth: large people get wider Gaussians, as OKS asks less precision of them: this share of the square
            root of their area where that is more than `sigma` (0 = one sigma for all, the paper's).
    """
    size = (sample.image.shape[0] // stride, sample.image.shape[1] // stride)
    xy = sample.keypoints[:, :, :2] / stride - 0.5  # map index coordinates
    visible = sample.keypoints[:, :, 2] > 0
    sigmas = np.maximum(sigma, sigma_growth * np.sqrt(sample.area) / stride)
    heatmap = draw_gaussians(xy, visible, size, sigmas)
    valid = np.broadcast_to(sample.labelled[:, None, None], heatmap.shape)
    if sample.ignore is not None:
        # a labelled keypoint is taught even where it lies inside an ignored region
        valid = valid & (~mostly(sample.ignore, size) | (heatmap > 0.1))
    index = tag_index(xy, visible, size)
    if sample.track_id is not None:
        index[:, 3] = sample.track_id[index[:, 3]]
    return ImageTarget(heatmap, valid, index)


def draw_gaussians(xy: Array, visible: Array, size: tuple[int, int], sigmas: Array | float) -> Array:
    """``(K, h, w)`` float32: a Gaussian of peak 1 at every visible keypoint's sub-pixel position, merged by maximum.

    Args:
        xy: ``(N, K, 2)`` map index coordinates.
        visible: ``(N, K)`` bool.
        sigmas: ``(N,)`` of each person, or one for all; map pixels.
    """
    height, width = size
    heatmap = np.zeros((xy.shape[1], height, width), np.float32)
    widths = np.broadcast_to(sigmas, (len(xy),))
    for n, k in zip(*np.nonzero(visible), strict=True):
        sigma = float(widths[n])
        reach = CUT * sigma
        x, y = float(xy[n, k, 0]), float(xy[n, k, 1])
        left, right = max(0, int(np.ceil(x - reach))), min(width, int(np.floor(x + reach)) + 1)
        top, bottom = max(0, int(np.ceil(y - reach))), min(height, int(np.floor(y + reach)) + 1)
        if left >= right or top >= bottom:
            continue
        gx = np.exp(-((np.arange(left, right, dtype=np.float32) - x) ** 2) / (2 * sigma**2))
        gy = np.exp(-((np.arange(top, bottom, dtype=np.float32) - y) ** 2) / (2 * sigma**2))
        window = heatmap[k, top:bottom, left:right]
        np.maximum(window, gy[:, None] * gx, out=window)
    return heatmap


def tag_index(xy: Array, visible: Array, size: tuple[int, int]) -> Array:
    """``(M, 4)`` int64 channel, y, x, person: the pixels nearest to the visible keypoints that lie on the map."""
    person, channel = np.nonzero(visible)
    x, y = np.rint(xy[person, channel]).astype(np.int64).T
    inside = (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
    return np.asarray(np.stack([channel, y, x, person], axis=1)[inside])
