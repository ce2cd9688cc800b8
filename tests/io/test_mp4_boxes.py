"""An mp4 of some kilobytes that states millions of samples is refused before FFmpeg makes an index of them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from associative_embedding.io.mp4_boxes import too_many_samples

MILLIONS = 20_000_000


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def table(kind: bytes, *values: int) -> bytes:
    return box(kind, bytes(4), struct.pack(f">{len(values)}I", *values))


def track(handler: bytes, count: int, duration: int = 512, inside: bytes = b"stbl") -> bytes:
    samples = table(b"stts", 1, count, duration) + table(b"stsz", 4, count)
    head = box(b"hdlr", bytes(8), handler, bytes(12))
    return box(b"trak", box(b"mdia", head, box(b"minf", box(inside, samples))))


def fragment(count: int) -> bytes:
    return box(b"moof", box(b"traf", table(b"trun", count)))


FTYP, FREE = box(b"ftyp", b"isom"), box(b"free", bytes(10_000))
LARGE = struct.pack(">I4sQ", 1, b"moov", 16 + len(track(b"vide", MILLIONS))) + track(b"vide", MILLIONS)
FILES: dict[str, tuple[bytes, bool]] = {
    "film": (FTYP + box(b"moov", track(b"vide", 2000)), False),
    "film with sound": (FTYP + box(b"moov", track(b"vide", 90), track(b"soun", 90, 1024)), False),
    "sound without compression": (FTYP + box(b"moov", track(b"vide", 90), track(b"soun", MILLIONS, 1)), False),
    "frames": (FTYP + box(b"moov", track(b"vide", MILLIONS)), True),
    "frames of duration 1": (FTYP + box(b"moov", track(b"vide", MILLIONS, 1)), True),
    "sound": (FTYP + box(b"moov", track(b"soun", MILLIONS, 1024)), True),
    "frames behind sound": (FTYP + box(b"moov", track(b"soun", MILLIONS, 1), track(b"vide", MILLIONS)), True),
    "frames in another place": (FTYP + box(b"moov", track(b"vide", MILLIONS, inside=b"udta")), True),
    "a track in a track": (FTYP + box(b"moov", box(b"trak", track(b"vide", MILLIONS))), True),
    "a large box": (FTYP + LARGE, True),
    "a box to the end": (FTYP + struct.pack(">I4s", 0, b"moov") + track(b"vide", MILLIONS), True),
    "fragments": (FTYP + box(b"moov") + fragment(MILLIONS), True),
    "many fragments": (FTYP + box(b"moov") + fragment(1000) * 100, True),
    "short fragments": (FTYP + box(b"moov") + (fragment(30) + box(b"mdat", bytes(900))) * 100, False),
    "cut": (FTYP + box(b"moov", track(b"vide", MILLIONS))[:-4], True),
    "cut before": (FTYP + box(b"moov", track(b"vide", MILLIONS))[:60], False),
    "sizes of zero": (FTYP + struct.pack(">I4s", 4, b"moov") + track(b"vide", MILLIONS), False),
    "no mp4": (b"RIFF" + track(b"vide", MILLIONS), False),
    "empty": (b"", False),
}


@pytest.mark.parametrize(("data", "refused"), FILES.values(), ids=FILES)
def test_stated_samples_are_compared_with_the_size(data: bytes, refused: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(data + FREE if data else b"")
    assert too_many_samples(str(path)) == refused
