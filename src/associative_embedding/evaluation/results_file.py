"""Official results, kept while an evaluation works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from associative_embedding.io.files import Periodic, write_json


@contextmanager
def keeping(results: list[dict[str, Any]], path: str | None, total: int) -> Iterator[Callable[[], None]]:
    """Gives a function to call after each of `total` images; the results so far are written to `path` now and then.

    Raises:
        KeyboardInterrupt: saying what was kept.
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
    finally:  # what was computed is kept, whatever comes in between
        if count:
            save.now()
