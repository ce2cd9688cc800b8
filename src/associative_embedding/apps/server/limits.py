"""What the service allows: its queue, sizes, times, addresses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What the service allows.

    Attributes:
        queue: most requests that wait; the next one gets status 429.
        batch: most images in one batch.
        max_bytes: largest image file, bytes.
        max_pixels: largest image, pixels.
        timeout: longest time of a request, seconds, waiting included.
        urls: accept the URL of an image.
        private_urls: also URLs that only this machine or its network can reach.
    """

    queue: int = 64
    batch: int = 8
    max_bytes: int = 20 * 2**20
    max_pixels: int = 40_000_000
    timeout: float = 30.0
    urls: bool = False
    private_urls: bool = False

    def __post_init__(self) -> None:
        for name in ("queue", "batch", "max_bytes", "max_pixels", "timeout"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
