"""Calls in a thread: in order, few at a time, and no error is lost."""

from __future__ import annotations

import threading

import pytest

from associative_embedding.io.behind import Behind


def test_calls_are_made_in_order_in_one_other_thread() -> None:
    calls: list[tuple[int, int]] = []
    with Behind() as behind:
        for number in range(50):
            behind(lambda number: calls.append((number, threading.get_ident())), number)
    assert [number for number, _ in calls] == list(range(50))
    assert {thread for _, thread in calls} - {threading.get_ident()} == {calls[0][1]}


def test_the_caller_waits_where_too_many_calls_do() -> None:
    go, made = threading.Event(), []
    with Behind(most=2) as behind:

        def slow(number: int) -> None:
            go.wait(60)
            made.append(number)

        for number in range(3):
            behind(slow, number)  # one runs, two wait
        late = threading.Thread(target=lambda: behind(slow, 3))
        late.start()
        late.join(0.2)
        assert late.is_alive()
        assert made == []
        go.set()
        late.join(60)
    assert made == [0, 1, 2, 3]


def fail() -> None:
    raise OSError("the disk is full")


def test_an_error_is_raised_at_the_end() -> None:
    with pytest.raises(OSError, match="the disk is full"), Behind() as behind:
        behind(fail)


def test_an_error_stops_the_caller() -> None:
    def call_often() -> None:
        with Behind(most=1) as behind:
            for number in range(100):
                begun.append(number)
                behind(fail if number == 0 else int)

    begun: list[int] = []
    with pytest.raises(OSError, match="the disk is full"):
        call_often()
    assert len(begun) < 5


def test_what_was_handed_over_is_done_after_an_error_of_the_caller() -> None:
    def interrupted() -> None:
        with Behind() as behind:
            behind(made.append, 1)
            behind(made.append, 2)
            raise KeyboardInterrupt

    made: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert made == [1, 2]


def test_nothing_is_done_after_an_error() -> None:
    def call_three() -> None:
        with Behind(most=2) as behind:
            behind(wait_and_fail)
            behind(made.append, 1)
            behind(made.append, 2)
            go.set()

    def wait_and_fail() -> None:
        go.wait(60)
        fail()

    go, made = threading.Event(), list[int]()
    with pytest.raises(OSError, match="the disk is full"):
        call_three()
    assert made == []


@pytest.mark.parametrize(
    ("own", "counts"), [(ValueError("mine"), OSError), (KeyboardInterrupt("mine"), KeyboardInterrupt)]
)
def test_the_first_error_counts_but_for_ctrl_c(own: BaseException, counts: type[BaseException]) -> None:
    """A frame cannot be read, and one before it not written."""

    def both() -> None:
        with Behind() as behind:
            behind(fail)
            raise own

    with pytest.raises(counts):
        both()
