"""Images that would take gigabytes or minutes are refused in one line; the memory of all others is what is stated."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image, features

from associative_embedding.io import image_limits
from associative_embedding.io.decode_images import decode
from associative_embedding.io.image_limits import ImageError, check_jpeg, has_more_scans, pixel_bytes
from associative_embedding.io.images import read_size
from support.image_bombs import IMAGE_BOMBS, flat_png, jpeg_of_scans
from support.memory import measured
from support.tiff_files import COMPRESSION, DEFLATE, tiff

READ = """
from pathlib import Path
from associative_embedding.io.images import read_image
for path in sys.argv[1:]:
    try:
        print(read_image(path).shape)
    except ValueError as error:
        print(error)
"""
BOMB = 450  # megabytes of a process that reads bombs; 36 million pixels are in two of them


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> float:
    """The megabytes of a process that reads a small image."""
    path = tmp_path_factory.mktemp("small") / "image"
    path.write_bytes(flat_png(8, 6))
    return measured(READ, path).megabytes


@pytest.mark.slow
def test_bombs(tmp_path: Path) -> None:
    """All in one process: none may leave memory behind, either."""
    old = int(PIL.__version__.split(".")[0]) < 13  # reads the values that EXIF's tags share once for each
    bombs = {what: bomb for what, bomb in IMAGE_BOMBS.items() if not (old and "exif of shared values" in what)}
    for number, (make, _) in enumerate(bombs.values()):
        (tmp_path / f"{number:02}").write_bytes(make())
    paths = sorted(tmp_path.iterdir())
    assert max(path.stat().st_size for path in paths) < 2**22
    result = measured(READ, *paths)
    for line, path, (what, (_, says)) in zip(result.output.splitlines(), paths, bombs.items(), strict=True):
        assert says in line, what
        assert says or line.startswith(("(", str(path))), what
    assert result.megabytes < BOMB


SIDE = 2000
GREY = np.linspace(0, 255, SIDE).astype(np.uint8)[None].repeat(SIDE, 0)


def encoded(kind: str, mode: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    bands = [Image.fromarray(GREY).transpose(Image.Transpose(i)) for i in range(len(mode))]
    Image.merge(mode, bands).save(buffer, kind, **options)
    return buffer.getvalue()


def deep(kind: str) -> bytes:
    grey = GREY[::2, ::2]
    page = np.dstack([grey, grey.T, grey, grey]).astype(kind) / (255 if kind[0] == "f" else 1)
    return tiff(page.astype(kind)[:, :, : 3 if kind[0] == "f" else 4], tags={COMPRESSION: (DEFLATE,)})


# format of Pillow that must be there, file, bytes for each pixel at the peak
FILES = {
    "png": ("", lambda: encoded("PNG", "RGBA"), 11),
    "png of 16 bits": ("", lambda: flat_png(SIDE, 6, 16), 11),
    "grey png with alpha": ("", lambda: flat_png(SIDE, 4), 11),
    "plain jpeg": ("", lambda: encoded("JPEG", "RGB", progressive=True, subsampling=0), 15),
    "jpeg": ("", lambda: encoded("JPEG", "CMYK", progressive=True), 15),
    "webp": ("webp", lambda: encoded("WEBP", "RGBA", lossless=True, method=0), 18),
    "avif": ("avif", lambda: encoded("AVIF", "RGBA", speed=10), 16),
    "jpeg 2000": ("jpg_2000", lambda: encoded("JPEG2000", "RGBA"), 26),
    "jpeg 2000 in tiles": ("jpg_2000", lambda: encoded("JPEG2000", "RGB", tile_size=(256, 256)), 11),
    "tiff": ("", lambda: encoded("TIFF", "RGBA", compression="tiff_lzw"), 11),
    "bmp": ("", lambda: encoded("BMP", "RGB"), 11),
    "tiff of 16 bits": ("", lambda: deep("u2"), 3 + 2 * 8),
    "tiff of 64 bits": ("", lambda: deep("f8"), 3 + 2 * 24),
}


@pytest.mark.slow
@pytest.mark.parametrize(("feature", "make", "each"), FILES.values(), ids=FILES)
def test_the_memory_of_each_format_is_what_is_stated(
    feature: str, make: Any, each: int, tmp_path: Path, alone: float
) -> None:
    if feature and not features.check(feature):
        pytest.skip(f"Pillow without {feature}")
    path = tmp_path / "image"
    path.write_bytes(make())
    result = measured(READ, path)
    height, width = map(int, result.output.strip("()").split(",")[:2])
    assert result.megabytes < alone + 15 + 1.1 * (each * height * width + 2 * path.stat().st_size) / 2**20


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: flat_png(64, 6), "is 64x64, and decoding it would take 0.0 GB of memory, more than the limit of 0 GB"),
        (lambda: tiff(np.zeros((8, 8, 3), np.float32)), "make it smaller, or save it as a PNG or TIFF of 8 bits"),
    ],
)
def test_too_much_memory(make: Any, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_limits, "MAX_MEMORY", 1000)
    with pytest.raises(ImageError, match=says):
        decode(make())


def test_scans_are_counted_as_decoders_do() -> None:
    assert [has_more_scans(jpeg_of_scans(n), 5) for n in (5, 6, 7)] == [False, True, True]
    assert has_more_scans(jpeg_of_scans(6, hidden=True), 5)
    video = jpeg_of_scans(5) + b"\xff\xda\0\2" * 999  # a phone appends a film, whose bytes are any
    check_jpeg("a", video)
    assert decode(video).shape == (64, 64, 3)


def test_the_header_of_a_jpeg_in_many_parts(tmp_path: Path) -> None:
    """Pillow joins them one by one: of 500 MB that takes minutes."""
    part = b"\xff\xe1\xff\xff" + b"Exif\0\0".ljust(65533, b"\0")
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8" + part * 200 + jpeg_of_scans(2)[2:])
    with pytest.raises(ImageError, match="EXIF data in more than 100 parts"):
        read_size(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes(jpeg_of_scans(2) + bytes(11 * 2**20))
    assert read_size(tmp_path / "a.jpg") == (64, 64)


def test_a_decoy_of_small_tiles() -> None:
    """A comment may contain what looks like the header of small tiles."""
    header = b"\xff\x4f\xff\x51" + bytes(20)
    small, large = ((side).to_bytes(4) * 2 for side in (16, 5000))
    for data in (header + small + header + large, header + large + header + small):
        assert pixel_bytes("JPEG2000", data, 5000**2) == 26
    assert pixel_bytes("JPEG2000", header + small, 5000**2) == 11
    assert pixel_bytes("JPEG2000", b"", 5000**2) == 26
