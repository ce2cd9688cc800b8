"""Files of this machine, and of object stores by their URI (``s3://bucket/key``), through pyarrow (extra ``ray``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from associative_embedding.io.files import atomic_write
from associative_embedding.io.optional_packages import need

WEB = ("http://", "https://")


def is_remote(path: str) -> bool:
    """Whether a path is the URI of an object store; web addresses are not."""
    return "://" in path and not path.lower().startswith(WEB)


def open_store(uri: str) -> tuple[Any, str, str]:
    """The file system of a URI, the path in it, and what comes before that path in a URI.

    pyarrow's own (s3, gs, hdfs, file), else fsspec's, when the package of that store is installed.

    Raises:
        ValueError: for a scheme that nobody knows, or without pyarrow.
    """
    fs = need("pyarrow.fs", "ray", "--engine ray")
    try:
        system, path = fs.FileSystem.from_uri(uri)
    except (ValueError, OSError) as error:
        try:
            from fsspec.core import url_to_fs

            inner, path = url_to_fs(uri)
        except (ImportError, ValueError, OSError):
            raise ValueError(f"{uri}: no such store ({' '.join(str(error).split())})") from None
        system = fs.PyFileSystem(fs.FSSpecHandler(inner))
    return system, path, uri[: len(uri) - len(path)] if uri.endswith(path) else uri.partition("://")[0] + "://"


def open_dataset(path: str) -> Any:
    """pyarrow's data set of a parquet file or of a folder of them, on this machine or in a store.

    Raises:
        ValueError: see `open_store`.
        OSError: when it cannot be read.
    """
    dataset = need("pyarrow.dataset", "ray", "--engine ray")
    system, path = open_store(path)[:2] if is_remote(path) else (None, path)
    return dataset.dataset(path, filesystem=system, format="parquet")


def read_bytes(uri: str, max_bytes: int) -> bytes:
    """
    Raises:
        OSError: one line with the URI.
    """
    try:
        system, path, _ = open_store(uri)
        with system.open_input_file(path) as file:
            if file.size() > max_bytes:
                raise OSError(f"has {file.size()} bytes, more than the limit of {max_bytes}")
            return bytes(file.read())
    except (OSError, ValueError) as error:
        raise OSError(one_line(uri, error)) from None


def write_bytes(path: str, data: bytes) -> None:
    """Write a file that is whole or not there: by renaming, or in an object store by one upload.

    Raises:
        OSError: one line with the path.
    """
    if not is_remote(path):
        atomic_write(path, data)
        return
    try:
        system, inner, _ = open_store(path)
        system.create_dir(os.path.dirname(inner), recursive=True)
        with system.open_output_stream(inner) as file:
            file.write(data)
    except (OSError, ValueError) as error:
        raise OSError(f"cannot write {one_line(path, error)}") from None


def names_in(folder: str) -> set[str]:
    """The names of what a folder holds; of one that is not there, none.

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
    """The URIs of the files below a folder or prefix of an object store, sorted; of one that is not there, none.

    Raises:
        OSError: when it cannot be listed.
    """
    system, path, head = open_store(uri)
    from pyarrow import fs

    try:
        selector = fs.FileSelector(path.rstrip("/"), allow_not_found=True, recursive=recursive)
        return sorted(head + info.path for info in system.get_file_info(selector) if info.is_file)
    except OSError as error:
        raise OSError(one_line(uri, error)) from None


def one_line(path: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):  # some of them say nothing but the path
        return f"{path}: no such file or folder"
    text = " ".join(str(error).split())[:500] or type(error).__name__
    return text if text.startswith(path) else f"{path}: {text}"
