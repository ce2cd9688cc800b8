"""Torch files of a few kilobytes that ask for gigabytes."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch

GIGABYTES = 2
COUNT = GIGABYTES * 2**28  # values of single precision
SHORT, LONG = b"K\x04", b"J" + struct.pack("<i", COUNT)  # how a pickle writes the size 4, and the size `COUNT`


class Calls:
    """Unpickled, it is what the call of a function gives."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def saved(value: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save({"state_dict": {"a": value}}, file, **options)
    return file.getvalue()


def deflated() -> bytes:
    """Zeros, packed to a thousandth."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved(torch.zeros(4)))) as plain,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in plain.infolist():
            with packed.open(member.filename, "w", force_zip64=True) as out:
                if member.filename.endswith("/data/0"):
                    for _ in range(COUNT >> 22):
                        out.write(bytes(2**24))
                else:
                    out.write(plain.read(member).replace(SHORT, LONG))
    return file.getvalue()


def legacy() -> bytes:
    """The format before torch 1.6, with a size that is not true."""
    plain = saved(torch.zeros(4), _use_new_zipfile_serialization=False)
    return plain.replace(SHORT, LONG).replace(struct.pack("<q", 4), struct.pack("<q", COUNT))


def nested() -> list[Any]:
    """3^60 values, in 60 lists that contain the one before three times."""
    values: list[Any] = [0]
    for _ in range(60):
        values = [values] * 3
    return values


def bombs() -> dict[str, bytes]:
    """Name -> content of the file."""
    wide = torch.zeros(1).expand(100_000, 100_000)
    sparse = torch.sparse_coo_tensor(torch.zeros(2, 1).long(), torch.ones(1), (10**6, 10**6), check_invariants=True)
    return {
        "deflated": deflated(),
        "legacy": legacy(),
        "expanded": saved(wide),
        "expanded in the old format": saved(wide, _use_new_zipfile_serialization=False),
        "sparse": saved(sparse),
        "without values": saved(torch.empty(10**6, 10**6, device="meta")),
        "called": saved(Calls(torch.FloatTensor, COUNT)),
        "bytearray": saved(Calls(bytearray, 4 * COUNT)),
        "bytearray in the old format": saved(Calls(bytearray, 4 * COUNT), _use_new_zipfile_serialization=False),
        "two formats": saved(Calls(bytearray, 4 * COUNT), _use_new_zipfile_serialization=False) + saved(torch.zeros(4)),
        "lists": saved(nested()),
    }


def write_bombs(folder: Path) -> list[Path]:
    paths = []
    for name, content in bombs().items():
        paths.append(folder / f"{name}.pth")
        paths[-1].write_bytes(content)
    return paths
