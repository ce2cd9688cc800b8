"""Runs an iterator in a thread, ahead of its consumer, so that reading, network and decoding overlap."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
WAIT = 0.1  # seconds after which a blocked thread checks whether the consumer has left


def ahead(items: Iterable[T], size: int = 2) -> Iterator[T]:
    """Yields the items in order; a thread computes them, at most `size` ahead.

    An exception of the iterator is raised here, after the items before it. Leaving the loop early stops the thread.
    """
    line: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(size)
    left = threading.Event()

    def put(more: bool, value: T | BaseException | None) -> bool:
        while not left.is_set():
            try:
                line.put((more, value), timeout=WAIT)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(True, item):
                    break
            put(False, None)
        except BaseException as error:
            put(False, error)
        finally:
            close = getattr(items, "close", None)  # a generator may keep files open until it is closed
            if close is not None:
                close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            more, value = line.get()
            if not more:
                if isinstance(value, BaseException):
                    raise value
                return
            yield value  # type: ignore[misc]
    finally:
        left.set()
        thread.join()
