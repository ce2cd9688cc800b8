"""Keypoints that do not tremble: the One-Euro filter (Casiez, Roussel, Vogel, CHI 2012), one for each track."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array

SPEED_CUTOFF = 1.0  # Hz, of the speed's own low-pass filter, as in the paper


@dataclass(frozen=True, eq=False)
class Past:
    """Attributes:
    time: seconds.
    xy: ``(K, 2)`` smoothed positions.
    speed: ``(K, 2)`` smoothed, pixels a second.
    known: ``(K,)`` bool, whether there is a position.
    """

    time: float
    xy: Array
    speed: Array
    known: Array


class Smoother:
    """Smooths the keypoints of the instances that have a track; call it with one frame after the other.

    Args:
        cutoff: Hz, of a keypoint at rest: the lower, the smoother, and the later.
        reaction: by how much the cutoff grows with speed (sizes of the object a second): fast ones are hardly delayed.
        memory: seconds after which a track starts anew.
    """

    def __init__(self, cutoff: float = 1.0, reaction: float = 2.0, memory: float = 1.0) -> None:
        if cutoff <= 0:
            raise ValueError(f"the cutoff of smoothing must be positive (Hz), not {cutoff:g}")
        self.cutoff, self.reaction, self.memory = cutoff, reaction, memory
        self.past: dict[int, Past] = {}

    def __call__(self, found: Instances, time: float) -> Instances:
        """The instances of the frame at a time in seconds, with smoothed keypoints."""
        self.past = {number: past for number, past in self.past.items() if time - past.time <= self.memory}
        if found.track_id is None or found.skeleton is None:
            return found
        keypoints = found.keypoints.copy()
        size = np.sqrt(np.maximum(1.0, found.xywh[:, 2] * found.xywh[:, 3]))
        for i, number in enumerate(found.track_id.tolist()):
            if number >= 0:
                now = self.past[number] = self._step(self.past.get(number), keypoints[i], time, float(size[i]))
                keypoints[i, :, :2] = np.where(now.known[:, None], now.xy, 0)
        return replace(found, keypoints=keypoints)

    def _step(self, past: Past | None, keypoints: Array, time: float, size: float) -> Past:
        xy, known = keypoints[:, :2].astype(np.float64), keypoints[:, 2] > 0
        if past is None or time <= past.time:
            return Past(time, xy, np.zeros_like(xy), known)
        seconds = time - past.time
        both = (known & past.known)[:, None]
        raw = np.where(both, (xy - past.xy) / seconds, 0)
        speed = past.speed + smoothing_factor(SPEED_CUTOFF, seconds) * (raw - past.speed)
        pace = np.linalg.norm(speed, axis=1, keepdims=True) / size
        share = smoothing_factor(self.cutoff + self.reaction * pace, seconds)
        return Past(time, np.where(both, past.xy + share * (xy - past.xy), xy), np.where(both, speed, 0), known)


def smoothing_factor(cutoff: float | Array, seconds: float) -> Array:
    """Share of the new value in an exponential filter of a cutoff frequency in Hz."""
    angle = 2 * math.pi * np.asarray(cutoff) * seconds
    return np.asarray(angle / (angle + 1))
