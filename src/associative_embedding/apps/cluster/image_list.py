"""Lists the images of a large job, and cuts the sorted list into shards of equal length."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from associative_embedding.io.find_images import EXTENSIONS, find_images
from associative_embedding.io.object_stores import error_at, is_remote, list_store, open_dataset
from associative_embedding.io.optional_packages import need

PATH_COLUMN = "path"  # column of a parquet file that lists images


def list_images(source: str, *, recursive: bool) -> list[str]:
    """Returns the paths and addresses of the images in one source, without reading an image.

    Args:
        source: a file, folder, pattern or web address (see `io.find_images`); the URI of an image or a folder in an
            object store; or a ``.parquet`` file whose column ``path`` contains files, web addresses and URIs of images.
        recursive: include the images in subfolders.

    Raises:
        ValueError: for a source without images.
        OSError: for a store that cannot be listed.
    """
    if source.lower().endswith((".parquet", ".parquet/")):
        return read_path_column(source)
    if not is_remote(source):
        return find_images([source], recursive=recursive)
    # By the name alone, as for files: an image that does not exist becomes a row with an error later.
    if source.lower().endswith(EXTENSIONS):
        return [source]
    if any(letter in source for letter in "*?["):
        raise ValueError(f"{source}: an object store has no patterns; name the folder, or a .parquet file of paths")
    found = [uri for uri in list_store(source, recursive=recursive) if uri.lower().endswith(EXTENSIONS)]
    if not found:
        raise ValueError(f"{source}: contains no image ({', '.join(EXTENSIONS)})")
    return found


def read_path_column(source: str) -> list[str]:
    """Returns the column `PATH_COLUMN` of a parquet file, or of all parquet files in a folder.

    Raises:
        ValueError: when the file cannot be read, or its column is missing, empty, or contains something else than text.
    """
    need("pyarrow", "ray", "--engine ray")
    try:
        table = open_dataset(source)
        if PATH_COLUMN not in table.schema.names:
            raise ValueError(f"has no column {PATH_COLUMN!r}, only {', '.join(table.schema.names)}")
        paths: list[Any] = table.to_table(columns=[PATH_COLUMN])[PATH_COLUMN].to_pylist()
    except (OSError, ValueError) as error:
        raise ValueError(error_at(source, error)) from None
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise ValueError(f"{source}: the column {PATH_COLUMN!r} must contain one text per image, and at least one")
    return paths


def sorted_once(paths: Iterable[str]) -> list[str]:
    """Returns each path once, sorted: then the shards do not depend on the order of the sources."""
    return sorted(set(paths))


def list_digest(paths: Sequence[str]) -> str:
    """Returns the SHA-256 of a list of paths."""
    total = hashlib.sha256()
    for path in paths:
        # A zero byte ends each path, as no path contains one: otherwise [ab, c] and [a, bc] would be equal.
        total.update(path.encode("utf-8", "surrogateescape") + b"\0")
    return total.hexdigest()


def cut_into_shards(paths: Sequence[str], size: int) -> Iterator[tuple[int, list[str]]]:
    """Yields number (from 0) and paths of each shard. A shard has `size` images; the last one may have fewer."""
    for number, first in enumerate(range(0, len(paths), size)):
        yield number, list(paths[first : first + size])
