"""The sources of a command -> images. A source that fails is reported, and does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from associative_embedding.io.console import say_error


def expand(sources: Sequence[str], images_of: Callable[[str], list[str]]) -> tuple[list[str], int]:
    """Returns the images of all sources, and the number of sources that failed; prints an error for each of those.

    Args:
        images_of: lists the images of one source; raises ValueError or OSError when there are none.
    """
    found: list[str] = []
    failures = 0
    for source in sources:
        try:
            found += images_of(source)
        except (ValueError, OSError) as error:
            failures += 1
            say_error(error)
    return found, failures
