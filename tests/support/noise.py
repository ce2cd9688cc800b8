"""Pictures of blurred noise, in which a random network finds people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_noise(path: Path, number: int) -> None:
    """64 pixels high, and 96 wide where the number is even, 64 where it is odd."""
    noise = np.random.default_rng(number).integers(0, 256, (64, 96 - 32 * (number % 2), 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.GaussianBlur(noise, (9, 9), 2))
