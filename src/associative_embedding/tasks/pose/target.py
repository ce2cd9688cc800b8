"""Pose annotation -> training target: Gaussians on heatmaps, a tag sample per visible keypoint (paper, section 3.3)."""

from __future__ import annotations

import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.targets import ImageTarget, mostly

CUT = 4.0  # sigmas from its centre at which a Gaussian ends; its value there is 3e-4


def encode_pose(sample: Sample, *, stride: int, sigma: float, sigma_growth: float = 0.0) -> ImageTarget:
    """Turns the keypoints of a sample into heatmaps and tag samples.

    Args:
        sample: in input pixels (augmented); its image is the network's input. A group is a person, or its track.
        stride: input pixels per map pixel.
        sigma: of the Gaussians, map pixels.
        sigma_growth: a person's sigma is this share of the square root of its area where that exceeds `sigma` (0 = one
            sigma for all, the paper's). The OKS metric accepts larger errors for larger people.
    """
    size = (sample.image.shape[0] // stride, sample.image.shape[1] // stride)
    xy = sample.keypoints[:, :, :2] / stride - 0.5  # map index coordinates
    visible = sample.keypoints[:, :, 2] > 0
    sigmas = np.maximum(sigma, sigma_growth * np.sqrt(sample.area) / stride)
    heatmap = draw_gaussians(xy, visible, size, sigmas)
    valid = np.broadcast_to(sample.labelled[:, None, None], heatmap.shape)
    if sample.ignore is not None:
        # Labelled keypoints count inside ignored regions too: a crowd's region can cover people who are labelled.
        valid = valid & (~mostly(sample.ignore, size) | (heatmap > 0.1))
    index = tag_index(xy, visible, size)
    if sample.track_id is not None:
        index[:, 3] = sample.track_id[index[:, 3]]
    return ImageTarget(heatmap, valid, index)


def draw_gaussians(xy: Array, visible: Array, size: tuple[int, int], sigmas: Array | float) -> Array:
    """Draws a Gaussian of peak 1 at the sub-pixel position of every visible keypoint, ``(K, h, w)`` float32.

    Overlapping Gaussians are merged by maximum, so that each keypoint keeps its own peak.

    Args:
        xy: ``(N, K, 2)`` map index coordinates.
        visible: ``(N, K)`` bool.
        sigmas: ``(N,)`` of each person, or one for all, map pixels.
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
        # A Gaussian is a product of two one-dimensional ones; pixels outside of the window are not read.
        gx = np.exp(-((np.arange(left, right, dtype=np.float32) - x) ** 2) / (2 * sigma**2))
        gy = np.exp(-((np.arange(top, bottom, dtype=np.float32) - y) ** 2) / (2 * sigma**2))
        window = heatmap[k, top:bottom, left:right]
        np.maximum(window, gy[:, None] * gx, out=window)
    return heatmap


def tag_index(xy: Array, visible: Array, size: tuple[int, int]) -> Array:
    """Returns the map pixel nearest to each visible keypoint, ``(M, 4)`` int64 channel, y, x, person.

    Keypoints outside of the map are left out: there is no tag to read.
    """
    person, channel = np.nonzero(visible)
    x, y = np.rint(xy[person, channel]).astype(np.int64).T
    inside = (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
    return np.asarray(np.stack([channel, y, x, person], axis=1)[inside])
