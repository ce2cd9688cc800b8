"""Lists the images of several sources; a source that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from associative_embedding.io.console import say_error


def collect_images(sources: Sequence[str], list_images: Callable[[str], list[str]]) -> tuple[list[str], int]:
    """Returns the images of all sources and the number of sources that failed. Prints one error for each of these.

    Args:
        sources: files, folders, patterns or addresses.
        list_images: returns the images of one source; raises ValueError or OSError if there are none.
    """
    images: list[str] = []
    failures = 0
    for source in sources:
        try:
            images += list_images(source)
        except (ValueError, OSError) as error:
            # One wrong name among many sources must not cost the hours of work on the others.
            failures += 1
            say_error(error)
    return images, failures
