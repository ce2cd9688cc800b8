"""Strips and tiles that tifffile and imagecodecs decode: windows of any place, no more memory than a page states."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tifffile

from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.stacks import whole
from associative_embedding.io.tiff_segments import Segments, jpeg_2000_pixels, jpeg_pixels, read_all
from associative_embedding.structures.arrays import Array

imagecodecs = pytest.importorskip("imagecodecs", reason="of the extra [microscopy]")
pytestmark = pytest.mark.extra

SHAPE = (70, 90)
DEEP = np.random.default_rng(0).integers(0, 2**16, (*SHAPE, 3), dtype=np.uint16)


def segments(array: Array, **options: Any) -> Segments:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, metadata=None, **options)
    return opened(buffer)


def opened(buffer: io.BytesIO) -> Segments:
    buffer.seek(0)
    return Segments(buffer, tifffile.TiffFile(buffer).pages[0], "a")


LAYOUTS: list[dict[str, Any]] = [{}, {"rowsperstrip": 7}, {"tile": (16, 48)}, {"tile": (80, 96)}]


@pytest.mark.parametrize("compression", [None, "zstd", "lzw", "jpeg2000"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("planar", [False, True])
def test_windows(compression: str | None, layout: dict[str, Any], planar: bool) -> None:
    array, how = (DEEP.transpose(2, 0, 1), "separate") if planar else (DEEP, "contig")
    page = segments(array, photometric="rgb", planarconfig=how, compression=compression, **layout)
    colours = page.pixels(None)
    np.testing.assert_array_equal(whole(colours), DEEP)
    np.testing.assert_array_equal(whole(page.pixels(1)), DEEP[:, :, 1])
    window = (slice(13, 52), slice(40, 90))
    np.testing.assert_array_equal(colours.read(window), DEEP[window])


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", "<>")
def test_floating_point_differences(kind: type[np.generic], order: str) -> None:
    array = np.random.default_rng(0).normal(size=SHAPE).astype(kind)
    found = whole(segments(array, compression="zlib", predictor=3, byteorder=order, tile=(32, 32)).pixels(0))
    np.testing.assert_array_equal(found, array)
    assert found.dtype == kind


@pytest.mark.parametrize("bits", [3, 7, 10, 12, 14])
@pytest.mark.parametrize("white", [True, False])
def test_packed_bits_state_their_white(bits: int, white: bool) -> None:
    kind = np.uint8 if bits < 8 else np.uint16
    array = (DEEP[:, :, 0] >> (16 - bits)).astype(kind)
    photometric = "minisblack" if white else "miniswhite"
    pixels = segments(array, bitspersample=bits, photometric=photometric).pixels(0)
    assert (pixels.white, pixels.inverted) == (2**bits - 1, not white)
    np.testing.assert_array_equal(whole(pixels), array)


def test_tiles_that_are_not_stored_are_zero_and_not_typical() -> None:
    buffer = io.BytesIO()
    part = np.full((32, 32), 7, np.uint16)
    tiles = (part.tobytes() if i == 4 else b"" for i in range(9))
    tifffile.imwrite(buffer, tiles, shape=SHAPE, dtype="u2", tile=(32, 32), photometric="minisblack")
    pixels = opened(buffer).pixels(0)
    expected = np.zeros(SHAPE, np.uint16)
    expected[32:64, 32:64] = 7
    np.testing.assert_array_equal(whole(pixels), expected)
    assert pixels.typical == [(slice(32, 64), slice(32, 64))]


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000"])
def test_a_tile_that_states_a_larger_size_is_refused(compression: str) -> None:
    small, large = np.zeros((32, 32), np.uint8), np.zeros((512, 512), np.uint8)
    encode = {"jpeg": imagecodecs.jpeg8_encode, "jpeg2000": imagecodecs.jpeg2k_encode}[compression]
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, iter([encode(large)]), shape=(32, 32), dtype="u1", tile=(32, 32), compression=compression)
    page = opened(buffer)
    with pytest.raises(ImageError, match="has a tile that states 262144 pixels"):
        page.pixels(0).read((slice(0, 32), slice(0, 32)))
    pixels = jpeg_pixels if compression == "jpeg" else jpeg_2000_pixels
    assert (pixels(encode(small)), pixels(encode(large)), pixels(b"")) == (1024, 262144, 0)


def test_bytes_behind_the_end() -> None:
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    assert read_all(file, 6, "a") == b"456789"
    file.seek(5)
    with pytest.raises(ImageError, match="lies behind its end"):
        read_all(file, 6, "a")
