"""Finds the images that files, folders, patterns and URLs stand for."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from itertools import islice

from associative_embedding.io.console import list_briefly, remark
from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.outputs import is_drawn
from associative_embedding.io.zarr_images import ENDING, is_zarr

# HEIC and JPEG XL are found, too, although they cannot be read: a line must say so for each of them.
EXTENSIONS = tuple(
    ".apng .avif .bmp .dib .gif .heic .heif .j2k .jfif .jp2 .jpe .jpeg .jpg .jxl .pbm .pgm .png .pnm .ppm .tif .tiff "
    ".webp .zarr".split()
)


LOOKED_AT = 10_000  # files in subfolders, for a hint


def find_images(sources: Sequence[str], *, recursive: bool = False) -> list[str]:
    """Returns the paths and URLs of images, each once, in the order of the sources.

    Args:
        sources: A file or URL is taken with any name. A folder or glob pattern gives its files with one of
            `EXTENSIONS` in upper or lower case, sorted by name, without hidden files and the pictures that ``ae
            predict`` wrote; lines count the other files and the pictures.
        recursive: a folder also gives the images of its subfolders, also where they are links.

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
    # A file or folder first: its name may have letters of a pattern, as in x[1].png.
    if "://" in source or os.path.isfile(source) or is_zarr(source):
        return [source]
    if os.path.isdir(source):
        paths = list(files_of_folder(source, recursive=recursive))
        if not recursive and not any(map(is_image, paths)) and (below := image_below(source)):
            raise ImageError(source, f"holds no image, but its subfolders do ({below}); add --recursive")
        fault = "holds no image"
    elif glob.has_magic(source):
        paths = files_of_pattern(source)
        fault = "matches no image"
    else:
        raise ImageError(source, "no such file, folder or pattern")
    return keep_images(paths, source, fault)


def is_image(path: str) -> bool:
    """Returns whether a file has one of `EXTENSIONS`."""
    return path.lower().endswith(EXTENSIONS)


def image_below(folder: str) -> str | None:
    """Returns an image in a subfolder, if there is one among the first `LOOKED_AT` files."""
    try:
        return next(filter(is_image, islice(files_of_folder(folder, recursive=True), LOOKED_AT)), None)
    except ImageError:  # of a subfolder that may not be read
        return None


def keep_images(paths: Iterable[str], source: str, fault: str) -> list[str]:
    """Returns the paths with one of `EXTENSIONS`, sorted, without drawn pictures; lines count what is left out.

    Args:
        paths: files, none of them hidden.
        source: the folder or pattern, for messages.
        fault: the message if no image is left.

    Raises:
        ImageError: if no image is left.
    """
    images: list[str] = []
    others: list[str] = []
    for path in sorted(paths):
        (images if is_image(path) else others).append(path)
    images = without_drawn(images, source)
    names = list_briefly([os.path.basename(path) for path in others])
    if not images:
        found = f"; its files have other endings: {names}" if others else ""
        raise ImageError(source, f"{fault} ({', '.join(EXTENSIONS)}){found}")
    if others:
        noun = "1 file has" if len(others) == 1 else f"{len(others)} files have"
        remark(f"{source}: {noun} no ending of an image and {'is' if len(others) == 1 else 'are'} left out ({names})")
    return images


def without_drawn(paths: Sequence[str], source: str) -> list[str]:
    """Returns the paths without pictures and films that ``ae predict`` wrote; a line counts these.

    Where the output folder is among the sources, a second run would otherwise find people in the results of the first.
    """
    drawn = dict.fromkeys(path for path in paths if is_drawn(path))
    if drawn:
        names = list_briefly([os.path.basename(path) for path in drawn])
        noun = "1 file that ae predict wrote is" if len(drawn) == 1 else f"{len(drawn)} files that ae predict wrote are"
        remark(f"{source}: {noun} left out ({names})")
    return [path for path in paths if path not in drawn]


def files_of_pattern(pattern: str) -> list[str]:
    """Returns the files that a glob pattern stands for.

    What exists is no pattern: in ``set[1]/*.png`` the folder is taken as it is written, and in ``film[1]*.png`` the
    brackets, unless the pattern has matches.
    """
    pattern = pattern.replace(os.altsep or os.sep, os.sep)
    parts = pattern.split(os.sep)
    heads = (os.sep.join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
    folder = next((head for head in heads if os.path.isdir(head)), "")
    rest = pattern[len(folder) :]
    choices = (glob.escape(folder) + choice for choice in (rest, rest.replace("[", "[[]")))
    return next((found for choice in choices if (found := glob_files(choice))), [])


def glob_files(pattern: str) -> list[str]:
    """Returns the files that match a pattern. ``**`` stands for any folders inside, each once, see `files_of_folder`.

    The library's own ``**`` follows links around in circles.
    """
    parts = pattern.split(os.sep)
    if "**" not in parts:
        return [path for path in glob.iglob(pattern) if os.path.isfile(path)]
    place = parts.index("**")
    start, wanted = os.sep.join([*parts[:place], ""]), parts[place:]
    folders = glob.iglob(start) if start else [os.curdir]
    files = [(path, folder) for folder in folders for path in files_of_folder(folder, recursive=True)]
    found = [path for path, folder in files if fits(os.path.relpath(path, folder).split(os.sep), wanted)]
    return found if start else [os.path.relpath(path) for path in found]


def fits(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Returns whether the folders and the file of a path match the parts of a pattern, of which some may be ``**``."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(fits(path[first:], pattern[1:]) for first in range(len(path) + 1))
    return bool(path) and fnmatch(path[0], pattern[0]) and fits(path[1:], pattern[1:])


def files_of_folder(folder: str, *, recursive: bool) -> Iterator[str]:
    """Yields the files in a folder, without hidden ones: macOS puts ``._x.jpg`` beside ``x.jpg``.

    Args:
        folder: the folder.
        recursive: also of its subfolders, and of folders that it has links to. Each folder is listed once, so links
            that lead back into a folder above end.

    Raises:
        ImageError: for a folder that cannot be listed.
    """
    waiting, listed = [folder], set()
    while waiting:
        here = waiting.pop()
        try:
            status = os.stat(here)
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            raise ImageError(here, error.strerror or error) from None
        if (status.st_dev, status.st_ino) in listed:
            continue
        listed.add((status.st_dev, status.st_ino))
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        stores = [entry for entry in shown if entry.name.endswith(ENDING) and is_zarr(entry.path)]
        shown = [entry for entry in shown if entry not in stores]
        yield from (entry.path for entry in [*stores, *shown] if entry in stores or not entry.is_dir())
        if recursive:
            # The real folders are at the end, and so first: their images keep the names without a link.
            waiting += [entry.path for entry in shown if entry.is_dir() and entry.is_symlink()]
            waiting += [entry.path for entry in shown if entry.is_dir() and not entry.is_symlink()]
