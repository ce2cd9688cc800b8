"""Files that do harm: a pickle that runs code, and a JPEG that keeps a decoder busy."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Malicious:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def progressive_bomb(side: int, scans: int) -> bytes:
    """A grey progressive JPEG of `side` x `side` pixels whose scans are short, and each of which changes nothing."""

    def segment(marker: int, data: bytes) -> bytes:
        return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2) + data

    blocks = (-(-side // 8)) ** 2
    # Runs of 2^15 - 1 blocks without a coefficient: a code of one bit, and 14 bits for the length.
    bits = ("0" + "1" * 14) * (blocks // (2**15 - 1) + 1)
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")
    size = b"\x08" + side.to_bytes(2) * 2 + bytes([1, 1, 0x11, 0])
    one_code = bytes([1]) + bytes(15)
    return (
        b"\xff\xd8"
        + segment(0xDB, b"\0" + bytes([1]) * 64)
        + segment(0xC2, size)
        + segment(0xC4, b"\0" + one_code + b"\0")
        + segment(0xC4, b"\x10" + one_code + b"\xe0")
        + segment(0xDA, bytes([1, 1, 0, 0, 0, 0]))
        + bytes((blocks + 7) // 8)
        + (segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + coded) * scans
        + b"\xff\xd9"
    )
