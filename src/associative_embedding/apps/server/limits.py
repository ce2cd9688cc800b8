"""The limits of the HTTP service: queue, sizes, time, memory, connections and addresses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits that protect the service from overload and from misuse.

    Attributes:
        queue: highest number of waiting requests; a further request gets status 429.
        batch: highest number of images in one batch; None = 8 on a GPU, 1 on a CPU.
        max_bytes: size limit of an image file, bytes.
        max_pixels: size limit of an image, pixels: a small file can contain an image that fills the memory.
        max_seconds: longest time that one image may keep the model, decoding of the file included, seconds; None = half
            of `timeout`, so that a request behind it still gets its answer.
        memory: bytes of all requests together, in arrival and in the queue, and of the files kept for the page.
        timeout: longest time for a request, waiting included, seconds.
        connections: highest number of open connections.
        urls: accept the URL of an image instead of the image.
        private_urls: with `urls`, also read addresses that only this machine or its network can reach.

    Raises:
        ValueError: for a number that is not positive.
    """

    queue: int = 64
    batch: int | None = None
    max_bytes: int = 20 * 2**20
    max_pixels: int = 40_000_000
    max_seconds: float | None = None
    memory: int = 512 * 2**20
    timeout: float = 30.0
    connections: int = 512
    urls: bool = False
    private_urls: bool = False

    def __post_init__(self) -> None:
        for name in ("queue", "batch", "max_bytes", "max_pixels", "max_seconds", "memory", "timeout", "connections"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, not {value}")
        if self.memory < self.max_bytes:
            raise ValueError(f"memory of {self.memory} bytes has no room for one image of max_bytes {self.max_bytes}")

    @property
    def seconds_of_image(self) -> float:
        """Longest time that one image may keep the model, seconds."""
        return self.timeout / 2 if self.max_seconds is None else self.max_seconds
