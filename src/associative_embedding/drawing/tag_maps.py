"""Draws tag maps over the image (paper, figure 7): instances with different tags have different colours."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from associative_embedding.drawing.canvas import check_picture, contact_sheet, draw_title
from associative_embedding.drawing.tag_plots import first_component
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections

DIM = 0.55  # brightness of the grey image under the colours


def draw_tag_maps(
    image: Array,
    tag: Array,
    heatmap: Array,
    channels: Mapping[str, int],
    *,
    columns: int = 6,
    tints: Array | None = None,
) -> Array:
    """Draws the tag maps of some channels: for each channel the image, tinted by the tag.

    The opacity of a tint is the heatmap.

    Args:
        image: ``(H, W, 3)`` uint8 RGB with the same borders as the maps: the network's input, not the image before
            padding.
        tag: ``(K, h, w)`` tags, one number per pixel.
        heatmap: ``(K, h, w)`` scores in [0, 1].
        channels: title -> channel, the maps to draw; ``skeleton.index`` for all keypoint types.
        columns: pictures in a row.
        tints: ``(K, h, w, 3)`` uint8 RGB, the colour of each pixel, see `tints_of`; default: the tag on one scale for
            all channels.

    Returns:
        one picture, ``(H', W', 3)`` uint8 RGB.

    Raises:
        ValueError: for maps of different or other shapes, an unknown channel, or values that are not finite.
    """
    check_picture(image)
    if tag.shape != heatmap.shape or tag.ndim != 3:
        raise ValueError(f"tag and heatmap must both be (K, h, w), not {tag.shape} and {heatmap.shape}")
    for title, channel in channels.items():
        if not 0 <= channel < len(tag):
            raise ValueError(f"channel {channel} ({title}) is outside of the {len(tag)} maps")
    chosen = [*channels.values()]
    if not np.isfinite(tag[chosen]).all() or not np.isfinite(heatmap[chosen]).all():
        raise ValueError("tag or heatmap is not finite")
    tints = scale_of_tags(tag, _tag_range(tag[chosen], heatmap[chosen])) if tints is None else tints
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    base = grey.astype(np.float32) * DIM
    panels = []
    for title, channel in channels.items():
        panel = _tint(base, tints[channel], heatmap[channel])
        draw_title(panel, title)
        panels.append(panel)
    return contact_sheet(panels, columns=min(len(panels), columns))


def foreground_maps(pixels: Detections, channels: int, size: tuple[int, int]) -> tuple[Array, Array]:
    """Turns foreground pixels back into maps, for `draw_tag_maps`.

    Args:
        pixels: M pixels of the map; ``step`` is the index of the class.
        channels: C, number of classes.
        size: (h, w) of the map.

    Returns:
        ``(C, h, w)`` tags (their first principal component) and ``(C, h, w)`` scores in [0, 1]; 0 elsewhere.
    """
    tag, score = np.zeros((2, channels, *size))
    x, y = np.round(pixels.xy).astype(np.int64).T
    tag[pixels.step, y, x] = first_component(pixels.tag, len(pixels))[0]
    score[pixels.step, y, x] = pixels.score.clip(0, 1)
    return tag, score


def _tag_range(tag: Array, heatmap: Array) -> tuple[float, float]:
    """Returns the lowest and highest tag where the heatmap is high: elsewhere no loss constrains the tag."""
    there = tag[heatmap > 0.5 * heatmap.max(initial=0)]
    low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 0.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def scale_of_tags(tag: Array, span: tuple[float, float]) -> Array:
    """Returns the colours ``(K, h, w, 3)`` uint8 RGB of tags ``(K, h, w)``, from blue for the lowest to red."""
    level = ((tag - span[0]) / (span[1] - span[0])).clip(0, 1)
    bright = ((0.1 + 0.8 * level) * 255).astype(np.uint8)  # the ends of the colour map are too dark
    return np.stack([cv2.applyColorMap(of_channel, cv2.COLORMAP_TURBO)[:, :, ::-1] for of_channel in bright])


def tints_of(tag: Array, groups: Array, colours: Array) -> Array:
    """Returns the colours of tags: that of the group with the nearest one.

    Args:
        tag: ``(K, D, h, w)``.
        groups: ``(G, D)`` their tags; with none, all tags are grey.
        colours: ``(G, 3)`` uint8 RGB.

    Returns:
        ``(K, h, w, 3)`` uint8 RGB.
    """
    pixels = np.moveaxis(tag, 1, -1)
    if not len(groups):
        return np.full((*pixels.shape[:-1], 3), 128, np.uint8)
    from scipy.spatial import cKDTree

    _, nearest = cKDTree(groups).query(pixels.reshape(-1, pixels.shape[-1]))
    tints: Array = colours[nearest].reshape(*pixels.shape[:-1], 3)
    return tints


def _tint(base: Array, tints: Array, heatmap: Array) -> Array:
    """Lays colours over an image.

    Args:
        base: ``(H, W, 3)`` float, 0..255.
        tints: ``(h, w, 3)`` uint8 RGB.
        heatmap: ``(h, w)`` in [0, 1]: the opacity.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    size = (base.shape[1], base.shape[0])
    # Nearest: a colour between two would show an instance that does not exist.
    colour = cv2.resize(tints, size, interpolation=cv2.INTER_NEAREST_EXACT)
    alpha = cv2.resize(heatmap.astype(np.float32), size, interpolation=cv2.INTER_LINEAR).clip(0, 1)[:, :, None]
    mixed: Array = (base * (1 - alpha) + colour * alpha + 0.5).astype(np.uint8)
    return mixed
