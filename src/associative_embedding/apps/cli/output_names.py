"""Names for the files that ``ae predict`` writes: the name of the source, and a hash of its path only where needed."""

from __future__ import annotations

import hashlib
import os
import re
import urllib.parse
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

LONGEST = 57  # characters of four bytes, which leave room in 255 bytes for the longest ending, -<hash>-labels.tiff
PLANE = re.compile(r"#(\d+|(?=[tz])(t\d+)?(z\d+)?)$")  # behind the name of an image of several planes
Files = Callable[[str, str], Sequence[Path]]  # a source and the stem of its files -> the files


def choose_stems(sources: Sequence[str], files: Files, taken: Collection[str | Path] = ()) -> dict[str, str]:
    """Returns the stem of the files of each source: its own name, such as ``photo`` of ``holiday/photo.png``.

    Sources that would have a file in common, or one that is taken, have a hash of their path or address behind their
    name. So the result depends on the command alone, not on what is on the disk.

    Args:
        sources: all sources of the command.
        files: returns the files that a source would have with a stem.
        taken: files that may not be written, such as the sources themselves.
    """
    plain = {source: [same_name(path) for path in files(source, stem_of(source))] for source in sources}
    count = Counter(path for paths in plain.values() for path in paths)
    closed = {same_name(path) for path in taken if "://" not in str(path)}
    free = {source: all(count[path] == 1 and path not in closed for path in paths) for source, paths in plain.items()}
    return {source: stem_of(source) if free[source] else hashed_stem(source) for source in sources}


def same_name(path: str | Path) -> str:
    """Returns one text for all names of a file on systems that ignore case, too."""
    return os.path.abspath(path).casefold()


def stem_of(source: str) -> str:
    """Returns the name of a source without folder and ending, in characters that every file system allows."""
    is_url, is_folder = "://" in source, os.path.isdir(source)
    # "." and "frames/" have the name of their folder.
    path = urllib.parse.unquote(re.split("[?#]", source)[0]) if is_url else os.path.abspath(source)
    folder, name = os.path.split(path.rstrip("/"))
    name = name if is_folder else os.path.splitext(name)[0]
    return allowed(name) or allowed(os.path.basename(folder)) or "image"


def hashed_stem(source: str) -> str:
    """Returns the stem with the first digits of the SHA-256 of the absolute path or the address."""
    whole = source if "://" in source else os.path.abspath(source)
    return f"{stem_of(source)}-{hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]}"


def allowed(name: str) -> str:
    """Returns a name without characters that some file systems refuse, and not too long."""
    return re.sub(r"[^\w.-]+", "_", name)[:LONGEST].strip("._")


def image_of(name: str) -> str:
    """Returns the name of the image of a plane, such as ``stack.tif`` of ``stack.tif#t2``; others as they are."""
    return PLANE.sub("", name)


def plane_path(path: Path, name: str) -> Path:
    """Returns the path of the picture of a plane: ``stack-t2.jpg`` for ``stack.jpg`` and ``stack.tif#t2``."""
    title = name.removeprefix(image_of(name)).removeprefix("#")
    return path.with_stem(f"{path.stem}-{title}")


def picture_ending(source: str) -> str:
    """Returns the ending of a source's annotated picture: ``.png`` for a ``.png``, else ``.jpg``."""
    return ".png" if re.split("[?#]", source)[0].lower().endswith(".png") else ".jpg"
