"""The search for peaks inside an exported graph, by operations that ONNX has: no shape may depend on the maps' values.

What leaves the device is a few kilobytes in place of the maps.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from associative_embedding.detection.peak_table import LEAST, top_of_parabola


def find_peaks(heatmap: Tensor, tag: Tensor, *, nms: int, top_k: int) -> Tensor:
    """Returns the highest `top_k` peaks of each channel, tables of one size for a batch.

    Equal neighbours are not merged, and no threshold applies: `peaks.to_detections` does the rest outside of the graph.

    Args:
        heatmap: ``(B, C, h, w)``, sides of at least 3.
        tag: ``(B, C, D, h, w)``.
        nms: side of the maximum filter's window, odd.
        top_k: rows of each channel. Where it has fewer peaks, the other rows have score -1.

    Returns:
        ``(B, C top_k, 6 + D)`` float32, see `peak_table`.
    """
    channels, (height, width) = heatmap.shape[1], heatmap.shape[-2:]
    highest = F.max_pool2d(heatmap, nms, stride=1, padding=nms // 2)
    score, place = torch.where(heatmap == highest, heatmap, -1.0).flatten(2).topk(top_k, dim=2)  # (B, C, k)
    logarithm = heatmap.flatten(2).clamp(min=LEAST).log()
    y = (place / width).floor().long()  # exact: a side is far below 2^12, and not all of ONNX has integer division
    x = place - y * width

    def between(pixel: Tensor, middle: Tensor, at: Tensor, step: int) -> Tensor:
        low, mid, high = (logarithm.gather(2, at + shift) for shift in (-step, 0, step))
        place_between: Tensor = pixel + top_of_parabola(low, mid, high, middle - pixel)
        return place_between

    # `minimum` needs a tensor: 0 * pixel makes one of the side, which a graph computes from the size of its input.
    middle_x, middle_y = (pixel.clamp(min=1).minimum(side - 2 + 0 * pixel) for pixel, side in ((x, width), (y, height)))
    to_x, to_y = between(x, middle_x, y * width + middle_x, 1), between(y, middle_y, middle_y * width + x, width)
    values = tag.flatten(3).gather(3, place[:, :, None].expand(-1, -1, tag.shape[2], -1)).transpose(2, 3)
    channel = torch.arange(channels, device=heatmap.device)[None, :, None].expand_as(place)
    columns = [channel, y, x, score, to_x, to_y]
    return torch.cat([torch.stack([c.float() for c in columns], dim=3), values.float()], dim=3).flatten(1, 2)
