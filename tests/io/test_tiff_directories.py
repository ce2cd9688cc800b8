"""The directories of a TIFF: every page, the resolutions inside of pages, and files made to harm."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tifffile

from associative_embedding.io.images import open_image, read_image
from associative_embedding.io.tiff_directories import read_directories
from support.tiff_files import tiff

GREY = np.arange(24 * 32, dtype=np.uint8).reshape(24, 32)


def pyramid(*, bigtiff: bool, ome: bool = False) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=bigtiff, ome=ome) as file:
        file.write(GREY, subifds=2, photometric="minisblack")
        for step in (2, 4):
            file.write(GREY[::step, ::step], subfiletype=1, photometric="minisblack")
    return buffer.getvalue()


@pytest.mark.parametrize("order", "<>")
def test_pages_are_in_the_order_of_the_file(order: str) -> None:
    data = tiff(GREY, GREY, GREY, order=order)
    pages, inner = read_directories(io.BytesIO(data))
    assert pages == [page.offset for page in tifffile.TiffFile(io.BytesIO(data)).pages]
    assert not inner


@pytest.mark.parametrize("bigtiff", [False, True])
def test_resolutions_inside_of_a_page(bigtiff: bool) -> None:
    data = pyramid(bigtiff=bigtiff)
    pages, inner = read_directories(io.BytesIO(data))
    assert (len(pages), inner) == (1, True)
    assert open_image(data).pictures.stack.levels == ((24, 32), (12, 16), (6, 8))


def test_a_page_that_is_also_stated_inside_of_another_stays_a_page() -> None:
    second = read_directories(io.BytesIO(tiff(GREY, GREY, tags={330: (0,)})))[0][1]
    pages, inner = read_directories(io.BytesIO(tiff(GREY, GREY, tags={330: (second,)})))
    assert (len(pages), pages[1], inner) == (2, second, False)


@pytest.mark.parametrize("back_to", [1, 2])
def test_a_circle_of_pages_is_refused_and_not_read_for_ever(back_to: int) -> None:
    data = bytearray(tiff(GREY, GREY))
    places = read_directories(io.BytesIO(data))[0]
    count = struct.unpack_from("<H", data, places[1])[0]
    struct.pack_into("<I", data, places[1] + 2 + 12 * count, places[back_to - 1])
    with pytest.raises(ValueError, match=f"after page 2 comes page {back_to} again"):
        read_image(bytes(data))


def test_a_page_behind_the_end_is_an_error() -> None:
    data = bytearray(tiff(GREY))
    data[4:8] = struct.pack("<I", len(data) + 9)
    with pytest.raises(ValueError, match="lies behind its end"):
        read_directories(io.BytesIO(data))
