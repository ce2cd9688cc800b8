"""Peaks by PyTorch, on the device where the maps are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from associative_embedding.structures.arrays import Array


def device_table(heatmap: Tensor, tag: Tensor, threshold: float, nms: int) -> Array | None:
    """The same on any device, with one transfer to the host."""
    is_peak = (heatmap >= threshold) & (heatmap == window_maximum(heatmap, nms))
    channel, y, x = unflatten(is_peak.flatten().nonzero()[:, 0], heatmap.shape)
    place = torch.stack([channel, y, x], dim=1).float()  # exact: all below 2^24
    score, xy = heatmap[channel, y, x, None].float(), subpixel(heatmap, channel, y, x)
    table = torch.cat([place, score, xy, tag[channel, :, y, x].float()], dim=1)
    # the same transfer tells whether the maps were finite: a sum with NaN or infinity is not
    total = heatmap.sum(dtype=torch.float32) + tag.sum(dtype=torch.float32)
    rows = torch.cat([table, total.expand(1, table.shape[1])]).double().cpu().numpy()
    return rows[:-1] if np.isfinite(rows[-1, 0]) else None


def unflatten(index: Tensor, size: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Channel, y and x of flat indices of ``(C, h, w)``."""
    row = torch.div(index, size[2], rounding_mode="floor")
    channel = torch.div(row, size[1], rounding_mode="floor")
    return channel, row - channel * size[1], index - row * size[2]


def window_maximum(heatmap: Tensor, window: int) -> Tensor:
    """The highest value of the odd square window around each pixel, ``(C, h, w)``; what lies outside does not count.

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


def subpixel(heatmap: Tensor, channel: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The ``(M, 2)`` float32 x, y of peaks between pixels: the top of the parabola through three pixels' logarithms.

    Exact for a sampled Gaussian, at the border of the map too, where the three pixels lie to one side of the peak.
    Never moves by more than half a pixel; not at all where the logarithms are not concave or a side is under 3 pixels.
    """
    height, width = heatmap.shape[-2:]
    place = torch.stack([x, y], dim=1)
    size, step = place.new_tensor([width, height]), place.new_tensor([1, width])
    middle = torch.minimum(place.clamp(min=1), (size - 2).clamp(min=1))
    centre = ((channel * height + y) * width + x)[:, None] + (middle - place) * step
    index = centre[:, :, None] + step[:, None] * place.new_tensor([-1, 0, 1])  # (M, 2, 3), of the flat heatmap
    value = heatmap.reshape(-1)[index.clamp(0, heatmap.numel() - 1)].float().clamp(min=1e-6).log()
    low, mid, high = value.unbind(dim=2)
    curvature = 2 * mid - low - high
    move = middle - place + (high - low) / (2 * curvature.clamp(min=1e-6))
    return place + torch.where((curvature > 1e-6) & (size > 2), move.clamp(-0.5, 0.5), 0.0)
