"""Calls functions in a thread, in order, so that drawing and writing overlap with what comes next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from types import TracebackType
from typing import Any, Self


class Behind:
    """A thread for the end of a pipeline, a few calls behind the caller.

        with Behind() as behind:
            for picture in pictures:
                behind(film.add, picture)

    The error of a call is raised by a later call, or at the end of the block. No call is made after it.

    Args:
        most: calls that may wait; then the caller waits, too.
    """

    def __init__(self, most: int = 2) -> None:
        self.most = most
        self.pool = ThreadPoolExecutor(1, "behind")
        self.waiting: deque[Future[None]] = deque()
        self.failed = False

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Calls a function after all before it are done."""
        while len(self.waiting) > self.most:
            self.waiting.popleft().result()
        self.waiting.append(self.pool.submit(self._call, function, *arguments))

    def _call(self, function: Callable[..., Any], *arguments: Any) -> None:
        if self.failed:  # what was handed over meanwhile: a film must not go on behind a frame that it lacks
            return
        try:
            function(*arguments)
        except BaseException:
            self.failed = True
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Also after an error or Ctrl-C what was handed over is written. The error of a call counts: it is of something
        # that came before the block's own error, but for Ctrl-C, which must end the command.
        try:
            with suppress(Exception) if error and not isinstance(error, Exception) else nullcontext():
                while self.waiting:
                    self.waiting.popleft().result()
        finally:
            self.pool.shutdown()
