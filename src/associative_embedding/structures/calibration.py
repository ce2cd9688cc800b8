"""Calibration: raw score -> the share of instances with this score that are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.setting_checks import fits

MOST_POINTS = 64
LEAST_SLOPE = 0.02
APART = 1e-3  # least distance of two raw scores of a map, so that six digits tell their shares apart


@dataclass(frozen=True)
class Calibration:
    """A rising, piecewise linear map of scores. It keeps the order of instances, and with it every AP.

    Attributes:
        points: (raw score, share that is right), both in [0, 1] and strictly rising, from raw score 0 to 1; no point
            = scores stay as they are.

    Raises:
        ValueError: for points that are no such map.
    """

    points: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not self.points:
            return
        table = np.array(self.points, np.float64)
        if not (2 <= len(table) <= MOST_POINTS and table.ndim == 2 and table.shape[1] == 2):
            raise ValueError(f"calibration must be 2 to {MOST_POINTS} pairs of numbers, not {len(self.points)}")
        rising = (np.diff(table, axis=0) > 0).all()
        if not rising or not (table >= 0).all() or not (table <= 1).all() or table[0, 0] != 0 or table[-1, 0] != 1:
            raise ValueError("calibration must rise strictly within [0, 1], from the raw score 0 to 1")

    @classmethod
    def from_values(cls, values: Any) -> Calibration:
        """Returns the map of a model file's json: a list of pairs.

        Raises:
            ValueError: for anything else.
        """
        pair = (list, tuple)
        if not isinstance(values, pair) or not all(isinstance(p, pair) and len(p) == 2 for p in values):
            raise ValueError(f"calibration must be a list of pairs of numbers, not {values!r:.60}")
        # fits refuses whole numbers that no float holds
        if not all(fits(number, float) for point in values for number in point):
            raise ValueError(f"calibration must be a list of pairs of numbers, not {values!r:.60}")
        return cls(tuple((float(raw), float(right)) for raw, right in values))

    def __bool__(self) -> bool:
        return bool(self.points)

    def __call__(self, score: Array) -> Array:
        """Returns calibrated scores of the same shape and type; raw scores beyond [0, 1] count as 0 or 1."""
        if not self.points:
            return score
        raw, right = np.array(self.points).T
        return np.asarray(np.interp(score, raw, right), score.dtype)


def from_pairs(pairs: Sequence[tuple[float, float]]) -> Calibration:
    """Returns a map through pairs of raw score and share that is right, with the ends (0, 0) and (1, 1).

    Where the share rises by less than `LEAST_SLOPE`, it is made to rise by this: equal scores would lose the order.

    Args:
        pairs: raw scores rise from `APART` to 1 - `APART`, by at least `APART`.
    """
    table = np.array([(0.0, 0.0), *pairs, (1.0, 1.0)])
    raw, share = table.T
    rise = np.diff(raw) * LEAST_SLOPE
    # Upwards from 0, then downwards from 1, so that all shares stay within [0, 1].
    for i, least in enumerate(rise):
        share[i + 1] = max(share[i + 1], share[i] + least)
    share[-1] = 1.0
    for i in reversed(range(len(rise))):
        share[i] = min(share[i], share[i + 1] - rise[i])
    return Calibration(tuple((round(float(x), 6), round(float(y), 6)) for x, y in table))
