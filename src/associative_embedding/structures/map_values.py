"""Operations on the values of maps, which are numpy arrays on a CPU and torch tensors on a GPU.

A program that predicts on a CPU by ONNX Runtime never imports torch, whose import takes longer than an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from associative_embedding.structures.arrays import Array

Values = Any  # a numpy array, or a torch tensor: in training, and where a GPU decodes


def as_array(values: Values) -> Array:
    """Returns values as a contiguous float32 array; it shares their memory where it can."""
    if not isinstance(values, np.ndarray):
        values = values.detach().float().cpu().numpy()
    return np.ascontiguousarray(values, np.float32)


def concatenate(parts: Sequence[Values], axis: int) -> Values:
    """Joins arrays, or tensors of one device."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts, axis)
    import torch

    return torch.cat(list(parts), axis)


def mirrored(values: Values) -> Values:
    """Flips the last axis, the columns."""
    return np.ascontiguousarray(values[..., ::-1]) if isinstance(values, np.ndarray) else values.flip(-1)


def resize(values: Values, size: tuple[int, int]) -> Values:
    """Resamples maps ``(..., h, w)`` to a size (h, w), bilinearly between the centres of pixels."""
    if tuple(values.shape[-2:]) == tuple(size):
        return values
    y, x = ((np.arange(new) + 0.5) * (old / new) - 0.5 for new, old in zip(size, values.shape[-2:], strict=True))
    return resample(values, y, x)


def enlarge(values: Values, factor: int) -> Values:
    """Resamples maps ``(B, ..., h, w)`` to `factor` times their size, as `resize`; an exported graph does so too."""
    if factor == 1:
        return values
    height, width = values.shape[-2:]
    if isinstance(values, np.ndarray) or 0 in values.shape:  # torch interpolates no maps without tags
        return resize(values, (height * factor, width * factor))
    from torch.nn import functional as F

    flat = values.flatten(1, -3)  # interpolate takes four dimensions
    large = F.interpolate(flat, scale_factor=float(factor), mode="bilinear", align_corners=False)
    return large.reshape(*values.shape[:-2], *large.shape[-2:])


def resample(values: Values, y: Array, x: Array) -> Values:
    """Samples maps ``(..., h, w)`` bilinearly at the crossings of n rows and m columns: ``(..., n, m)``.

    Args:
        values: of floats.
        y, x: ``(n,)`` and ``(m,)`` in indices of map pixels; beyond the border they count as on it.
    """
    # One axis after the other, the rows first: they are contiguous.
    low, high, share = neighbours(y, values.shape[-2], values)
    rows = values[..., low, :] * (1 - share)[:, None] + values[..., high, :] * share[:, None]
    low, high, share = neighbours(x, values.shape[-1], values)
    return rows[..., low] * (1 - share) + rows[..., high] * share


def neighbours(at: Array, size: int, like: Values) -> tuple[Values, Values, Values]:
    """Returns the indices before and after places on one axis, and how far each lies from the first, in [0, 1]."""
    at = np.clip(at, 0, size - 1)
    low = np.minimum(at.astype(np.int64), max(size - 2, 0))
    high, share = np.minimum(low + 1, size - 1), at - low
    if isinstance(like, np.ndarray):
        return low, high, share.astype(like.dtype)
    import torch

    first, second, part = (torch.from_numpy(value).to(like.device) for value in (low, high, share))
    return first, second, part.to(like.dtype)
