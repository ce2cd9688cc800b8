"""Maps -> Detections: maximum filter, threshold, sub-pixel position, tag look-up, top k (paper, section 3.3).

Everything up to a small table of peaks stays on the maps' device; the table comes to the host in one transfer. Maps on
a CPU are searched by `host`, which finds the same faster.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from associative_embedding import host
from associative_embedding.types import Array, Detections

CHANNEL, Y, X, SCORE, SUBPIXEL, TAG = 0, 1, 2, 3, slice(4, 6), slice(6, None)  # columns of the table of peaks


@torch.no_grad()
def detect(
    heatmap: Tensor, tag: Tensor, *, threshold: float, nms: int, top_k: int, step: Array
) -> tuple[Detections, Array]:
    """The peaks of one image's maps.

    A peak is the highest pixel of the window around it. Equally high peaks that lie in each other's windows (half
    precision, a keypoint halfway between two pixels) are one detection, at their mean.

    Args:
        heatmap: ``(C, h, w)``.
        tag: ``(C, D, h, w)``.
        threshold: lowest score.
        nms: odd window of the maximum filter, map pixels.
        top_k: peaks of one channel at most.
        step: ``(C,)`` int64, the step of each channel's detections.

    Returns:
        the detections, channel by channel and the best first, and the ``(M,)`` int64 channel of each.

    Raises:
        ValueError: for maps with NaN or infinity.
    """
    on_host = heatmap.device.type == "cpu"
    table = (host_table if on_host else device_table)(heatmap, tag, threshold, nms)
    if table is None:
        raise ValueError("the network's output holds NaN or infinity")
    return to_detections(table, heatmap.shape, nms=nms, top_k=top_k, step=step)


def host_table(heatmap: Tensor, tag: Tensor, threshold: float, nms: int) -> Array | None:
    """The table of peaks ``(M, 6 + D)`` of maps on a CPU; None = they hold NaN or infinity."""
    values, tags = host.array(heatmap), host.array(tag)
    return host.peak_table(values, tags, threshold, nms) if host.finite(values) and host.finite(tags) else None


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


def to_detections(
    peaks: Array, size: tuple[int, ...], *, nms: int, top_k: int, step: Array
) -> tuple[Detections, Array]:
    """A table of peaks -> detections; see `detect`.

    Args:
        peaks: a row a peak, columns as above.
        size: (C, h, w).
    """
    peaks = best_first(merge_plateaus(best_first(peaks), size, reach=nms // 2))
    peaks = peaks[rank_in_channel(peaks) < top_k]
    index = peaks[:, CHANNEL].astype(np.int64)
    return Detections(score=peaks[:, SCORE], tag=peaks[:, TAG], xy=peaks[:, SUBPIXEL], step=step[index]), index


def peak_table(heatmap: Tensor, tag: Tensor, *, nms: int, top_k: int) -> Tensor:
    """The highest `top_k` peaks of each channel of a batch as a table of fixed size, for graphs that are exported.

    Only operations that ONNX knows; what leaves the device is a few kilobytes. Where a channel has fewer peaks, rows
    have score -1.

    Args:
        heatmap: ``(B, C, h, w)``.
        tag: ``(B, C, D, h, w)``.

    Returns:
        ``(B, C top_k, 6 + D)`` float32, columns as above.
    """
    channels, (height, width) = heatmap.shape[1], heatmap.shape[-2:]
    highest = F.max_pool2d(heatmap, nms, stride=1, padding=nms // 2)
    score, place = torch.where(heatmap == highest, heatmap, -1.0).flatten(2).topk(top_k, dim=2)  # (B, C, k)
    flat = heatmap.flatten(2).clamp(min=1e-6).log()
    y = (place / width).floor().long()  # exact: a side is far below 2^12, and not all of ONNX knows integer division
    x = place - y * width

    def top(middle: Tensor, at: Tensor, step: int, position: Tensor) -> Tensor:
        low, mid, high = (flat.gather(2, at + shift) for shift in (-step, 0, step))
        curvature = 2 * mid - low - high
        move = middle - position + (high - low) / (2 * curvature.clamp(min=1e-6))
        return position + torch.where(curvature > 1e-6, move.clamp(-0.5, 0.5), 0.0)

    cx, cy = x.clamp(min=1).minimum(width - 2 + 0 * x), y.clamp(min=1).minimum(height - 2 + 0 * y)
    to_x, to_y = top(cx, y * width + cx, 1, x), top(cy, cy * width + x, width, y)
    values = tag.flatten(3).gather(3, place[:, :, None].expand(-1, -1, tag.shape[2], -1)).transpose(2, 3)
    channel = torch.arange(channels, device=heatmap.device)[None, :, None].expand_as(place)
    columns = [channel, y, x, score, to_x, to_y]
    return torch.cat([torch.stack([c.float() for c in columns], dim=3), values.float()], dim=3).flatten(1, 2)


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


def best_first(peaks: Array) -> Array:
    """Rows sorted by channel, then by falling score."""
    return np.asarray(peaks[np.lexsort((-peaks[:, SCORE], peaks[:, CHANNEL]))])


def rank_in_channel(peaks: Array) -> Array:
    """``(M,)`` int64: 0 for the first row of each channel, 1 for the second ..."""
    channel = peaks[:, CHANNEL]
    return np.arange(len(peaks)) - np.searchsorted(channel, channel)


def merge_plateaus(peaks: Array, size: tuple[int, ...], *, reach: int) -> Array:
    """Peaks within `reach` pixels of each other, which can only be equally high, become one row: their mean.

    Args:
        peaks: sorted by `best_first`.
        size: (C, h, w).
        reach: half of the maximum filter's window.
    """
    tied = (np.diff(peaks[:, CHANNEL]) == 0) & (np.diff(peaks[:, SCORE]) == 0)
    if not tied.any() or not reach:
        return peaks
    # all channels one below the other, with room between them; 8-neighbours among blocks of `reach` pixels are peaks
    # at most `reach` apart
    channels, height, width = size
    row = (peaks[:, Y] + peaks[:, CHANNEL] * (height + reach)).astype(np.int64)
    column = peaks[:, X].astype(np.int64)
    mask = np.zeros((channels * (height + reach), width), np.uint8)
    mask[row, column] = 1
    blocks = cv2.dilate(mask, np.ones((reach, reach), np.uint8), anchor=(0, 0))
    _, plateau = np.unique(cv2.connectedComponents(blocks, connectivity=8)[1][row, column], return_inverse=True)
    total = np.stack([np.bincount(plateau, values) for values in peaks.T], axis=1)
    return np.asarray(total / np.bincount(plateau)[:, None])


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
