"""Videos whose frames have their number as grey level."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from associative_embedding.io.write_videos import VideoWriter
from associative_embedding.structures.arrays import Array


def shade(i: int, size: tuple[int, int] = (48, 64)) -> Array:
    """A frame whose grey level says its number."""
    return np.full((*size, 3), 20 + 10 * i, np.uint8)


def write(path: Path, frames: int = 20, fps: float = 10, times: list[float] | None = None) -> str:
    with VideoWriter(path, fps) as writer:
        for i in range(frames):
            writer.add(shade(i), times[i] if times else i / fps)
    return str(path)
