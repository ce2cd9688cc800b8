"""Two people found in place of one."""

from __future__ import annotations

import numpy as np

from associative_embedding.structures.arrays import Array


def distinct(keypoints: Array, score: Array, sigmas: Array, threshold: float) -> Array:
    """Rows to keep, best first: greedy suppression by OKS, measured on the keypoints that both people have.

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
    # a double has a keypoint so near that its own term of the OKS reaches the threshold: most pairs are far beyond that
    reach = np.sqrt(8 * np.square(sigmas).max() * np.log(1 / threshold) * area)
    a, b = _near(low - reach[:, None], high + reach[:, None])
    x, y, seen = (np.ascontiguousarray(part.T) for part in (*np.moveaxis(keypoints[:, :, :2], 2, 0), found))
    both = (seen[:, a] & seen[:, b]).astype(np.float32)  # (K, pairs): long rows, short sums
    squared = np.square((x[:, a] - x[:, b]).astype(np.float32)) + np.square((y[:, a] - y[:, b]).astype(np.float32))
    scale = -1 / (8 * np.square(sigmas)).astype(np.float32)[:, None] / np.maximum(area[a], area[b]).astype(np.float32)
    common = both.sum(axis=0)
    oks = (np.exp(squared * scale) * both).sum(axis=0) / np.maximum(1, common)
    # a person of which the other has less than half is not its double
    close = (oks >= threshold) & (common >= 0.5 * np.minimum(size[a], size[b]))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    keep = np.ones(len(order), bool)
    better, worse = np.sort([rank[a[close]], rank[b[close]]], axis=0)
    for i, j in sorted(zip(better.tolist(), worse.tolist(), strict=True)):
        keep[j] &= not keep[i]  # all that could drop i come before: it is settled
    return order[keep]


def _corners(keypoints: Array) -> tuple[Array, Array]:
    """``(G, 2)`` each, of the boxes around the found keypoints."""
    found = keypoints[:, :, 2:] > 0
    low = np.where(found, keypoints[:, :, :2], np.inf).min(axis=1)
    high = np.where(found, keypoints[:, :, :2], -np.inf).max(axis=1)
    return low, high


def _near(low: Array, high: Array) -> tuple[Array, Array]:
    """The pairs a < b of people whose boxes, of corners ``(G, 2)`` each, meet."""
    meet = ((low[:, None] <= high) & (low <= high[:, None])).all(axis=2)
    a, b = np.nonzero(np.triu(meet, 1))
    return a, b
