"""Average precision of detections in the order of their scores, as PASCAL VOC (2010 on) and MPII define it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from associative_embedding.structures.arrays import Array


def ranked_precision(hit: Array, total: int) -> float:
    """Area under the monotone precision envelope at every change of recall (VOC, all points), in [0, 1].

    Args:
        hit: ``(M,)`` bool, true positive; best score first.
        total: number of truths, above 0.
    """
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hit].sum() / total)  # recall rises by 1 / total at each hit


def mean(values: Iterable[float | None]) -> float | None:
    """Of those that are defined; None without any."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
