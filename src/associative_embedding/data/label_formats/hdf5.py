"""Reads HDF5 files of unknown origin: only data in the file itself, within limits that its size sets.

A link in an HDF5 file can lead into any other file of the machine, whose content would then appear in the output. A
table can state any number of rows that are not there, and a packed part of it can unpack to more than it states, which
the HDF5 library does not notice. So sizes are compared, and packed parts unpacked here, before the library reads them.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from associative_embedding.io.optional_packages import need
from associative_embedding.structures.arrays import Array

MAX_TABLE = 2**30  # bytes of one table in memory
MAX_TEXT = 64 * 2**20  # bytes of json, which takes 20 times as much as objects of Python
# bytes that a file of any size may unpack to, and how many times its size in addition
TABLE_FLOOR, TABLE_RATIO = 32 * 2**20, 100
TEXT_FLOOR, TEXT_RATIO = 2**20, 20
GZIP, SHUFFLE, CHECKSUM = 1, 2, 3  # numbers of HDF5's filters
CACHE = 64 * 2**20  # bytes of unpacked parts that the library keeps: else it unpacks a part for each of its rows


def own_node(file: Any, name: str) -> Any | None:
    """Returns a group or dataset of an open file, or None if there is none.

    Args:
        file: an open ``h5py.File``.
        name: its path in the file, ``a/b``.

    Raises:
        ValueError: if a part of the path is a link, or the data are in another file.
    """
    h5py = need("h5py", "sleap")
    node, parts = file, name.strip("/").split("/")
    for i, part in enumerate(parts, start=1):
        # each step by itself: h5py would follow a link in the middle of a path without notice
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{file.filename}: {'/'.join(parts[:i])} is not a table of the file itself")
        node = node[part]
    if isinstance(node, h5py.Dataset) and (node.is_virtual or node.external):
        raise ValueError(f"{file.filename}: {name} is not a table of the file itself")
    return node


def read_table(file: Any, name: str) -> Array | None:
    """Returns all values of a dataset of numbers of the file itself, or None if there is none.

    Arguments: see `own_node`.

    Raises:
        ValueError: as `own_node` and `checked_dataset`, and if the dataset is damaged.
    """
    dataset = checked_dataset(file, name)
    if dataset is None:
        return None
    if dataset.dtype.hasobject:  # each value may be as large as the file
        raise ValueError(f"{file.filename}: {name} must be a table of numbers")
    try:
        return np.asarray(dataset[()])
    except OSError as error:
        raise ValueError(f"{file.filename}: {name} cannot be read, the file is damaged ({error})") from None


def read_json_rows(file: Any, name: str) -> list[Any]:
    """Returns the parsed rows of a dataset of json texts; empty if there is none. Arguments: see `own_node`.

    Raises:
        ValueError: as `read_table`, and for texts that are too large together or no json.
    """
    if (dataset := checked_dataset(file, name)) is None:
        return []
    left = allowed(file, MAX_TEXT, TEXT_FLOOR, TEXT_RATIO)
    rows = []
    # one by one: thousands of rows may refer to one long text of the file
    for i in range(len(dataset)):
        text = as_bytes(dataset[i])
        left -= len(text) + 1
        if left < 0:
            raise ValueError(f"{file.filename}: the texts of {name} are larger than the file explains; save it anew")
        rows.append(json.loads(text))
    return rows


def read_attribute(file: Any, node: Any, name: str, default: Any = None) -> Any:
    """Returns a small attribute of a group or dataset of an open file, as h5py reads it.

    Raises:
        ValueError: for an attribute that is larger than the file explains.
    """
    if name not in node.attrs:
        return default
    attribute = node.attrs.get_id(name)
    count, kind = attribute.get_space().get_simple_extent_npoints(), attribute.get_type()
    limit = allowed(file, MAX_TEXT, TEXT_FLOOR, TEXT_RATIO)
    several = count > 1 and attribute.dtype.hasobject  # each value may refer to one long text of the file
    if several or count * kind.get_size() > limit:
        raise ValueError(f"{file.filename}: the attribute {name!r} is larger than the file explains; save it anew")
    return node.attrs[name]


def as_bytes(text: Any) -> bytes:
    """Returns a text as bytes; h5py returns a text, bytes or an array of bytes, depending on who wrote the file."""
    if isinstance(text, str):
        return text.encode("utf-8", "surrogateescape")
    return text.tobytes() if isinstance(text, (np.ndarray, np.generic)) else bytes(text)


def checked_dataset(file: Any, name: str) -> Any | None:
    """Returns a dataset of the file itself that can be read, or None if there is none. Arguments: see `own_node`.

    Raises:
        ValueError: if it states or unpacks to more bytes than the size of the file explains.
    """
    dataset = own_node(file, name)
    if dataset is None or getattr(dataset, "shape", None) is None:
        return None
    where, limit = f"{file.filename}: {name}", allowed(file, MAX_TABLE, TABLE_FLOOR, TABLE_RATIO)
    # a text of any length takes twice the bytes in the file that h5py states, for its length and its place
    row = max(dataset.dtype.itemsize, dataset.id.get_type().get_size()) * (1 + dataset.dtype.hasobject)
    part = math.prod(dataset.chunks or (0,)) * row
    if (stated := max(part, math.prod(dataset.shape) * row)) > limit:
        raise ValueError(
            f"{where} states {stated >> 20} MB; of a file of this size {limit >> 20} MB are read; split the file, or "
            "save it without compression"
        )
    if dataset.chunks:
        check_packing(dataset, part, where)
    return dataset


def allowed(file: Any, most: int, floor: int, ratio: int) -> int:
    """Returns how many bytes a part of an open file may have in memory."""
    return min(most, floor + ratio * Path(file.filename).stat().st_size)


def check_packing(dataset: Any, size: int, where: str) -> None:
    """Checks that each packed part of a dataset unpacks to the bytes that it states.

    Args:
        dataset: in parts.
        size: bytes of an unpacked part.
        where: file and dataset, for the messages.

    Raises:
        ValueError: if a part is larger, or packed in another way than by gzip.
    """
    plan = dataset.id.get_create_plist()
    filters = [int(plan.get_filter(i)[0]) for i in range(plan.get_nfilters())]
    # Packed twice, a kilobyte holds a gigabyte. gzip comes last, so that its data can be unpacked here.
    after = filters[filters.index(GZIP) + 1 :] if GZIP in filters else []
    if len(filters) > len({*filters}) or not {*filters} <= {GZIP, SHUFFLE, CHECKSUM} or SHUFFLE in after:
        raise ValueError(
            f"{where} is packed by the filters {filters}, which are not read; save it with gzip or without"
        )
    for offset, stored in parts_of(dataset):
        # what hardly packs grows a little
        if stored > size + size // 8 + 1024 or (GZIP in filters and inflates_beyond(dataset, offset, size + 1024)):
            raise ValueError(f"{where} unpacks to more than it states; the file is damaged or was made to fill memory")


def parts_of(dataset: Any) -> Iterator[tuple[tuple[int, ...], int]]:
    """Yields the first index and the stored bytes of each part of a dataset that is in the file."""
    found: list[tuple[tuple[int, ...], int]] = []
    dataset.id.chunk_iter(lambda part: found.append((part.chunk_offset, part.size)))
    yield from found


def inflates_beyond(dataset: Any, offset: tuple[int, ...], limit: int) -> bool:
    """Whether a part that gzip packed unpacks to more than `limit` bytes; a damaged one is reported when it is read."""
    _, data = dataset.id.read_direct_chunk(offset)
    try:
        return len(zlib.decompressobj().decompress(data, limit + 1)) > limit
    except zlib.error:
        return False
