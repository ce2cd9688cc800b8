"""TIFF files of every layout: the right pixels or one line, never black, stripes or foreign memory."""

from __future__ import annotations

import io
from itertools import product
from typing import Any

import numpy as np
import pytest

from associative_embedding.io.decode_images import decode
from associative_embedding.io.image_limits import ImageError
from support.image_trials import CLEAR, CLEAR_GREY, GREY, GREY_RGB, RGB, RGBA
from support.tiff_files import COMPRESSION, DEFLATE, PHOTOMETRIC, tiff

Array = np.ndarray[Any, np.dtype[Any]]
KINDS = ("u1", "u2", "f2", "f4", "f8")


def values(array: Array, kind: str) -> Array:
    """8-bit values as another type: 255 is white in all of them."""
    return (array / 255).astype(kind) if kind[0] == "f" else array.astype(kind) * (257 if kind == "u2" else 1)


@pytest.mark.parametrize(("kind", "order", "compression"), list(product(KINDS, "<>", (1, DEFLATE))))
def test_layouts(kind: str, order: str, compression: int) -> None:
    tags = {COMPRESSION: (compression,)}
    for array, expected in ((GREY, GREY_RGB), (RGB, RGB)):
        found = decode(tiff(values(array, kind), order=order, tags=tags))
        assert np.abs(found.astype(int) - expected).max() <= 1
    found = decode(tiff(values(RGB, kind).transpose(2, 0, 1), planar=True, order=order, tags=tags))
    assert np.abs(found.astype(int) - RGB).max() <= 1


@pytest.mark.parametrize(("kind", "planar"), list(product(KINDS, (False, True))))
def test_alpha_lies_over_white(kind: str, planar: bool) -> None:
    for array, expected in ((RGBA, CLEAR), (np.dstack([GREY, RGBA[:, :, 3]]), CLEAR_GREY)):
        page = values(array, kind)
        data = tiff(page.transpose(2, 0, 1) if planar else page, planar=planar, tags={338: (2,)})
        assert np.abs(decode(data).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_white_is_zero(kind: str) -> None:
    data = tiff(values(255 - GREY, kind), tags={PHOTOMETRIC: (0,)})
    assert np.abs(decode(data).astype(int) - GREY_RGB).max() <= 1


@pytest.mark.parametrize(("kind", "channels", "planar"), list(product(("u1", "u2", "f4"), (2, 3, 4, 5), (False, True))))
def test_channels_that_are_no_colours_are_refused(kind: str, channels: int, planar: bool) -> None:
    page = values(np.dstack([RGBA, GREY])[:, :, :channels], kind)
    data = tiff(page.transpose(2, 0, 1) if planar else page, planar=planar, tags={PHOTOMETRIC: (1,)})
    with pytest.raises(ImageError, match=f"has {channels} channels that are no colours"):
        decode(data)


@pytest.mark.parametrize("array", [RGB.astype(np.float32) / 255, RGB.astype(np.uint16)])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("compression", [1, DEFLATE])
def test_damage_is_an_error(array: Array, planar: bool, compression: int) -> None:
    whole = tiff(array.transpose(2, 0, 1) if planar else array, planar=planar, tags={COMPRESSION: (compression,)})
    decode(whole, max_pixels=RGB.size)
    places = {273: (len(whole) - 20,) * (3 if planar else 1)}  # the pixels begin where the file ends
    behind = tiff(
        array.transpose(2, 0, 1) if planar else array, planar=planar, tags={COMPRESSION: (compression,)} | places
    )
    with pytest.raises(ImageError, match="damaged or truncated"):
        decode(behind)


@pytest.mark.extra
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_differences_in_packbits(kind: str) -> None:
    """Pillow ignores them, tifffile writes them."""
    tifffile = pytest.importorskip("tifffile", reason="comes with scikit-image, of the extra [demo]")
    pytest.importorskip("imagecodecs", reason="of the extra [microscopy]")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values(RGB, kind), photometric="rgb", compression="packbits", predictor=2)
    assert np.abs(decode(buffer.getvalue()).astype(int) - RGB).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_predictor_without_compression_means_nothing(kind: str) -> None:
    assert np.abs(decode(tiff(values(RGB, kind), tags={317: (2,)})).astype(int) - RGB).max() <= 1


def test_webp_inside_of_a_tiff_is_refused_by_name() -> None:
    with pytest.raises(ImageError, match="is a TIFF with the compression WebP, which cannot be read; save it as"):
        decode(tiff(RGB, tags={COMPRESSION: (50001,)}))


@pytest.mark.extra
@pytest.mark.parametrize(("kind", "planar", "tiled"), list(product(("u2", "f4"), (False, True), (False, True))))
def test_files_of_tifffile(kind: str, planar: bool, tiled: bool) -> None:
    tifffile = pytest.importorskip("tifffile", reason="comes with scikit-image, of the extra [demo]")
    page, buffer = values(RGB, kind), io.BytesIO()
    parts: dict[str, Any] = {"tile": (16, 32)} if tiled else {"rowsperstrip": 7}
    layout = "separate" if planar else "contig"
    page = page.transpose(2, 0, 1) if planar else page
    tifffile.imwrite(buffer, page, photometric="rgb", planarconfig=layout, bigtiff=planar, **parts)
    assert np.abs(decode(buffer.getvalue()).astype(int) - RGB).max() <= 1
