"""The error of a wrong command line. All programs in `apps` share it."""

from __future__ import annotations


class UsageError(ValueError):
    """A command line or recipe that contradicts itself or names something unknown.

    It ends the command with exit status 2; all other errors end it with status 1.
    """
