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
    person, channel = np.nonzero(visible)
    x, y = xy[person, channel].T
    sigma = np.broadcast_to(sigmas, (len(xy),))[person]
    # A Gaussian is a product of two one-dimensional ones; pixels outside of its window are not read.
    (gx, left, right), (gy, top, bottom) = profiles(x, sigma, width), profiles(y, sigma, height)
    for i in np.flatnonzero((left < right) & (top < bottom)):
        window = heatmap[channel[i], top[i] : bottom[i], left[i] : right[i]]
        np.maximum(window, gy[i, top[i] : bottom[i], None] * gx[i, left[i] : right[i]], out=window)
    return heatmap


def profiles(centre: Array, sigma: Array, length: int) -> tuple[Array, Array, Array]:
    """Returns one-dimensional Gaussians ``(M, length)`` float32, and the first and the end of each one's pixels.

    Args:
        centre, sigma: ``(M,)``, in pixels.
    """
    apart = np.arange(length, dtype=np.float32) - centre.astype(np.float32)[:, None]
    values = np.exp(-(apart**2) / (2 * sigma**2).astype(np.float32)[:, None])
    first, last = np.ceil(centre - CUT * sigma), np.floor(centre + CUT * sigma)
    # clipped before they become whole numbers, which very far places do not fit into
    return values, np.clip(first, 0, length).astype(np.int64), np.clip(last + 1, 0, length).astype(np.int64)


def tag_index(xy: Array, visible: Array, size: tuple[int, int]) -> Array:
    """Returns the map pixel nearest to each visible keypoint, ``(M, 4)`` int64 channel, y, x, person.

    Keypoints outside of the map are left out: there is no tag to read.
    """
    person, channel = np.nonzero(visible)
    x, y = np.rint(xy[person, channel]).astype(np.int64).T
    inside = (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
    return np.asarray(np.stack([channel, y, x, person], axis=1)[inside])
