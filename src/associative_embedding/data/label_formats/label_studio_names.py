"""The file names of the images in Label Studio's tasks; see `label_studio` for the format.

Label Studio writes where it has an image: an upload (``/data/upload/1/1a2b3c4d-a.jpg``), a local file
(``/data/local-files/?d=day1/a.jpg``), or an address (``s3://bucket/day1/a.jpg``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from associative_embedding.io.console import Notes
from associative_embedding.io.find_images import EXTENSIONS

MAX_NAME = 4096  # characters of a file's name
MAX_PARTS = 50  # folders at the end of an address that may be those of a file; a picture may stand in the address
UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")  # before the name of an upload


def image_names(tasks: Sequence[tuple[str, Mapping[str, Any]]], images: str | Path | None, notes: Notes) -> list[str]:
    """Returns the file name of each task's image: the last part of its address.

    A name keeps its folders if the address is of a local file, or if another image has the same last part. If the
    folder of images has a file with an end of the address as its name, this is the name.

    Args:
        tasks: task for error messages, and its ``data``.
        images: folder of the images.
        notes: of the file.

    Raises:
        ValueError: if a task has no address of an image.
    """
    paths = [address_path(image_address(data, where, notes), where) for where, data in tasks]
    last = [path if local else path.rsplit("/", 1)[-1] for path, local in paths]
    whole = without_shared_folders([path for path, _ in paths])
    counts = Counter(last)
    names = [path if counts[name] > 1 else name for name, path in zip(last, whole, strict=True)]
    return [
        name if images is None else name_in(images, path, name) for name, (path, _) in zip(names, paths, strict=True)
    ]


def image_address(data: Mapping[str, Any], where: str, notes: Notes) -> str:
    """Returns the address of a task's image, among all columns of the task.

    The key is the project's choice: ``image`` by custom. Otherwise it is the first text with the ending of an image,
    or the only text.

    Raises:
        ValueError: if no text can be an address.
    """
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value}
    named = {key: value for key, value in texts.items() if is_image(value)}
    if "image" in texts and (not named or "image" in named):
        return texts["image"]
    if len(named) > 1:
        first, *others = named
        notes.add(
            f"the image is '{first}', not {', '.join(others)}", "task", where.removeprefix(f"{notes.where}: task ")
        )
    if not named and len(texts) != 1:
        raise ValueError(f"{where}: 'data' names no image ({', '.join(map(str, data)) or 'it is empty'})")
    return next(iter((named or texts).values()))


def is_image(address: str) -> bool:
    """Whether an address has the ending of an image."""
    try:
        return any(text.lower().endswith(EXTENSIONS) for text in (address, urlsplit(address).path))
    except ValueError:
        return False


def address_path(address: str, where: str) -> tuple[str, bool]:
    """Returns the path in an address, and whether it is a local file (``?d=``), whose path is that in its folder.

    Raises:
        ValueError: if it is no address of a file.
    """
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise ValueError(f"{where}: {address!r:.60} is no address of an image ({error})") from None
    local = parse_qs(parts.query).get("d")
    path = local[0] if local else unquote(parts.path)
    if not path.rsplit("/", 1)[-1]:
        raise ValueError(f"{where}: {address!r:.60} names no image")
    return path.lstrip("/"), local is not None


def without_shared_folders(paths: Sequence[str]) -> list[str]:
    """Returns paths without the folders that all of them share."""
    folders = [path.split("/")[:-1] for path in paths]
    shared = next((i for i, parts in enumerate(zip(*folders, strict=False)) if len(set(parts)) > 1), None)
    count = min(map(len, folders), default=0) if shared is None else shared
    return ["/".join(path.split("/")[count:]) for path in paths]


def name_in(images: str | Path, path: str, name: str) -> str:
    """Returns the longest end of a path that is a file in the folder, as it is or without the prefix of an upload.

    Args:
        images: the folder.
        path: the path in an address.
        name: the name if the folder has no such file.
    """
    parts = path.split("/")[-MAX_PARTS:]
    ends = ["/".join(parts[i:]) for i in range(len(parts))]
    # eight hexadecimal digits and a hyphen may also begin the name of a file that was not uploaded
    bare = ["/".join([*parts[i:-1], UPLOAD.sub("", parts[-1], count=1)]) for i in range(len(parts))]
    return next(
        (end for end in [*ends, *bare] if ".." not in parts and len(end) < MAX_NAME and (Path(images) / end).is_file()),
        name,
    )
