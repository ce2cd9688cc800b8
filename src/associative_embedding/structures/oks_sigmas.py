"""Checks the sigmas of the OKS metric, which come from label files, model files and callers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

LEAST, MOST = 1e-4, 1.0  # COCO's are 0.025 to 0.107; an infinite one makes every prediction perfect, a tiny one none


def checked_sigmas(values: Any, count: int, where: str) -> tuple[float, ...]:
    """Returns the sigmas as Python's floats.

    Args:
        values: not yet checked.
        count: K, the number of keypoints.
        where: start of the message.

    Raises:
        ValueError: for anything but K numbers in [`LEAST`, `MOST`].
    """
    numbers = values.tolist() if isinstance(values, np.ndarray) else values
    valid = isinstance(numbers, Sequence) and not isinstance(numbers, str) and len(numbers) == count
    if not valid or not all(is_sigma(value) for value in numbers):
        raise ValueError(
            f"{where} needs {count} positive oks_sigmas, numbers from {LEAST:g} to {MOST:g}, not {numbers!r:.80}"
        )
    return tuple(float(value) for value in numbers)


def is_sigma(value: Any) -> bool:
    """Returns whether a value can be a sigma; NaN, infinity, texts and truth values cannot."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return number and bool(LEAST <= value <= MOST)
