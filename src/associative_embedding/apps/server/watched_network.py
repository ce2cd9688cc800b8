"""A network that asks before every run whether it is still wanted, and measures its speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from torch import Tensor


class Stopped(Exception):
    """The time of a job is over, or nobody waits for its answer."""


class WatchedNetwork:
    """Replaces a network in a `Predictor` or a `Refiner`; everything but a run goes to the network itself.

    Args:
        network: `Network` or `ExportedNetwork`.
        check: is called before every run; it raises an error to prevent the run.

    Attributes:
        seconds_per_pixel: least time per pixel of the input so far; 0 before the first run.
    """

    def __init__(self, network: Any, check: Callable[[], None]) -> None:
        self.network, self.check = network, check
        self.seconds_per_pixel = 0.0

    def __call__(self, image: Tensor) -> Any:
        """Runs the network on a batch ``(B, 3, H, W)``."""
        self.check()
        start = time.perf_counter()
        outputs = self.network(image)
        seconds = (time.perf_counter() - start) / (image.numel() / 3)
        # The least: another process may have delayed this run, and nothing may be refused for that.
        self.seconds_per_pixel = min(self.seconds_per_pixel or seconds, seconds)
        return outputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)
