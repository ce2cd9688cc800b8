"""Ctrl-C that ends a run only after it is saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from associative_embedding.training.processes import Processes, largest

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and what schedulers and `kill` send first


@dataclass
class Interrupt:
    """Records the first Ctrl-C or SIGTERM, so that the loop can save before it ends. A second one ends it at once.

    Attributes:
        requested: a signal came.
        saved: everything is saved, so the first signal ends the run at once, too.
    """

    requested: bool = False
    saved: bool = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handles the signals inside the block and restores the old handlers after it."""
        # Python allows signal handlers in the main thread only. In other threads the signals keep their effect.
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(number: int, frame: object) -> None:
            if self.requested or self.saved:
                raise KeyboardInterrupt
            self.requested = True

        previous: dict[int, Any] = {number: signal.signal(number, handle) for number in SIGNALS}
        try:
            yield
        finally:
            for number, old in previous.items():
                signal.signal(number, old)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Lets the first signal end the block at once; for work that leaves nothing to save."""
        self.saved = True
        try:
            yield
        finally:
            self.saved = False

    def requested_by_any(self, processes: Processes) -> bool:
        """Returns whether a signal came in any process. Every process must call it in the same step.

        All processes end after the same step: one that went on alone would wait forever for the others' gradients.
        """
        return bool(largest(float(self.requested), processes))
