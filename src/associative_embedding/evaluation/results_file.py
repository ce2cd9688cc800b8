"""Official results, written now and then during an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from associative_embedding.io.files import Periodic, check_writable, write_json
from associative_embedding.io.outputs import check_apart, check_output, marked, own_form, own_json

COMMAND = "ae evaluate"
# COCO's results are a list, which has no place for a mark. Other tools write other keys, or another order, or no end of
# the last line.
ROW = (
    r'\{"image_id": \d+, "category_id": \d+, '
    r'("keypoints": \[[^]{}]*\]|"segmentation": \{"size": \[\d+, \d+\], "counts": "[^"]*"\}), "score": [\d.e-]+\}'
)
OWN_RESULTS = own_form(rf"\[(\]|{ROW}[,\]])", rb"\]\n")


def check_outputs(inputs: Sequence[str | None], json: str | None, results: str | None = None) -> None:
    """Checks that the files can be written, before the hours that an evaluation may take.

    Args:
        inputs: the files that the evaluation reads.
        json: file for metrics; None = none.
        results: file for official results; None = none.

    Raises:
        ValueError: for an input, or a file that no evaluation wrote.
        OSError: for a file that cannot be written.
    """
    check_apart(json, results)
    for path, own in ((results, OWN_RESULTS), (json, own_json(COMMAND))):
        if path:
            check_output(path, own, inputs)
            check_writable(path)


def write_metrics(path: str, document: dict[str, Any]) -> None:
    """Writes a file with metrics, which a later evaluation may overwrite.

    Raises:
        ValueError, OSError: see `write_json`.
    """
    write_json(path, marked(document, COMMAND))


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
