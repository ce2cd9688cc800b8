"""Scans of a JPEG are counted without decoding it."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from associative_embedding.io.jpeg_scans import count_scans
from support.malicious import progressive_bomb

NOISE = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)


def jpeg(**options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


def test_ordinary_files() -> None:
    assert count_scans(jpeg(), 100) == 1
    assert count_scans(jpeg(progressive=True), 100) == 10
    assert count_scans(jpeg(progressive=True), 3) == 4  # no further than needed


def test_what_lies_behind_or_inside_of_a_segment_is_no_scan() -> None:
    start = b"\xff\xda" * 200
    assert count_scans(jpeg() + start, 100) == 1  # a phone's video behind the photo
    comment = b"\xff\xfe" + (len(start) + 2).to_bytes(2) + start
    file = jpeg()
    assert count_scans(file[:2] + comment + file[2:], 100) == 1


def test_a_bomb() -> None:
    bomb = progressive_bomb(640, 500)
    assert count_scans(bomb, 100) == 101
    assert count_scans(bomb, 1000) == 501


def test_any_bytes_end() -> None:
    random = np.random.default_rng(1)
    for length in (2, 3, 10, 1000):
        data = b"\xff\xd8" + random.choice(np.array([0xFF, 0xDA, 0, 0xD9], np.uint8), length).tobytes()
        assert 0 <= count_scans(data, 0) <= 1
