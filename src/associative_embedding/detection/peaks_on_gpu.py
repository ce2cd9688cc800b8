"""The search for peaks in PyTorch, on the device of the maps: few large steps, and one transfer to the CPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from associative_embedding.detection.peak_table import LEAST, top_of_parabola, unflatten
from associative_embedding.structures.arrays import Array


@torch.no_grad()
def find_peaks(heatmap: Tensor, tag: Tensor, candidates: Tensor, window: int) -> Array | None:
    """Returns the table of peaks ``(P, 6 + D)`` float64, or None for maps with NaN or infinity.

    Args:
        heatmap: ``(C, h, w)``.
        tag: ``(C, D, h, w)``.
        candidates: ``(C, h, w)`` bool, the pixels that may be peaks.
        window: side of the maximum filter, odd.
    """
    is_peak = candidates & (heatmap == window_maximum(heatmap, window))
    place = is_peak.flatten().nonzero()[:, 0]
    channel, y, x = unflatten(place, heatmap.shape)
    pixel = torch.stack([channel, y, x], dim=1).float()  # exact: all below 2^24
    score, xy = heatmap[channel, y, x, None].float(), subpixel(heatmap, place, y, x)
    table = torch.cat([pixel, score, xy, tag[channel, :, y, x].float()], dim=1)
    # One more row holds the sum of the maps: every transfer waits for the device, so there is only one. In single
    # precision finite values may add up to infinity.
    total = heatmap.sum(dtype=torch.float64) + tag.sum(dtype=torch.float64)
    rows = torch.cat([table.double(), total.expand(1, table.shape[1])]).cpu().numpy()
    return rows[:-1] if np.isfinite(rows[-1, 0]) else None


@torch.no_grad()
def highest(heatmap: Tensor) -> Array | None:
    """Returns the sub-pixel x, y and the value of the highest pixel of every map, ``(P, 3)`` float64.

    Args:
        heatmap: ``(P, h, w)``; with NaN or infinity the result is None.
    """
    count, height, width = heatmap.shape
    value, pixel = heatmap.flatten(1).max(dim=1)
    place = torch.arange(count, device=heatmap.device) * (height * width) + pixel
    rows = torch.cat([subpixel(heatmap, place, pixel // width, pixel % width), value[:, None].float()], dim=1)
    finite = bool(torch.isfinite(heatmap.sum(dtype=torch.float64)))  # in single precision finite values may overflow
    return rows.double().cpu().numpy() if finite else None


def window_maximum(heatmap: Tensor, window: int) -> Tensor:
    """Returns the highest value of the odd square window around each pixel, ``(C, h, w)``; only the map counts.

    Columns, then rows, by shifted views (`max_pool2d` takes many times as long).
    """
    height, width = heatmap.shape[-2:]
    reach = window // 2
    padded = F.pad(heatmap, (reach, reach, reach, reach), value=-torch.inf)
    for dim, size in ((-1, width), (-2, height)):
        highest = padded.narrow(dim, 0, size).clone()
        for shift in range(1, window):
            torch.maximum(highest, padded.narrow(dim, shift, size), out=highest)
        padded = highest
    return padded


def subpixel(heatmap: Tensor, place: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Returns where peaks lie between pixels, ``(P, 2)`` float32 x, y; see `top_of_parabola`.

    A map with a side under 3 pixels has no parabola along that side, and the position stays the pixel's.

    Args:
        heatmap: ``(C, h, w)``.
        place, y, x: ``(P,)`` int64 flat index, row and column of each peak.
    """
    height, width = heatmap.shape[-2:]
    at = torch.stack([x, y], dim=1)
    size, step = at.new_tensor([width, height]), at.new_tensor([1, width])
    middle = torch.minimum(at.clamp(min=1), (size - 2).clamp(min=1))
    shift = middle - at
    centre = place[:, None] + shift * step
    index = centre[:, :, None] + step[:, None] * at.new_tensor([-1, 0, 1])  # (P, 2, 3)
    value = heatmap.reshape(-1)[index.clamp(0, heatmap.numel() - 1)].float().clamp(min=LEAST).log()
    low, mid, high = value.unbind(dim=2)
    between: Tensor = at + top_of_parabola(low, mid, high, shift) * (size > 2)
    return between
