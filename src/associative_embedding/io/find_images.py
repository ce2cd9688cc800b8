"""Finds the images that files, folders, patterns and URLs stand for."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence

from associative_embedding.io.decode_images import ImageError

EXTENSIONS = (".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def find_images(sources: Sequence[str], *, recursive: bool = False) -> list[str]:
    """Returns the paths and URLs of images, each once, in the order of the sources.

    Args:
        sources: A file or URL is taken with any name. A folder or glob pattern gives its files with one of
            `EXTENSIONS` in upper or lower case, sorted by name, without hidden files.
        recursive: a folder also gives the images of its subfolders.

    Raises:
        ImageError: for a source without an image.
    """
    return each_once(path for source in sources for path in _expand(source, recursive))


def each_once(paths: Iterable[str]) -> list[str]:
    """Returns the paths and URLs without repetitions, in their order; two spellings of one path count as one."""
    found: dict[str, str] = {}  # absolute path -> the path as it was given
    for path in paths:
        found.setdefault(path if "://" in path else os.path.abspath(path), path)
    return list(found.values())


def _expand(source: str, recursive: bool) -> list[str]:
    # A file first: its name may have letters of a pattern, as in x[1].png.
    if "://" in source or os.path.isfile(source):
        return [source]
    if os.path.isdir(source):
        paths = _files_of_folder(source, recursive)
        fault = "holds no image"
    elif glob.has_magic(source):
        paths = (path for path in glob.iglob(source, recursive=True) if os.path.isfile(path))
        fault = "matches no image"
    else:
        raise ImageError(source, "no such file, folder or pattern")
    images = sorted(path for path in paths if path.lower().endswith(EXTENSIONS))
    if not images:
        raise ImageError(source, f"{fault} ({', '.join(EXTENSIONS)})")
    return images


def _files_of_folder(folder: str, recursive: bool) -> Iterator[str]:
    def fail(error: OSError) -> None:  # os.walk ignores folders that cannot be listed
        raise ImageError(folder, error.strerror or error) from None

    for parent, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        yield from (os.path.join(parent, name) for name in names if not name.startswith("."))
