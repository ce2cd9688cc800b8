"""Which images a large job looks at: a sorted list, cut into shards of equal length."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from associative_embedding.io.find_images import EXTENSIONS, find_images
from associative_embedding.io.object_stores import error_at, is_remote, list_store, open_dataset
from associative_embedding.io.optional_packages import need

COLUMN = "path"  # of a parquet file of paths


def list_images(source: str, *, recursive: bool) -> list[str]:
    """The images that one source stands for; nothing is read of them.

    Args:
        source: a file, folder, pattern or web address (see `io.find_images`); a URI of an object store, of an
            image or of a folder; or a ``.parquet`` file with a column ``path`` of any of these but folders.

    Raises:
        ValueError: for a source that stands for no image.
        OSError: for a store that cannot be listed.
    """
    if source.lower().endswith((".parquet", ".parquet/")):
        return paths_of_table(source)
    if not is_remote(source):
        return find_images([source], recursive=recursive)
    if source.lower().endswith(EXTENSIONS):
        return [source]
    if any(letter in source for letter in "*?["):
        raise ValueError(f"{source}: patterns are of this machine's files; name the folder, or a parquet of paths")
    found = [uri for uri in list_store(source, recursive=recursive) if uri.lower().endswith(EXTENSIONS)]
    if not found:
        raise ValueError(f"{source}: holds no image ({', '.join(EXTENSIONS)})")
    return found


def paths_of_table(source: str) -> list[str]:
    """The column `COLUMN` of a parquet file, or of a folder of such files.

    Raises:
        ValueError: when there is no such column of texts, or no row.
    """
    need("pyarrow", "ray", "--engine ray")
    try:
        table = open_dataset(source)
        if COLUMN not in table.schema.names:
            raise ValueError(f"needs a column {COLUMN!r}, it has {', '.join(table.schema.names)}")
        paths: list[Any] = table.to_table(columns=[COLUMN])[COLUMN].to_pylist()
    except (OSError, ValueError) as error:
        raise ValueError(error_at(source, error)) from None
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise ValueError(f"{source}: the column {COLUMN!r} must hold texts, one an image, and at least one")
    return paths


def sorted_once(paths: Iterable[str]) -> list[str]:
    """Each path once, sorted, so that the same sources give the same shards whatever their order."""
    return sorted(set(paths))


def digest(paths: Sequence[str]) -> str:
    """SHA-256 of a list of paths."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.encode("utf-8", "surrogateescape") + b"\0")
    return total.hexdigest()


def shards(paths: Sequence[str], size: int) -> Iterator[tuple[int, list[str]]]:
    """Number and paths of each shard of `size` images; the last one may have fewer."""
    for number, first in enumerate(range(0, len(paths), size)):
        yield number, list(paths[first : first + size])
