"""A network that asks before every run whether it is still wanted, and measures its speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from associative_embedding.networks.device import thread_count
from associative_embedding.structures.arrays import Array


class Stopped(Exception):
    """The time of a job is over, or nobody waits for its answer."""


class WatchedNetwork:
    """Replaces a network in a `Predictor` or a `Refiner`; everything but a run goes to the network itself.

    Args:
        network: `Network` or `ExportedNetwork`.
        check: is called before every run; it raises an error to prevent the run.

    Attributes:
        seconds_per_pixel: least time per pixel of the input so far, as if nothing else ran on the machine; 0 before the
            first run. On a GPU far too low: only the CPU's time is known.
    """

    def __init__(self, network: Any, check: Callable[[], None]) -> None:
        self.network, self.check = network, check
        self.seconds_per_pixel = 0.0

    def predict(self, image: Array) -> Any:
        """Runs the network on a batch ``(B, 3, H, W)``."""
        self.check()
        start = time.process_time()
        outputs = self.network.predict(image)
        # The time of the CPU, and the least of it: another process may have delayed this run, and nothing may be
        # refused for that.
        seconds = (time.process_time() - start) / thread_count() / (image.size / 3)
        self.seconds_per_pixel = min(self.seconds_per_pixel or seconds, seconds)
        return outputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)
