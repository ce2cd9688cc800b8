"""The search for peaks as loops over pixels, in double precision: what every search of the package must find."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from associative_embedding.structures.arrays import Array

SIZES = st.tuples(st.integers(1, 4), st.integers(1, 14), st.integers(1, 14))
KINDS = st.sampled_from(["noise", "sparse", "ties", "half"])


def random_maps(size: tuple[int, int, int], kind: str, dimension: int, seed: int) -> tuple[Tensor, Tensor]:
    """Heatmap ``(C, h, w)`` and tag ``(C, D, h, w)``: noise (crowded), a few peaks (sparse), ties, half precision."""
    generator = torch.Generator().manual_seed(seed)
    heatmap = torch.rand(size, generator=generator)
    if kind == "sparse":
        heatmap = heatmap * (torch.rand(size, generator=generator) > 0.97)
    if kind == "ties":
        heatmap = (heatmap * 4).round() / 4
    tag = torch.randn(size[0], dimension, *size[1:], generator=generator)
    return (heatmap.half(), tag.half()) if kind == "half" else (heatmap, tag)


def peak_rows(heatmap: Array, tag: Array, threshold: float, window: int) -> Array:
    """The table of peaks: a row of channel, y, x, score, sub-pixel x and y, and tag, pixel after pixel."""
    reach = window // 2
    rows = []
    for c, y, x in np.ndindex(*heatmap.shape):
        around = heatmap[c, max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        if heatmap[c, y, x] >= threshold and heatmap[c, y, x] == around.max():
            rows.append([c, y, x, heatmap[c, y, x], *between_pixels(heatmap[c], y, x), *tag[c, :, y, x]])
    return np.array(rows, np.float64).reshape(-1, 6 + tag.shape[1])


def between_pixels(channel: Array, y: int, x: int) -> tuple[float, float]:
    """The x, y of a peak of one channel ``(h, w)``, by a parabola along its row and one along its column."""
    return x + top(channel[y].tolist(), x), y + top(channel[:, x].tolist(), y)


def top(line: list[float], place: int) -> float:
    """How far the top of the parabola through three logarithms around a place lies from it."""
    if len(line) < 3:
        return 0.0
    middle = min(max(place, 1), len(line) - 2)
    low, mid, high = (math.log(max(line[middle + shift], 1e-6)) for shift in (-1, 0, 1))
    curvature = 2 * mid - low - high
    if curvature <= 1e-6:
        return 0.0
    return min(max(middle - place + (high - low) / (2 * curvature), -0.5), 0.5)
