"""Checks that the tensors of a torch file take no more memory than its size explains.

A torch file is a zip archive whose members torch itself never packs, or (before version 1.6) a series of pickles. Both
state the sizes of their tensors beside the values: a file of one megabyte can state any number of gigabytes.
"""

from __future__ import annotations

import mmap
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ZIP = b"PK\x03\x04"
SLACK = 64 * 2**20  # bytes that any file may take
FACTOR = 4  # bytes in memory for a byte in the file; files of torch have one
# Torch lets a pickle call `bytearray` with a number, which fills the memory. States and checkpoints have none.
FILLER = b"bytearray"


class TooLargeError(ValueError):
    """A torch file whose tensors take far more memory than the file has bytes."""


def check_packed(path: str | Path) -> None:
    """Checks what a file states, before anything is unpacked.

    Raises:
        TooLargeError: if the members of a zip archive are too large for the file, or its pickle asks for memory.
        OSError: if the file cannot be read.
        zipfile.BadZipFile: if the archive is damaged.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[: len(ZIP)] != ZIP:  # as torch tells the formats apart
            fills = content.find(FILLER) >= 0
        else:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
                check_size(path, sum(member.file_size for member in members), "unpacks to")
                # Torch does not look at the case of names either.
                pickles = [member for member in members if member.filename.lower().endswith(".pkl")]
                fills = any(FILLER in archive.read(member) for member in pickles)
    if fills:
        raise TooLargeError(f"{path}: not a torch file of tensors and plain values; it has a bytearray")


def check_tensors(path: str | Path, content: Any) -> None:
    """Checks the tensors that were read, before anything is computed from them.

    Raises:
        TooLargeError: for tensors that are larger than the file, or than their own values (a tensor can repeat one
            value any number of times), or that are not plain arrays of values.
    """
    storages = {}
    for tensor in tensors_of(content):
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            raise TooLargeError(f"{path}: has a sparse, quantised or empty tensor of {tensor.numel()} values")
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        if tensor.numel() * tensor.element_size() > max(storage.nbytes(), SLACK):
            raise TooLargeError(f"{path}: has a tensor of {tensor.numel()} values that holds far fewer")
    check_size(path, sum(storages.values()), "has tensors of")


def check_size(path: str | Path, size: int, what: str) -> None:
    """Checks a number of bytes against the size of the file.

    Raises:
        TooLargeError: if it is too large.
    """
    packed = Path(path).stat().st_size
    if size > SLACK + FACTOR * packed:
        raise TooLargeError(
            f"{path}: {what} {size / 2**20:.0f} MB, too much for a torch file of {packed / 2**20:.1f} MB"
        )


def tensors_of(content: Any) -> Iterator[Tensor]:
    """Yields all tensors in mappings and lists, each object once: a pickle can contain itself."""
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple, set)):
            waiting.extend(value)
