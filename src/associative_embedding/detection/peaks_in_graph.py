"""Peaks by operations that an exported graph holds."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


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
