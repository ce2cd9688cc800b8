"""The limits of the HTTP service: queue, sizes, time and addresses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits that protect the service from overload and from misuse.

    Attributes:
        queue: highest number of waiting requests; a further request gets status 429.
        batch: highest number of images in one batch.
        max_bytes: size limit of an image file, bytes.
        max_pixels: size limit of an image, pixels: a small file can contain an image that fills the memory.
        memory: bytes of all requests together, in arrival and in the queue, and of the files kept for the page.
        timeout: longest time for a request, waiting included, seconds.
        urls: accept the URL of an image instead of the image.
        private_urls: with `urls`, also read addresses that only this machine or its network can reach.

    Raises:
        ValueError: for a number that is not positive.
    """

    queue: int = 64
    batch: int = 8
    max_bytes: int = 20 * 2**20
    max_pixels: int = 40_000_000
    memory: int = 512 * 2**20
    timeout: float = 30.0
    urls: bool = False
    private_urls: bool = False

    def __post_init__(self) -> None:
        for name in ("queue", "batch", "max_bytes", "max_pixels", "memory", "timeout"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
