"""Decodes ordinary JPEG and PNG files by OpenCV, in two thirds of Pillow's time.

OpenCV accepts damaged files and ignores transparency. So only files whose header and end were read here come to it:
8 bits, grey or RGB or a palette, whole, opaque. `decode_images` gives all others to Pillow. Pixels are equal.
"""

from __future__ import annotations

import zlib
from typing import Literal, NamedTuple

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
JPEG_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
JPEG_APP1, JPEG_SCAN, JPEG_END = 0xE1, 0xDA, b"\xff\xd9"
# PNG chunks that change no pixel here; chunks of transparency, orientation and animation are missing.
PNG_CHUNKS = frozenset(b"IDAT PLTE pHYs tIME gAMA cHRM sRGB iCCP sBIT bKGD hIST tEXt".split())
PNG_PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
PNG_GREY, PNG_RGB, PNG_PALETTE = 0, 2, 3
EXIF_ORIENTATION, EXIF_SHORT = 0x0112, 3  # a tag, and the type of its value


class PlainHeader(NamedTuple):
    """What the header of an ordinary file states: height and width as stored, and the EXIF orientation, 1 to 8."""

    height: int
    width: int
    orientation: int


def read_plain_header(data: bytes) -> PlainHeader | None:
    """Returns the header of an ordinary JPEG or PNG that is whole; None for every other file.

    Bytes behind the end are ignored: phones append a video.
    """
    try:
        if data.startswith(JPEG):
            return read_jpeg(data)
        return read_png(data) if data.startswith(PNG) else None
    except IndexError:  # the file ends within its header
        return None


def decode_plain(data: bytes, header: PlainHeader) -> Array | None:
    """Returns the stored pixels ``(H, W, 3)`` uint8 RGB of an ordinary file, or None if it is damaged."""
    pixels = only_pixels(data) if data.startswith(PNG) else data
    try:
        # OpenCV states no error type in its stubs, and raises it for what it cannot read.
        image = cv2.imdecode(np.frombuffer(pixels, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    return image if image is not None and image.shape[:2] == (header.height, header.width) else None


def read_jpeg(data: bytes) -> PlainHeader | None:
    """Reads the segments before the first scan, and looks for the end after it, see `jpeg_ends`."""
    place, exif, frame = 2, b"", b""
    while (marker := data[place + 1]) != JPEG_SCAN:
        length = int.from_bytes(data[place + 2 : place + 4])
        if data[place] != 0xFF or not 0xC0 <= marker < 0xFF or length < 2:
            return None
        segment = data[place + 4 : place + 2 + length]
        if marker in JPEG_FRAMES:
            frame = segment
        elif marker == JPEG_APP1 and segment.startswith(b"Exif\0\0") and not exif:
            exif = segment
        elif marker == JPEG_APP1 and (b"Exif" in segment or b"tiff:Orientation" in segment):
            return None  # more than one part, or XMP, which Pillow joins and compares
        place += 2 + length
    if data.find(JPEG_END, place) < 0 or len(frame) < 6 or frame[0] != 8 or frame[5] not in (1, 3):
        return None
    orientation = read_orientation(exif) if exif else 1
    return PlainHeader(int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5]), orientation)


def jpeg_ends(data: bytes) -> bool:
    """Returns whether the end marker of a JPEG follows its first scan.

    Inside of a scan no 0xFF stands before 0xD9. The last 0xD9 of a file may belong to what is behind the image.
    """
    place = 2
    while 0 <= place < len(data) - 4 and data[place + 1] != JPEG_SCAN:
        filled = data[place + 1] == 0xFF  # any number of these may stand before a marker
        place += 1 if filled else 2 + int.from_bytes(data[place + 2 : place + 4])
    return data.find(JPEG_END, place) >= 0


def read_png(data: bytes) -> PlainHeader | None:
    """Reads all chunks and compares their checksums."""
    place, view = len(PNG), memoryview(data)
    header = data[place + 8 : place + 21]
    while True:
        length, kind = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8]
        end = place + 12 + length
        if end > len(data) or zlib.crc32(view[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            return None
        if kind == b"IEND":
            break
        hidden = kind == b"tEXt" and data.startswith((b"Raw profile", b"XML:"), place + 8)  # may state an orientation
        if hidden or (kind not in PNG_CHUNKS and place > len(PNG)):
            return None
        place = end
    depth, colour = header[8], header[9]
    if not (colour == PNG_PALETTE or (depth == 8 and colour in (PNG_GREY, PNG_RGB))):
        return None
    return PlainHeader(int.from_bytes(header[4:8]), int.from_bytes(header[:4]), 1)


def only_pixels(data: bytes) -> bytes:
    """Returns a PNG, all of whose chunks were read, without those that change no pixel.

    libpng unpacks them, and prints warnings with names from inside the file.
    """
    parts, place, kind = [data[: len(PNG)]], len(PNG), b""
    while kind != b"IEND":
        kind, end = data[place + 4 : place + 8], place + 12 + int.from_bytes(data[place : place + 4])
        if kind in PNG_PIXELS:
            parts.append(data[place:end])
        place = end
    return b"".join(parts)


def read_orientation(exif: bytes) -> int:
    """Returns the orientation that EXIF data state, 1 to 8; 1 for broken data: viewers show the pixels as stored.

    Pillow's reader prints warnings, which only one thread at a time can hide.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order: Literal["little", "big"] = "little" if tiff.startswith(b"II") else "big"
    start = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[start : start + 2], order)
    for place in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind = (int.from_bytes(tiff[place + i : place + i + 2], order) for i in (0, 2))
        if tag == EXIF_ORIENTATION:
            value = int.from_bytes(tiff[place + 8 : place + (10 if kind == EXIF_SHORT else 12)], order)
            return value if 1 <= value <= 8 else 1
    return 1
