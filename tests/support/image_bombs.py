"""Image files of some kilobytes that would take gigabytes or minutes."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from support.png_files import chunk
from support.tiff_files import COMPRESSION, DEFLATE, tiff

SIDE = 13_300  # pixels: nearly the largest image that is read
EXIF_PART = b"\xff\xe1" + struct.pack(">H", 2 + 6 + 8) + b"Exif\0\0" + b"II*\0\x08\0\0\0"
FRAMES = [Image.new("L", (8, 8), value) for value in range(250)] * 8


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def flat_png(side: int, colour: int, depth: int = 8, *more: bytes, stated: int = 0) -> bytes:
    """A PNG of one value, which may state another side; `more` are chunks before the pixels."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes(1 + -(-side * channels * depth // 8))
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", stated or side, stated or side, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@cache
def zeros(megabytes: int) -> bytes:
    """Packed zeros."""
    packer = zlib.compressobj(1)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(megabytes)) + packer.flush()


def jpeg_of_scans(scans: int, side: int = 64, *, hidden: bool = False) -> bytes:
    """A progressive grey JPEG of one value; if hidden, a table before the second scan contains an end marker."""

    def segment(marker: int, data: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data

    blocks = (side // 8) ** 2
    table = bytes([1, *[0] * 15])
    head = segment(0xDB, b"\0" + bytes([1] * 64)) + segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0")
    head += segment(0xC4, b"\0" + table + b"\0") + segment(0xC4, b"\x10" + table + b"\xe0")
    first = segment(0xDA, b"\1\1\0\0\0\0") + bytes(-(-blocks // 8))
    bits = ("0" + "1" * 14) * -(-blocks // 32767)
    rest = segment(0xDA, b"\1\1\0\1\x3f\0") + int(bits.ljust(-(-len(bits) // 8) * 8, "1"), 2).to_bytes(
        -(-len(bits) // 8)
    ).replace(b"\xff", b"\xff\0")
    comment = segment(0xFE, b"\xff\xd9") if hidden else b""
    return b"\xff\xd8" + head + first + comment + rest * (scans - 1) + b"\xff\xd9"


def tiled_tiff(tile: int, compression: int = 1) -> bytes:
    """A TIFF of 10 x 10 pixels in one tile."""
    data = tiff(np.zeros((10, 10), np.uint8), tags={COMPRESSION: (compression,)})
    return tiff(
        np.zeros((10, 10), np.uint8),
        tags={COMPRESSION: (compression,), 322: (tile,), 323: (tile,), 324: (8,), 325: (len(data),)},
    )


def circle_of_pages() -> bytes:
    """A TIFF whose page is followed by itself."""
    data = tiff(np.full((4, 4), 9, np.uint8))
    start = struct.unpack("<I", data[4:8])[0]
    count = struct.unpack("<H", data[start : start + 2])[0]
    end = start + 2 + 12 * count
    return data[:end] + struct.pack("<I", start) + data[end + 4 :]


def shared_values(entries: int) -> bytes:
    """A TIFF with many tags that all have the whole file as their values."""
    data = bytearray(tiff(np.full((4, 4), 9, np.uint8), tags={1000 + i: (0, 0) for i in range(entries)}))
    data += bytes(2**20)
    start = struct.unpack("<I", data[4:8])[0]
    for i in range(struct.unpack("<H", data[start : start + 2])[0]):
        place = start + 2 + 12 * i
        if 1000 <= struct.unpack("<H", data[place : place + 2])[0] < 1000 + entries:
            data[place + 2 : place + 12] = struct.pack("<HII", 7, 2**20, 0)
    return bytes(data)


def many_places(count: int) -> bytes:
    """A TIFF that states so many strips, whose places are not there."""
    data = bytearray(tiff(np.zeros((4, 4), np.uint8)))
    start = struct.unpack("<I", data[4:8])[0] + 2
    while struct.unpack("<H", data[start : start + 2])[0] != 273:
        start += 12
    data[start + 4 : start + 12] = struct.pack("<II", count, 8)
    return bytes(data)


def exif_of_shared_values(entries: int, size: int) -> bytes:
    """EXIF data with many tags that all have the same values."""
    rows = b"".join(struct.pack("<HHII", 1000 + i, 7, size, 8) for i in range(entries))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + rows + b"\0" * 4 + bytes(size)


def cut_jpeg2000() -> bytes:
    """A JPEG 2000 that states a large size."""
    data = bytearray(encoded(Image.new("RGB", (64, 64)), "JPEG2000"))
    for place in range(len(data)):  # both in its header and in that of its pixels
        if data[place : place + 8] == struct.pack(">II", 64, 64):
            data[place : place + 8] = struct.pack(">II", SIDE, SIDE)
    return bytes(data)


# what -> makes the file, and what the one line says; empty: the image is read
IMAGE_BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "jpeg scans": (lambda: jpeg_of_scans(101), "is a JPEG of more than 100 scans"),
    "jpeg scans behind a marker of the end": (lambda: jpeg_of_scans(3000, hidden=True), "more than 100 scans"),
    "jpeg of an ordinary number of scans": (lambda: jpeg_of_scans(20), ""),
    "jpeg with exif of shared values": (
        lambda: encoded(Image.new("CMYK", (8, 8)), "JPEG", exif=b"Exif\0\0" + exif_of_shared_values(2500, 30_000)),
        "",
    ),
    "png with alpha": (lambda: flat_png(6000, 6), ""),
    "png of 16 bits": (lambda: flat_png(6000, 6, 16), ""),
    "png text": (lambda: flat_png(8, 2, 8, chunk(b"zTXt", b"a\0\0" + zeros(500))), "damaged"),
    "png texts": (lambda: flat_png(8, 2, 8, *[chunk(b"zTXt", b"a\0\0" + zeros(1))] * 700), "damaged"),
    "png international text": (lambda: flat_png(8, 2, 8, chunk(b"iTXt", b"a\0\1\0\0\0" + zeros(500))), "damaged"),
    "png profile": (lambda: flat_png(8, 6, 8, chunk(b"iCCP", b"a\0\0" + zeros(500))), ""),
    "plain png profile": (lambda: flat_png(8, 2, 8, chunk(b"iCCP", b"a\0\0" + zeros(500))), ""),
    "png exif of shared values": (lambda: flat_png(8, 2, 8, chunk(b"eXIf", exif_of_shared_values(5000, 2**20))), ""),
    "png that states pixels it has not": (lambda: flat_png(8, 2, stated=SIDE), "damaged"),
    "png with alpha that states pixels it has not": (lambda: flat_png(8, 6, stated=SIDE), "damaged"),
    "png of too many pixels": (lambda: flat_png(8, 2, stated=2**31 - 1), "more than the limit"),
    "tiff tiles": (lambda: tiled_tiff(22_000), "states tiles of 22000x22000"),
    "packed tiff tiles": (lambda: tiled_tiff(22_000, DEFLATE), "states tiles of 22000x22000"),
    "tiff tiles that are little too large": (lambda: tiled_tiff(2064, 5), "states tiles of 2064x2064"),
    "tiff strips of any length": (
        lambda: tiff(np.zeros((8, 8), np.uint8), tags={COMPRESSION: (DEFLATE,), 279: (2**32 - 1,)}),
        "",
    ),
    "tiff rows of any number": (lambda: tiff(np.zeros((8, 8), np.uint8), tags={278: (2**32 - 1,)}), ""),
    "tiff channels": (lambda: tiff(np.zeros((8, 8), np.uint16), tags={277: (60_000,), 262: (2,)}), "damaged"),
    "tiff of 64 bits": (
        lambda: tiff(np.zeros((2, 2, 3), np.float64), tags={256: (8000,), 257: (8000,), 278: (8000,)}),
        "decoding it would take",
    ),
    "tiff places": (lambda: many_places(2**22 + 1), "has 4194305 values"),
    "jpeg with exif in many parts": (
        lambda: encoded(Image.new("CMYK", (8, 8)), "JPEG").replace(b"\xff\xd8", b"\xff\xd8" + EXIF_PART * 101, 1),
        "EXIF data in more than 100 parts",
    ),
    "tiff that follows itself": (circle_of_pages, ""),
    "tiff of many pages": (lambda: tiff(*[np.full((4, 4), 9, np.uint8)] * 5000), ""),
    "tiff of shared values": (lambda: shared_values(3000), "its tags have more values than the file has bytes"),
    "gif that states pixels it has not": (
        lambda: encoded(Image.new("P", (8, 8)), "GIF").replace(b"\x08\0\x08\0", struct.pack("<HH", SIDE, SIDE)),
        "damaged",
    ),
    "gif of many frames": (lambda: encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), ""),
    "jpeg 2000 that states pixels it has not": (cut_jpeg2000, "decoding it would take 4.3 GB"),
    "bmp that states pixels it has not": (
        lambda: encoded(Image.new("RGB", (8, 8)), "BMP").replace(b"\x08\0\0\0" * 2, struct.pack("<II", SIDE, SIDE)),
        "damaged",
    ),
    "ppm that states pixels it has not": (lambda: b"P6 13300 13300 255\n" + bytes(99), "damaged"),
    "ppm of text": (lambda: b"P3 13300 13300 255\n" + b"0 " * 99, "damaged"),
    "pfm": (lambda: b"Pf 13300 13300 -1.0\n" + bytes(99), "damaged"),
    "photoshop": (lambda: b"8BPS\0\1" + bytes(99), "Photoshop"),
    "icon": (lambda: b"\0\0\1\0\1\0" + bytes(99), "not an image of a known format"),
    "mac icon": (lambda: b"icns\0\0\0\x99" + bytes(99), "not an image of a known format"),
    "postscript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "document"),
    "fli": (lambda: b"\0\0\0\0\x11\xaf" + bytes(200), "not an image of a known format"),
    "dds": (lambda: b"DDS \x7c\0\0\0" + bytes(200), "not an image of a known format"),
    "sgi": (lambda: b"\x01\xda\x01\x01\0\3\x33\xf4\x33\xf4\0\3" + bytes(600), "not an image of a known format"),
}
