"""Official results, written now and then during an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from associative_embedding.io.files import Periodic, write_json


@contextmanager
def keeping(results: list[dict[str, Any]], path: str | None, total: int) -> Iterator[Callable[[], None]]:
    """Keeps the results of an evaluation, however it ends.

    Args:
        results: grows with each image.
        path: file for the results; None = they are not written.
        total: number of images.

    Yields:
        a function to call after each image.

    Raises:
        KeyboardInterrupt: with the number of images that are done.
    """
    count = 0
    save = Periodic(lambda: write_json(path, results) if path else None)

    def done() -> None:
        nonlocal count
        count += 1
        save()

    try:
        yield done
    except KeyboardInterrupt:
        kept = f"are in {path}" if path and count else "were done"
        kept += "" if path else "; --results would have kept them"
        raise KeyboardInterrupt(f"interrupted; {count} of {total} images {kept}") from None
    finally:  # also after an error: an hour of results must not be lost for the last image
        if count:
            save.now()
