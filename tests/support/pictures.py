"""Pictures to draw on or to give to networks, and masks to draw."""

from __future__ import annotations

import numpy as np
import torch

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.skeleton import Skeleton

PAIR = Skeleton.build("thing", ["left_end", "right_end", "middle"], [("left_end", "right_end")])
SIZE = (120, 160)


def canvas(value: int = 128, size: tuple[int, int] = SIZE) -> Array:
    return np.full((*size, 3), value, np.uint8)


def changed(image: Array, value: int = 128) -> Array:
    return (image != value).any(axis=2)


def blobs(n: int = 5, size: tuple[int, int] = (40, 60), seed: int = 0) -> Array:
    """``(N, H, W)`` bool: discs that may overlap."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    centres, radii = rng.uniform(0, 1, (n, 2)) * size, rng.uniform(2, 12, n)
    return np.stack([np.hypot(y - cy, x - cx) < r for (cy, cx), r in zip(centres, radii, strict=True)])


def random_images(height: int, width: int, batch: int = 1) -> torch.Tensor:
    """``(B, 3, H, W)`` uint8, as networks take them."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8, generator=generator)
