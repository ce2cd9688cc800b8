"""Official results, written now and then during an evaluation."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from associative_embedding.io.files import Periodic, atomic_write, check_writable, json_text, write_json
from associative_embedding.io.outputs import MARK, check_apart, check_output, marked, own_form, own_json, own_mark

COMMAND = "ae evaluate"
WriteResults = Callable[[str, list[dict[str, Any]]], None]  # writes results to a path
# COCO's results are a list, which has no place for a mark. Other tools write other keys, or another order, or no end of
# the last line.
ROW = (
    r'\{"image_id": \d+, "category_id": \d+, '
    r'("keypoints": \[[^]{}]*\]|"segmentation": \{"size": \[\d+, \d+\], "counts": "[^"]*"\}), "score": [\d.e-]+'
    r'(, "mpii_group": -?\d+)?\}'
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
    own_results = own_mark() if results and results.lower().endswith((".zip", ".mat")) else OWN_RESULTS
    for path, own in ((results, own_results), (json, own_json(COMMAND))):
        if path:
            check_output(path, own, inputs)
            check_writable(path)


def write_metrics(path: str, document: dict[str, Any]) -> None:
    """Writes a file with metrics, which a later evaluation may overwrite.

    Raises:
        ValueError, OSError: see `write_json`.
    """
    write_json(path, marked(document, COMMAND))


def is_zip(path: str) -> bool:
    """Whether results at a path are zipped, as COCO's server takes them."""
    return path.lower().endswith(".zip")


def write_results(path: str, results: list[dict[str, Any]]) -> None:
    """Writes official results as json; where the path ends in ``.zip``, into a zip file as a json of the same name.

    Raises:
        ValueError, OSError: see `write_json`.
    """
    if not is_zip(path):
        write_json(path, results)
        return
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = MARK  # the list has no place for a mark, see `OWN_RESULTS`
        entry = zipfile.ZipInfo(f"{Path(path).stem}.json")  # without a date: equal results are equal files
        entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
        archive.writestr(entry, json_text(path, results))
    atomic_write(path, buffer.getvalue())


@contextmanager
def keeping(
    results: list[dict[str, Any]], path: str | None, total: int, write: WriteResults = write_results
) -> Iterator[Callable[[], None]]:
    """Keeps the results of an evaluation, however it ends.

    Args:
        results: grows with each image.
        path: file for the results; None = they are not written.
        total: number of images.
        write: writes the results to the file.

    Yields:
        a function to call after each image.

    Raises:
        KeyboardInterrupt: with the number of images that are done.
    """
    count = 0
    save = Periodic(lambda: write(path, results) if path else None)

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
