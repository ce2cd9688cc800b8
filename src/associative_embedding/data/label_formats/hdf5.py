"""Reads HDF5 files of unknown origin: only data in the file itself, within limits.

A link in an HDF5 file can lead into any other file of the machine, whose content would then appear in the output.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from associative_embedding.io.optional_packages import need
from associative_embedding.structures.arrays import Array

MAX_TABLE = 2**30  # bytes of one table in memory: compressed, a few kilobytes can hold any number of them


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
    """Returns all values of a dataset of the file itself, or None if there is none. Arguments: see `own_node`.

    Raises:
        ValueError: as `own_node`, and if the dataset is too large or damaged.
    """
    dataset = own_node(file, name)
    if dataset is None or not hasattr(dataset, "dtype"):
        return None
    if dataset.size * dataset.dtype.itemsize > MAX_TABLE:
        raise ValueError(f"{file.filename}: {name} is larger than {MAX_TABLE >> 20} MB; split the file")
    try:
        return np.asarray(dataset[()])
    except OSError as error:
        raise ValueError(f"{file.filename}: {name} cannot be read, the file is damaged ({error})") from None
