"""HDF5 files of others: what is in the file itself, within limits. A link may lead into any file of the machine."""

from __future__ import annotations

from typing import Any

import numpy as np

from associative_embedding.io.optional_packages import need
from associative_embedding.structures.arrays import Array

MAX_TABLE = 2**30  # bytes in memory, of one table


def own(file: Any, name: str) -> Any | None:
    """The group or dataset `name`, ``a/b``, of an open file; None if there is none.

    Raises:
        ValueError: when a link to elsewhere is on the way, or its data are in another file.
    """
    h5py = need("h5py", "sleap")
    node, parts = file, name.strip("/").split("/")
    for i, part in enumerate(parts, start=1):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{file.filename}: {'/'.join(parts[:i])} is not a table of the file itself")
        node = node[part]
    if isinstance(node, h5py.Dataset) and (node.is_virtual or node.external):
        raise ValueError(f"{file.filename}: {name} is not a table of the file itself")
    return node


def table(file: Any, name: str) -> Array | None:
    """All values of a dataset of the file itself; None if there is no such dataset.

    Raises:
        ValueError: see `own`; or when it is too large or damaged.
    """
    dataset = own(file, name)
    if dataset is None or not hasattr(dataset, "dtype"):
        return None
    if dataset.size * dataset.dtype.itemsize > MAX_TABLE:
        raise ValueError(f"{file.filename}: {name} is larger than {MAX_TABLE >> 20} MB; split the file")
    try:
        return np.asarray(dataset[()])
    except OSError as error:
        raise ValueError(f"{file.filename}: {name} cannot be read, the file is damaged ({error})") from None
