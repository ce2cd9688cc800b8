"""Where inputs that are fuzzed lie, and which errors they may raise."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.label_data import dataset, write_images


@functools.cache
def folder() -> Path:
    """A folder for the inputs, with two images of 80 x 60 pixels; it is removed at the end of the process."""
    path = Path(tempfile.mkdtemp(prefix="fuzz-"))
    (path / "images").mkdir()
    write_images(path / "images", dataset())
    atexit.register(shutil.rmtree, path, True)
    return path


def on_disk(data: bytes, name: str) -> Path:
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@contextmanager
def refusing(errors: tuple[type[Exception], ...] = (ValueError,)) -> Iterator[None]:
    """Lets these errors pass, if they have one line, so that a target can go on with the next reader."""
    try:
        yield
    except errors as error:
        if "\n" in str(error):
            raise AssertionError(f"several lines: {error!s:.300}") from error
