"""What the command line tells apart: a mistake in how it was called, and all else that is wrong with an input."""

from __future__ import annotations


class UsageError(ValueError):
    """A command line or recipe that cannot be meant: exit status 2."""
