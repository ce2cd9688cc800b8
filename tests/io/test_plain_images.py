"""OpenCV and Pillow give the same pixels of ordinary files, and only ordinary files come to OpenCV."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from associative_embedding.io.decode_images import decode
from associative_embedding.io.plain_images import decode_plain, jpeg_ends, read_orientation, read_plain_header
from support.image_trials import RGB, ImageFile, image_files, saved
from support.png_files import chunk, png

PHOTO = Image.fromarray(RGB)
OPTIONS: list[dict[str, object]] = [
    {},
    {"quality": 30, "progressive": True},
    {"subsampling": 0, "optimize": True},
    {"subsampling": 1, "restart_marker_rows": 1},
    {"keep_rgb": True},
]

PLAIN = {
    "JPEG": [
        *("8 bits", "progressive", "colours not reduced", "stored as RGB", "grey", "a video behind it (motion photo)"),
        *(
            "EXIF: a quarter turn",
            "EXIF: half a turn",
            "EXIF: damaged",
            "EXIF: with a preview",
            "several pictures (MPO)",
        ),
    ],
    "PNG": ["RGB, 8 bits", "interlaced", "with text", "grey, 8 bits", "palette"],
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpegs_have_the_pixels_of_pillow(mode: str, options: dict[str, object]) -> None:
    data = saved(PHOTO.convert(mode), "JPEG", **options)
    header = read_plain_header(data)
    assert header == (*RGB.shape[:2], 1)
    expected = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode_plain(data, header), expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_pngs_have_the_pixels_of_pillow(mode: str) -> None:
    data = saved(PHOTO.convert(mode), "PNG", dpi=(72, 72))
    header = read_plain_header(data)
    assert header == (*RGB.shape[:2], 1)
    np.testing.assert_array_equal(decode_plain(data, header), np.array(Image.open(io.BytesIO(data)).convert("RGB")))
    gamma = chunk(b"gAMA", (100_000).to_bytes(4)) + chunk(b"bKGD", bytes(6))
    for other in (png(RGB, interlaced=True), png(RGB, more=gamma)):
        assert read_plain_header(other) is not None
        np.testing.assert_array_equal(decode(other), RGB)


def test_photographs_have_the_pixels_that_training_always_read(shared: Path) -> None:
    """Training results on the shipped data rest on these pixels; `cv2.imdecode` read them before."""
    paths = sorted(shared.glob("data/*/*/images/*.jpg"))[::60]
    assert len(paths) > 20
    for path in paths:
        data = path.read_bytes()
        before = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        assert read_plain_header(data) is not None
        np.testing.assert_array_equal(decode(data), before[:, :, ::-1])


@pytest.mark.parametrize("file", [pytest.param(f, id=f"{f.kind}-{f.what}") for f in image_files()])
def test_only_whole_and_opaque_files_of_eight_bits_are_plain(file: ImageFile) -> None:
    assert (read_plain_header(file.data) is not None) == (file.what in PLAIN.get(file.kind, ()))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["JPEG", "CMYK"])
def test_what_is_behind_a_jpeg_changes_nothing(kind: str, seed: int) -> None:
    photo = saved(PHOTO.convert("CMYK") if kind == "CMYK" else PHOTO, "JPEG")
    video = np.random.default_rng(seed).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
    np.testing.assert_array_equal(decode(photo + video), decode(photo))


def test_jpegs_without_an_end() -> None:
    data = saved(PHOTO, "JPEG", exif=b"Exif\0\0" + saved(PHOTO, "JPEG"))
    assert jpeg_ends(data)
    assert jpeg_ends(data[:2] + b"\xff\xff\xff" + data[2:])  # fill bytes before a marker
    for cut in range(2, len(data) - 1, 97):
        assert not jpeg_ends(data[:cut])
        assert not jpeg_ends(data[:cut] + bytes(500))
        assert read_plain_header(data[:cut]) is None


@pytest.mark.parametrize(("order", "kind", "value"), [("little", 3, 6), ("big", 3, 8), ("little", 4, 5), ("big", 4, 2)])
def test_orientations(order: str, kind: int, value: int) -> None:
    def number(n: int, size: int) -> bytes:
        return n.to_bytes(size, order)  # type: ignore[arg-type]

    size = 2 if kind == 3 else 4
    entries = number(0x010F, 2) + number(2, 2) + number(1, 4) + b"a\0\0\0"
    entries += number(0x0112, 2) + number(kind, 2) + number(1, 4) + number(value, size).ljust(4, b"\0")
    head = (b"II" if order == "little" else b"MM") + number(42, 2) + number(8, 4)
    exif = b"Exif\0\0" + head + number(2, 2) + entries
    assert read_orientation(exif) == value
    for broken in (b"", exif[:6], exif[:20], exif[:-1], exif.replace(entries, b"")):
        assert read_orientation(broken) == 1
    assert read_orientation(exif[:-4] + b"\xff\xff\xff\xff") == 1
