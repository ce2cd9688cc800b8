"""Maps -> detections: threshold, maximum filter, sub-pixel position, tag, top k (paper, section 3.3).

`detect` searches where the maps are: arrays on a CPU, tensors on a GPU. Only a small table of peaks leaves the device.
"""

from __future__ import annotations

import numpy as np

from associative_embedding.detection import peaks_on_cpu
from associative_embedding.detection.peak_table import CHANNEL, SCORE, SUBPIXEL, TAG
from associative_embedding.detection.plateaus import merge_plateaus
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Norm
from associative_embedding.structures.map_values import Values, as_array

NOT_FINITE = "the network's output contains NaN or infinity; check the weights of the model"


def detect(
    heatmap: Values,
    tag: Values,
    *,
    threshold: float,
    nms: int,
    top_k: int,
    step: Array,
    tag_threshold: float = 1.0,
    norm: Norm = "rms",
) -> tuple[Detections, Array]:
    """Finds the peaks in one image's maps.

    A peak is a pixel that no other pixel of the window around it exceeds. Equally high peaks that touch (half
    precision, a keypoint halfway between two pixels) are one detection, at their mean, if their tags belong together.

    Args:
        heatmap: ``(C, h, w)``.
        tag: ``(C, D, h, w)``.
        threshold: lowest score.
        nms: side of the maximum filter's window, map pixels, odd.
        top_k: most detections of one channel.
        step: ``(C,)`` int64, the step of each channel's detections.
        tag_threshold: tag distance from which touching peaks are of different people, as in grouping.
        norm: of the tag distance, see `tag_distance`.

    Returns:
        the detections, channel by channel and the best first, and the ``(M,)`` int64 channel of each.

    Raises:
        ValueError: for maps with NaN or infinity.
    """
    if on_cpu(heatmap):
        values, tags = as_array(heatmap), as_array(tag)
        # Before the search, which leaves the heatmap in the CPU's cache for the filling of missing keypoints.
        finite = peaks_on_cpu.finite(tags) and peaks_on_cpu.finite(values)
        table = peaks_on_cpu.find_peaks(values, tags, values >= threshold, nms) if finite else None
    else:
        from associative_embedding.detection import peaks_on_gpu

        table = peaks_on_gpu.find_peaks(heatmap, tag, heatmap >= threshold, nms)
    if table is None:
        raise ValueError(NOT_FINITE)
    return to_detections(table, heatmap.shape, nms=nms, top_k=top_k, step=step, tag_threshold=tag_threshold, norm=norm)


def on_cpu(values: Values) -> bool:
    """Whether maps are an array, or a tensor on a CPU."""
    return isinstance(values, np.ndarray) or values.device.type == "cpu"


def highest(heatmap: Values) -> Array:
    """Returns the highest place of every heatmap, ``(B, K, 3)`` float64: x, y on the map, and value in [0, 1].

    Args:
        heatmap: ``(B, K, h, w)``.

    Raises:
        ValueError: for NaN or infinity.
    """
    flat = heatmap.reshape(-1, *heatmap.shape[2:])
    rows: Array | None
    if on_cpu(flat):
        values = as_array(flat)
        rows = peaks_on_cpu.highest(values) if peaks_on_cpu.finite(values) else None
    else:
        from associative_embedding.detection import peaks_on_gpu

        rows = peaks_on_gpu.highest(flat)
    if rows is None:
        raise ValueError(NOT_FINITE)
    rows[:, 2] = rows[:, 2].clip(0, 1)
    return rows.reshape(*heatmap.shape[:2], 3)


def to_detections(
    table: Array,
    size: tuple[int, ...],
    *,
    nms: int,
    top_k: int,
    step: Array,
    tag_threshold: float = 1.0,
    norm: Norm = "rms",
) -> tuple[Detections, Array]:
    """Turns a table of peaks into detections; arguments and results as in `detect`.

    Args:
        table: ``(P, 6 + D)``, see `peak_table`.
        size: (C, h, w) of the maps.
    """
    peaks = best_first(table)
    # Merged before the cut at top_k, so that a plateau of many equal pixels counts once. In a window of one pixel every
    # pixel is a peak, whatever its neighbours are.
    if nms > 1 and has_ties(peaks):
        peaks = best_first(merge_plateaus(peaks, size, tag_threshold=tag_threshold, norm=norm))
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


def has_ties(peaks: Array) -> bool:
    """Whether two peaks of one channel are equally high; only these can touch. `peaks` are sorted by `best_first`."""
    return bool(((np.diff(peaks[:, CHANNEL]) == 0) & (np.diff(peaks[:, SCORE]) == 0)).any())
