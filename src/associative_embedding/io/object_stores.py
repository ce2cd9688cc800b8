"""Files of this machine, and of object stores by their URI (``s3://bucket/key``).

Object stores are read and written by pyarrow (the extra ``[ray]``), imported when a URI is first used.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from associative_embedding.io.console import one_line
from associative_embedding.io.files import atomic_write
from associative_embedding.io.optional_packages import need

WEB = ("http://", "https://")
MAX_REASON = 500  # characters of an error: messages of object stores contain whole requests


def is_remote(path: str) -> bool:
    """Returns whether a path is the URI of an object store; web addresses are not."""
    return "://" in path and not path.lower().startswith(WEB)


def open_store(uri: str) -> tuple[Any, str, str]:
    """Opens the file system of a URI.

    pyarrow has file systems for s3, gs, hdfs and file. For other schemes fsspec is tried, if it is installed with the
    package of that store.

    Returns:
        the file system, the path in it, and the beginning of the URI before that path.

    Raises:
        ValueError: for an unknown scheme, or without pyarrow.
    """
    fs = need("pyarrow.fs", "ray", "--engine ray")
    try:
        system, path = fs.FileSystem.from_uri(uri)
    except (ValueError, OSError) as error:
        try:
            from fsspec.core import url_to_fs

            fsspec_system, path = url_to_fs(uri)
        except (ImportError, ValueError, OSError):
            raise ValueError(f"{uri}: no such store ({one_line(error)})") from None
        system = fs.PyFileSystem(fs.FSSpecHandler(fsspec_system))
    # A store's path may be spelled differently from the URI; then the scheme is all that both have in common.
    return system, path, uri[: len(uri) - len(path)] if uri.endswith(path) else uri.partition("://")[0] + "://"


def open_dataset(path: str) -> Any:
    """Returns pyarrow's data set of a parquet file or of a folder of them, on this machine or in a store.

    Raises:
        ValueError: see `open_store`.
        OSError: when it cannot be read.
    """
    dataset = need("pyarrow.dataset", "ray", "--engine ray")
    system, path = open_store(path)[:2] if is_remote(path) else (None, path)
    return dataset.dataset(path, filesystem=system, format="parquet")


def read_bytes(uri: str, max_bytes: int) -> bytes:
    """Returns the content of a file in an object store.

    Raises:
        OSError: one line with the URI; also for a file of more than `max_bytes`.
    """
    try:
        system, path, _ = open_store(uri)
        with system.open_input_file(path) as file:
            if file.size() > max_bytes:
                raise OSError(f"has {file.size()} bytes, more than the limit of {max_bytes}")
            data = bytes(file.read(max_bytes + 1))  # a file may grow, and a store may state a wrong size
            if len(data) > max_bytes:
                raise OSError(f"has more bytes than the limit of {max_bytes}")
            return data
    except (OSError, ValueError) as error:
        raise OSError(error_at(uri, error)) from None


def write_bytes(path: str, data: bytes) -> None:
    """Writes a file that is whole or not there: by renaming, or in an object store by one upload.

    Raises:
        OSError: one line with the path.
    """
    if not is_remote(path):
        atomic_write(path, data)
        return
    try:
        # An upload appears only when it is complete, so no temporary name is needed.
        system, inner, _ = open_store(path)
        system.create_dir(os.path.dirname(inner), recursive=True)
        with system.open_output_stream(inner) as file:
            file.write(data)
    except (OSError, ValueError) as error:
        raise OSError(f"cannot write {error_at(path, error)}") from None


def names_in(folder: str) -> set[str]:
    """Returns the names of the files in a folder; none if there is no such folder.

    Raises:
        OSError: when it cannot be listed.
    """
    if is_remote(folder):
        return {os.path.basename(uri.rstrip("/")) for uri in list_store(folder, recursive=False)}
    try:
        return {path.name for path in Path(folder).iterdir()}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise OSError(f"{folder}: {error.strerror}") from None


def list_store(uri: str, *, recursive: bool) -> list[str]:
    """Returns the URIs of the files below a folder or prefix of an object store, sorted; none if it does not exist.

    Raises:
        OSError: when it cannot be listed.
    """
    system, path, head = open_store(uri)
    from pyarrow import fs

    try:
        selector = fs.FileSelector(path.rstrip("/"), allow_not_found=True, recursive=recursive)
        return sorted(head + info.path for info in system.get_file_info(selector) if info.is_file)
    except OSError as error:
        raise OSError(error_at(uri, error)) from None


def error_at(place: str, error: Exception) -> str:
    """Returns ``place: reason`` on one line.

    Args:
        place: path, URI or address where the error happened.
        error: its message may begin with the place already, which is then not repeated.
    """
    if isinstance(error, FileNotFoundError):  # the message of some stores is only the path
        return f"{place}: no such file or folder"
    reason = one_line(error)[:MAX_REASON]
    return reason if reason.startswith(place) else f"{place}: {reason}"
