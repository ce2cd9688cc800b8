"""Removes duplicates: two people found in place of one."""

from __future__ import annotations

import numpy as np

from associative_embedding.structures.arrays import Array


def distinct(keypoints: Array, score: Array, sigmas: Array, threshold: float) -> Array:
    """Returns the rows to keep, best first: greedy suppression by OKS over the keypoints that both people have.

    Args:
        keypoints: ``(G, K, 3)`` x, y in image pixels, score (0 = missing).
        score: ``(G,)``.
        sigmas: ``(K,)`` of the OKS.
        threshold: OKS from which the weaker of two people is dropped (1 = keep all).
    """
    order = np.argsort(-score, kind="stable")
    if threshold >= 1 or len(order) < 2:
        return order
    found = keypoints[:, :, 2] > 0
    low, high = _corners(keypoints)
    area = np.maximum(1.0, (high - low).prod(axis=1))
    size = found.sum(axis=1)
    # A mean reaches the threshold only if one of its terms does: duplicates have a keypoint within this distance. Most
    # pairs of people are farther apart, and their OKS is never computed.
    reach = np.sqrt(8 * np.square(sigmas).max() * np.log(1 / threshold) * area)
    a, b = _near(low - reach[:, None], high + reach[:, None])
    x, y, present = (np.ascontiguousarray(part.T) for part in (*np.moveaxis(keypoints[:, :, :2], 2, 0), found))
    both = (present[:, a] & present[:, b]).astype(np.float32)  # (K, pairs): numpy is faster along long rows
    squared = np.square((x[:, a] - x[:, b]).astype(np.float32)) + np.square((y[:, a] - y[:, b]).astype(np.float32))
    scale = -1 / (8 * np.square(sigmas)).astype(np.float32)[:, None] / np.maximum(area[a], area[b]).astype(np.float32)
    common = both.sum(axis=0)
    oks = (np.exp(squared * scale) * both).sum(axis=0) / np.maximum(1, common)
    # An OKS over a few common keypoints is not enough: half of the smaller person's keypoints must be common.
    close = (oks >= threshold) & (common >= 0.5 * np.minimum(size[a], size[b]))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    keep = np.ones(len(order), bool)
    better, worse = np.sort([rank[a[close]], rank[b[close]]], axis=0)
    for i, j in sorted(zip(better.tolist(), worse.tolist(), strict=True)):
        keep[j] &= not keep[i]  # sorted by i: every pair that can drop i has been visited
    return order[keep]


def _corners(keypoints: Array) -> tuple[Array, Array]:
    """The lower and upper corners ``(G, 2)`` of the boxes around the found keypoints."""
    found = keypoints[:, :, 2:] > 0
    low = np.where(found, keypoints[:, :, :2], np.inf).min(axis=1)
    high = np.where(found, keypoints[:, :, :2], -np.inf).max(axis=1)
    return low, high


def _near(low: Array, high: Array) -> tuple[Array, Array]:
    """The pairs a < b of people whose boxes overlap; corners ``(G, 2)``."""
    meet = ((low[:, None] <= high) & (low <= high[:, None])).all(axis=2)
    a, b = np.nonzero(np.triu(meet, 1))
    return a, b
