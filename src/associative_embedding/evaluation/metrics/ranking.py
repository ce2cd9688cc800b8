"""Average precision of detections in the order of their scores: the rule of PASCAL VOC (since 2010) and of MPII."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from associative_embedding.structures.arrays import Array


def ranked_precision(hit: Array, total: int) -> float:
    """Area under the monotone precision-recall curve, at every change of recall, in [0, 1].

    The rule of VOC's development kits of 2010 and later, which replaced the mean over 11 recalls: the precision at a
    recall is the highest precision at this or any higher recall.

    Args:
        hit: ``(M,)`` bool, true for a true positive; highest score first.
        total: number of true objects, above 0.
    """
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hit].sum() / total)  # recall rises by 1 / total at each hit, and nowhere else


def mean_of_defined(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are not None; None without any."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
