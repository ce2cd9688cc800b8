"""What decoding an image may take, checked before it is decoded: pixels, bytes of memory, and passes over a JPEG."""

from __future__ import annotations

import re

from associative_embedding.io.console import one_line

MAX_PIXELS = 178_956_970  # half a gigabyte of RGB; Pillow refuses larger images, too
MAX_MEMORY = 2 * 2**30  # bytes while an image is decoded, with the result
MAX_NAME = 300  # characters of a source in an error message; it may be any text
# Format -> bytes for each pixel at the peak of decoding, with the 3 of the result (tests/io/test_image_limits.py).
PIXEL_BYTES = {"AVIF": 16, "JPEG": 15, "JPEG2000": 26, "MPO": 15, "WEBP": 18}
USUAL_BYTES = 11  # of all other formats, and of JPEG 2000 in small tiles, which are decoded one by one
TILE_HEADER = b"\xff\x4f\xff\x51"  # of JPEG 2000; the sides of a tile follow after 24 bytes

# A progressive JPEG has about ten scans; each costs a pass over all pixels, and takes some bytes of the file only.
MAX_SCANS = 100
SCAN = b"\xff\xda"
# The next marker after a scan: in a scan, zero or the number of a restart follows 0xFF.
JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
EXIF, MAX_EXIF = b"Exif\0\0", 100
JPEG_END, JPEG_SCAN, JPEG_ALONE = 0xD9, 0xDA, (0x01, 0xD8)  # the last ones have no length

TILE_PIXELS = 2**22  # of a TIFF: its decoder makes room for a whole tile, of an image of any size


class ImageError(ValueError):
    """An image that cannot be read. The message is one line with the source and the reason."""

    def __init__(self, source: str, reason: BaseException | str) -> None:
        name = source if len(source) <= MAX_NAME else source[:MAX_NAME] + "..."
        super().__init__(f"{name}: {one_line(reason)}")


def check_size(name: str, width: int, height: int, max_pixels: int = MAX_PIXELS, bytes_each: int = 0) -> None:
    """Checks the size of an image.

    Args:
        name: of the source, for messages.
        width, height: in pixels.
        max_pixels: largest number of pixels.
        bytes_each: for each pixel at the peak of decoding; 0 = not limited.

    Raises:
        ImageError: for an image without pixels, or one that is too large.
    """
    if width * height <= 0:
        raise ImageError(name, f"is {width}x{height}: no pixels")
    if width * height > max_pixels:
        raise ImageError(name, f"is {width}x{height}, more than the limit of {max_pixels} pixels")
    if (needed := width * height * bytes_each) > MAX_MEMORY:
        raise ImageError(
            name,
            f"is {width}x{height}, and decoding it would take {needed / 2**30:.1f} GB of memory, more than the limit "
            f"of {MAX_MEMORY >> 30} GB; make it smaller, or save it as a PNG or TIFF of 8 bits",
        )


def pixel_bytes(kind: str | None, data: bytes, pixels: int) -> int:
    """Returns the bytes for each pixel that decoding a file takes at its peak, the result included.

    Args:
        kind: Pillow's name of the format.
        data: the file.
        pixels: of the image.
    """
    if kind != "JPEG2000":
        return PIXEL_BYTES.get(kind or "", USUAL_BYTES)
    places = [found.start() for found in re.finditer(re.escape(TILE_HEADER), data)]
    sides = [(data[place + 24 : place + 28], data[place + 28 : place + 32]) for place in places]
    # the largest of all that look like one: the first may be a decoy
    tile = max((int.from_bytes(width) * int.from_bytes(height) for width, height in sides), default=pixels)
    return min(PIXEL_BYTES[kind], USUAL_BYTES + PIXEL_BYTES[kind] * tile // max(1, pixels))


def check_jpeg(name: str, data: bytes) -> None:
    """Checks the number of scans of a JPEG, and of the parts of its EXIF data, which Pillow joins one by one.

    Raises:
        ImageError: for more than `MAX_SCANS` or `MAX_EXIF`.
    """
    if data.count(EXIF) > MAX_EXIF:
        raise ImageError(name, f"has EXIF data in more than {MAX_EXIF} parts; remove them (exiftool -all=)")
    # The count of all bytes is quick; only a long file, or one with others inside, has more by accident.
    if data.count(SCAN) > MAX_SCANS and has_more_scans(data, MAX_SCANS):
        raise ImageError(
            name, f"is a JPEG of more than {MAX_SCANS} scans, which would take minutes; save it as an ordinary JPEG"
        )


def has_more_scans(data: bytes, most: int) -> bool:
    """Whether a JPEG has more scans than `most`; follows its segments as decoders do, up to its end."""
    place, scans = 2, 0
    while found := JPEG_MARKER.search(data, place):
        marker, place = found[1][0], found.end()
        if marker == JPEG_END or scans > most:
            break
        scans += marker == JPEG_SCAN
        if marker not in JPEG_ALONE:
            place += int.from_bytes(data[place : place + 2])
    return scans > most


def check_tiles(name: str, tile: tuple[int, int], size: tuple[int, int]) -> None:
    """Checks the tiles of a TIFF.

    Args:
        name: of the source, for messages.
        tile, size: (H, W) of a tile and of the image, in pixels.

    Raises:
        ImageError: for tiles that are far larger than the image.
    """
    # sides of tiles are multiples of 16
    if tile[0] * tile[1] > max(TILE_PIXELS, (size[0] + 16) * (size[1] + 16)):
        raise ImageError(
            name, f"is {size[1]}x{size[0]}, but states tiles of {tile[1]}x{tile[0]}; save it anew, without tiles"
        )
