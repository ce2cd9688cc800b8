"""Detects and fills in keypoints as published code does; `DecodeConfig` states which rules a model uses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from associative_embedding.detection.peak_table import CHANNEL, COLUMNS, SCORE, SUBPIXEL, TAG, X, Y, unflatten
from associative_embedding.detection.peaks import NOT_FINITE, best_first, rank_in_channel
from associative_embedding.detection.peaks_on_cpu import finite, highest_of_window, subpixel
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections
from associative_embedding.structures.map_values import as_array
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.published.filling import choose_pixels
from associative_embedding.tasks.published.positions import dark, inner_quarter, quarter


def parabola(heatmap: Array, channel: Array, y: Array, x: Array) -> Array:
    """Returns the top of a parabola, this project's own rule; see `subpixel`."""
    _, height, width = heatmap.shape
    return subpixel(heatmap, (channel * height + y) * width + x, y, x)


# heatmap (C, h, w), channel, row and column (P,) of keypoints -> (P, 2) x, y in indices of pixels
POSITIONS: dict[str, Callable[[Array, Array, Array, Array], Array]] = {
    "quarter": quarter,
    "inner-quarter": inner_quarter,
    "dark": dark,
}
# The same for keypoints that were filled in; x, y of mmpose 1.x are the corner of the pixel.
FILLED_POSITIONS: dict[str, Callable[[Array, Array, Array, Array], Array]] = {
    "parabola": parabola,
    "quarter": quarter,
    "inner-quarter": lambda heatmap, channel, y, x: np.stack([x, y], axis=1) - 0.5,
    "dark": quarter,
}


def detect_as_published(maps: Maps, config: DecodeConfig, step: Array) -> tuple[Detections, Array]:
    """Finds the peaks in one image's maps (batch 1): every pixel of a plateau is one, also of equal neighbours.

    Args:
        config: `threshold`, `nms`, `top_k` and `position` count.
        step: ``(C,)`` int64, the step of each channel's detections.

    Returns:
        the detections, channel by channel and the best first, and the ``(M,)`` int64 channel of each.

    Raises:
        ValueError: for maps with NaN or infinity.
    """
    heatmap, tag = as_array(maps.heatmap[0]), as_array(maps.tag[0])
    if not (finite(heatmap) and finite(tag)):
        raise ValueError(NOT_FINITE)
    place = highest_of_window(heatmap, heatmap > config.threshold, config.nms)
    channel, y, x = unflatten(place, heatmap.shape)
    table = np.zeros((len(place), COLUMNS + tag.shape[1]))
    table[:, CHANNEL], table[:, Y], table[:, X], table[:, SCORE] = channel, y, x, heatmap[channel, y, x]
    table[:, SUBPIXEL] = POSITIONS[config.position](heatmap, channel, y, x)
    table[:, TAG] = tag[channel, :, y, x]
    peaks = best_first(table)
    peaks = peaks[rank_in_channel(peaks) < config.top_k]
    channel = peaks[:, CHANNEL].astype(np.int64)
    return Detections(score=peaks[:, SCORE], tag=peaks[:, TAG], xy=peaks[:, SUBPIXEL], step=step[channel]), channel


def fill_as_published(keypoints: Array, maps: Maps, config: DecodeConfig) -> Array:
    """Returns the keypoints, with missing ones in the best pixel of the whole map, if the heatmap is positive there.

    Args:
        keypoints: ``(G, K, 3)`` x, y on the map, score (0 = missing).
        maps: of this image (batch 1).
        config: `position` counts.
    """
    heatmap, tag = as_array(maps.heatmap[0]), as_array(maps.tag[0])
    # DARK leaves indices of pixels, which are cut off; the others are half a pixel from the corner of their pixel.
    shift = 0.0 if config.position == "dark" else 0.5
    chosen = choose_pixels(keypoints + np.array([shift, shift, 0]), heatmap, tag)
    person, kind = np.nonzero(chosen >= 0)
    y, x = np.divmod(chosen[person, kind], heatmap.shape[2])
    value = heatmap[kind, y, x]
    filled, used = keypoints.copy(), value > 0
    rows = person[used], kind[used]
    filled[rows] = np.column_stack([FILLED_POSITIONS[config.position](heatmap, kind, y, x), value.clip(0, 1)])[used]
    return filled
