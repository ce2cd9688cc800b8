"""Counts in lines for people: ``1 image``, ``3 images``."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Returns a number and its noun; `plural` is for nouns that need more than an s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def of_them(number: int, total: int, noun: str, plural: str | None = None) -> str:
    """Returns a part of a number: ``1 of 3 images``; the noun follows the whole."""
    return f"{number} of {counted(total, noun, plural)}"
