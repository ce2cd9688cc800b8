"""Ctrl-C that waits until nothing would be lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Interrupt:
    """Set by the first Ctrl-C or SIGTERM; the loop then saves and leaves. The second one stops at once.

    Attributes:
        asked: whether there was one.
        saved: everything is saved, so the first one, too, stops at once.
    """

    asked: bool = False
    saved: bool = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Python delivers signals to the main thread alone; in another one this does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(number: int, frame: object) -> None:
            if self.asked or self.saved:
                raise KeyboardInterrupt
            self.asked = True

        previous: dict[int, Any] = {number: signal.signal(number, handle) for number in SIGNALS}
        try:
            yield
        finally:
            for number, old in previous.items():
                signal.signal(number, old)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, everything is saved."""
        self.saved = True
        try:
            yield
        finally:
            self.saved = False

    def anywhere(self, world: int) -> bool:
        """Whether any of `world` processes was asked: all leave after the same step, or one would wait forever."""
        if world == 1:
            return self.asked
        flag = torch.tensor(float(self.asked))
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag)
