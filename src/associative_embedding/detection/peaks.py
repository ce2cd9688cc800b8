"""Maps -> Detections: maximum filter, threshold, sub-pixel position, tag look-up, top k (paper, section 3.3).

Everything up to a small table of peaks stays on the maps' device; the table comes to the host in one transfer. Maps on
a CPU are searched by `host`, which finds the same faster.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from associative_embedding.detection import peaks_on_cpu as host
from associative_embedding.detection.peaks_on_gpu import device_table
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections

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
