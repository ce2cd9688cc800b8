"""Maps -> detections: threshold, maximum filter, sub-pixel position, tag, top k (paper, section 3.3).

`detect` searches where the maps are: arrays on a CPU, tensors on a GPU. Only a small table of peaks leaves the device.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from associative_embedding.detection import peaks_on_cpu, peaks_on_gpu
from associative_embedding.detection.peak_table import CHANNEL, SCORE, SUBPIXEL, TAG, X, Y
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections

NOT_FINITE = "the network's output contains NaN or infinity; check the weights of the model"


@torch.no_grad()
def detect(
    heatmap: Tensor, tag: Tensor, *, threshold: float, nms: int, top_k: int, step: Array
) -> tuple[Detections, Array]:
    """Finds the peaks in one image's maps.

    A peak is a pixel that no other pixel of the window around it exceeds. Equally high peaks within one window of each
    other (half precision, a keypoint halfway between two pixels) are one detection, at their mean.

    Args:
        heatmap: ``(C, h, w)``.
        tag: ``(C, D, h, w)``.
        threshold: lowest score.
        nms: side of the maximum filter's window, map pixels, odd.
        top_k: most detections of one channel.
        step: ``(C,)`` int64, the step of each channel's detections.

    Returns:
        the detections, channel by channel and the best first, and the ``(M,)`` int64 channel of each.

    Raises:
        ValueError: for maps with NaN or infinity.
    """
    if heatmap.device.type == "cpu":
        values, tags = peaks_on_cpu.as_array(heatmap), peaks_on_cpu.as_array(tag)
        # Before the search, which leaves the heatmap in the CPU's cache for the filling of missing keypoints.
        finite = peaks_on_cpu.finite(tags) and peaks_on_cpu.finite(values)
        table = peaks_on_cpu.find_peaks(values, tags, values >= threshold, nms) if finite else None
    else:
        table = peaks_on_gpu.find_peaks(heatmap, tag, heatmap >= threshold, nms)
    if table is None:
        raise ValueError(NOT_FINITE)
    return to_detections(table, heatmap.shape, nms=nms, top_k=top_k, step=step)


@torch.no_grad()
def highest(heatmap: Tensor) -> Array:
    """Returns the highest place of every heatmap, ``(B, K, 3)`` float64: x, y on the map, and value in [0, 1].

    Args:
        heatmap: ``(B, K, h, w)``.

    Raises:
        ValueError: for NaN or infinity.
    """
    batch, channels, height, width = heatmap.shape
    flat = heatmap.reshape(batch * channels, height, width)
    value, pixel = flat.flatten(1).max(dim=1)
    place = torch.arange(len(flat), device=flat.device) * (height * width) + pixel
    xy = peaks_on_gpu.subpixel(flat, place, pixel // width, pixel % width)
    rows = torch.cat([xy, value[:, None].float().clamp(0, 1)], dim=1).double()
    if not bool(torch.isfinite(flat.sum(dtype=torch.float32))):
        raise ValueError(NOT_FINITE)
    return np.asarray(rows.cpu().numpy().reshape(batch, channels, 3))


def to_detections(
    table: Array, size: tuple[int, ...], *, nms: int, top_k: int, step: Array
) -> tuple[Detections, Array]:
    """Turns a table of peaks into detections; arguments and results as in `detect`.

    Args:
        table: ``(P, 6 + D)``, see `peak_table`.
        size: (C, h, w) of the maps.
    """
    # Merged before the cut at top_k, so that a plateau of many equal pixels counts once.
    peaks = best_first(merge_plateaus(best_first(table), size, reach=nms // 2))
    peaks = peaks[rank_in_channel(peaks) < top_k]
    channel = peaks[:, CHANNEL].astype(np.int64)
    return Detections(score=peaks[:, SCORE], tag=peaks[:, TAG], xy=peaks[:, SUBPIXEL], step=step[channel]), channel


def best_first(peaks: Array) -> Array:
    """Sorts rows by channel, then by falling score."""
    return np.asarray(peaks[np.lexsort((-peaks[:, SCORE], peaks[:, CHANNEL]))])


def rank_in_channel(peaks: Array) -> Array:
    """``(M,)`` int64: 0 for the first row of each channel, 1 for the second ..."""
    channel = peaks[:, CHANNEL]
    return np.arange(len(peaks)) - np.searchsorted(channel, channel)


def merge_plateaus(peaks: Array, size: tuple[int, ...], *, reach: int) -> Array:
    """Replaces peaks within `reach` pixels of each other, which can only be equally high, by one row: their mean.

    Args:
        peaks: sorted by `best_first`.
        size: (C, h, w).
        reach: half of the maximum filter's window.
    """
    tied = (np.diff(peaks[:, CHANNEL]) == 0) & (np.diff(peaks[:, SCORE]) == 0)
    if not tied.any() or not reach:
        return peaks
    # All channels go into one mask, one below the other with a gap of `reach` rows. Each peak becomes a square of
    # `reach` pixels; squares that touch belong to peaks at most `reach` apart.
    channels, height, width = size
    row = (peaks[:, Y] + peaks[:, CHANNEL] * (height + reach)).astype(np.int64)
    column = peaks[:, X].astype(np.int64)
    mask = np.zeros((channels * (height + reach), width), np.uint8)
    mask[row, column] = 1
    squares = cv2.dilate(mask, np.ones((reach, reach), np.uint8), anchor=(0, 0))
    _, plateau = np.unique(cv2.connectedComponents(squares, connectivity=8)[1][row, column], return_inverse=True)
    total = np.stack([np.bincount(plateau, values) for values in peaks.T], axis=1)
    return np.asarray(total / np.bincount(plateau)[:, None])
