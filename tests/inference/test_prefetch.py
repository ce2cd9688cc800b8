"""A thread that works ahead: order, faults, and who leaves early."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from associative_embedding.inference.prefetch import ahead


def test_everything_comes_in_order() -> None:
    assert list(ahead(range(100))) == list(range(100))
    assert list(ahead(ahead(iter(range(20)), 1), 5)) == list(range(20))
    assert list(ahead([])) == []


def test_work_overlaps_but_not_without_bound() -> None:
    made: list[int] = []

    def work() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            yield i

    items = ahead(work(), size=3)
    next(items)
    deadline = time.monotonic() + 20
    while len(made) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)  # more would be made meanwhile, were there no bound
    assert len(made) <= 6
    assert list(items) == list(range(1, 50))


def test_a_fault_comes_after_what_was_before_it() -> None:
    def work() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    items = ahead(work())
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_leaving_early_ends_the_thread_and_closes_what_it_reads() -> None:
    closed = threading.Event()

    def work() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.set()

    before = threading.active_count()
    items = ahead(work())
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert closed.wait(5)
    assert threading.active_count() == before
