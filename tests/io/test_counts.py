"""Singular and plural."""

from __future__ import annotations

import pytest

from associative_embedding.io.counts import counted, of_them


@pytest.mark.parametrize(("number", "text"), [(0, "0 images"), (1, "1 image"), (2, "2 images")])
def test_one_is_singular(number: int, text: str) -> None:
    assert counted(number, "image") == text


def test_nouns_of_other_forms() -> None:
    assert counted(1, "person", "people") == "1 person"
    assert counted(0, "person", "people") == "0 people"


def test_the_noun_follows_the_whole() -> None:
    assert of_them(1, 1, "class", "classes") == "1 of 1 class"
    assert of_them(1, 3, "class", "classes") == "1 of 3 classes"
