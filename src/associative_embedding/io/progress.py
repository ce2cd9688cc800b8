"""Shows how far a command is: a bar on a terminal, else a line a minute, for logs and pipes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from tqdm import tqdm

from associative_embedding.io.console import say, visible

T = TypeVar("T")
EVERY = 60.0  # seconds between two lines


class Progress(Generic[T]):
    """Counts the items of a loop: ``for item in Progress(items, "predict", "image")``, or calls of `update`.

    Args:
        items: what the loop is over; () = `update` counts.
        what: the name before the numbers.
        unit: of the items, in the singular.
        total: number of items; None = the length of `items`, or not known.
    """

    def __init__(self, items: Sequence[T], what: str, unit: str, total: int | None = None) -> None:
        self.items, self.what, self.unit = items, visible(what), unit
        self.total = total if total is not None else len(items) or None
        self.count, self.began = 0, time.monotonic()
        self.next_line = self.began + EVERY
        # None = only on a terminal. For a single image the bar would only flash.
        disable = None if self.total != 1 else True
        self.bar: tqdm[Any] = tqdm(
            total=self.total, desc=self.what, unit=unit, disable=disable, smoothing=0.1, dynamic_ncols=True
        )

    def update(self, count: int = 1) -> None:
        """Counts items that are done."""
        self.count += count
        self.bar.update(count)
        if self.bar.disable and time.monotonic() >= self.next_line:
            self.next_line = time.monotonic() + EVERY
            say(f"ae: {self.line()}", file=sys.stderr)

    @property
    def rate(self) -> float:
        """Items per second so far."""
        return self.count / max(1e-9, time.monotonic() - self.began)

    @property
    def seconds_left(self) -> float | None:
        """The time that the other items should take; None if their number is not known."""
        return max(0, self.total - self.count) / self.rate if self.total and self.count else None

    def line(self) -> str:
        """Returns the state on one line: ``predict: 120 of 1000 images, 2.1 a second, about 7 min left``."""
        of = f" of {self.total}" if self.total else ""
        left = "" if self.seconds_left is None else f", about {in_words(self.seconds_left)} left"
        return f"{self.what}: {self.count}{of} {self.unit}s, {self.rate:.2g} a second{left}"

    def __iter__(self) -> Iterator[T]:
        with self:
            for item in self.items:
                yield item
                self.update()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()


def in_words(seconds: float) -> str:
    """Returns a duration for people: ``40 s``, ``12 min``, ``2 h 5 min``."""
    if round(seconds) < 60:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
