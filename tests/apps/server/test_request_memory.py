"""One budget for the bytes of requests and of kept files."""

from __future__ import annotations

import pytest

from associative_embedding.apps.server.request_memory import MemoryFull, RequestMemory, digest_of


def test_a_request_is_counted_until_its_end() -> None:
    memory = RequestMemory(100)
    with memory.lease() as lease:
        lease.add(60)
        lease.add(40)
        with memory.lease() as other, pytest.raises(MemoryFull):
            other.add(1)
        assert memory.used == 100
    assert memory.used == 0


def test_kept_files_make_room_for_requests() -> None:
    memory = RequestMemory(100)
    memory.keep("a", bytes(20))
    with memory.lease() as lease:
        lease.add(80)
        assert memory.find("a") == bytes(20)
        lease.add(1)
        assert memory.find("a") is None
        assert (memory.used, memory.kept_bytes) == (81, 0)


def test_kept_files_are_a_quarter_and_the_last_used_stay() -> None:
    memory = RequestMemory(100)
    memory.keep("large", bytes(26))
    assert memory.find("large") is None
    for name in "abc":
        memory.keep(name, bytes(10))
        memory.find("a")
    assert list(memory.kept) == ["c", "a"]
    assert memory.kept_bytes == 20
    memory.keep("a", bytes(10))  # a second time: counted once
    assert memory.kept_bytes == 20


def test_a_full_budget_keeps_nothing_more() -> None:
    memory = RequestMemory(100)
    with memory.lease() as lease:
        lease.add(95)
        memory.keep("a", bytes(10))
        assert memory.kept_bytes == 0


def test_the_digest_is_that_of_the_content() -> None:
    assert digest_of(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
