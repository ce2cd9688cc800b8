"""Smooths the keypoints of tracks over time by the One-Euro filter (Casiez, Roussel, Vogel, CHI 2012)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array

SPEED_CUTOFF = 1.0  # Hz, of the speed's own low-pass filter, as in the paper


@dataclass(frozen=True, eq=False)
class Past:
    """The state of one track's filter.

    Attributes:
        time: of the track's last frame, seconds.
        xy: ``(K, 2)`` smoothed positions, image pixels.
        speed: ``(K, 2)`` smoothed, pixels per second.
        present: ``(K,)`` bool, whether the keypoint was found.
    """

    time: float
    xy: Array
    speed: Array
    present: Array


class Smoother:
    """Smooths the keypoints of instances that have a track; call it with the frames in order.

    Args:
        cutoff: cutoff frequency for a keypoint at rest, Hz: lower values smooth more and delay more.
        reaction: growth of the cutoff with speed (in sizes of the object per second), so that fast keypoints are
            delayed little.
        memory: seconds without an instance after which a track's filter starts anew.

    Raises:
        ValueError: for a cutoff that is not positive.
    """

    def __init__(self, cutoff: float = 1.0, reaction: float = 2.0, memory: float = 1.0) -> None:
        if cutoff <= 0:
            raise ValueError(f"the cutoff of smoothing must be positive (Hz), not {cutoff:g}")
        self.cutoff, self.reaction, self.memory = cutoff, reaction, memory
        self.past: dict[int, Past] = {}

    def __call__(self, found: Instances, time: float) -> Instances:
        """Returns the instances of the frame at `time` (seconds), with smoothed keypoints."""
        self.past = {number: past for number, past in self.past.items() if time - past.time <= self.memory}
        if found.track_id is None or found.skeleton is None:
            return found
        keypoints = found.keypoints.copy()
        size = np.sqrt(np.maximum(1.0, found.xywh[:, 2] * found.xywh[:, 3]))
        for i, number in enumerate(found.track_id.tolist()):
            if number >= 0:
                now = self.past[number] = self._step(self.past.get(number), keypoints[i], time, float(size[i]))
                keypoints[i, :, :2] = np.where(now.present[:, None], now.xy, 0)
        return replace(found, keypoints=keypoints)

    def _step(self, past: Past | None, keypoints: Array, time: float, size: float) -> Past:
        xy, present = keypoints[:, :2].astype(np.float64), keypoints[:, 2] > 0
        if past is None or time <= past.time:
            return Past(time, xy, np.zeros_like(xy), present)
        seconds = time - past.time
        both = (present & past.present)[:, None]
        raw = np.where(both, (xy - past.xy) / seconds, 0)
        speed = past.speed + smoothing_factor(SPEED_CUTOFF, seconds) * (raw - past.speed)
        # Speed in sizes of the object: one setting then serves near and distant people.
        pace = np.linalg.norm(speed, axis=1, keepdims=True) / size
        share = smoothing_factor(self.cutoff + self.reaction * pace, seconds)
        return Past(time, np.where(both, past.xy + share * (xy - past.xy), xy), np.where(both, speed, 0), present)


def smoothing_factor(cutoff: float | Array, seconds: float) -> Array:
    """Returns the share of the new value in an exponential filter with a cutoff frequency in Hz."""
    angle = 2 * math.pi * np.asarray(cutoff) * seconds
    return np.asarray(angle / (angle + 1))
