"""Lines for people."""

from __future__ import annotations

from associative_embedding.io.console import list_briefly


def test_long_lists_are_cut_and_counted() -> None:
    assert list_briefly(["a", "b"]) == "a, b"
    assert list_briefly(list("abcdef")) == "a, b, c, d and 2 more"
    assert list_briefly(list("abcdef"), 1) == "a and 5 more"
