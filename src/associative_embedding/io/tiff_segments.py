"""Decodes the strips and tiles of TIFF pages by tifffile and imagecodecs (the extra ``[microscopy]``), as windows.

For what Pillow cannot decode, such as JPEG 2000, and for slides, of which a few tiles are in memory at a time. A tile
that states another size than its page is refused before it is decoded.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import partial
from typing import Any, BinaryIO

import numpy as np

from associative_embedding.io.image_limits import TILE_HEADER, ImageError, check_jpeg, check_tiles
from associative_embedding.io.image_values import Pixels
from associative_embedding.io.optional_packages import need
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.windows import Window, intersect, relative

SAMPLED = 256  # tiles from which the values of black and white are taken
KEPT_BYTES = 2**26  # of decoded tiles: windows overlap
COLOUR_SPACES = {0: 1, 1: 1, 2: 3, 6: 3}  # white is zero, grey, RGB, YCbCr (of JPEG) -> channels
PLAIN, JPEG = 1, 7
JPEG_2000 = (33005, 34712)  # not 33003, whose colours are stored as luminance and differences
COMPRESSIONS = (PLAIN, 5, JPEG, 8, 32773, 32946, 34925, 50000, *JPEG_2000)
SPECIAL_BITS = (8, 16, 32, 64)
START_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3}


class Segments:
    """The strips or tiles of one page, decoded one by one.

    Args:
        file: of the page, open while windows are read.
        page: of tifffile.
        name: of the source, for messages.

    Raises:
        ImageError: for a page that cannot be decoded safely, or when imagecodecs is missing.
    """

    def __init__(self, file: BinaryIO, page: Any, name: str) -> None:
        self.file, self.page, self.key, self.name = file, page, page.keyframe, name
        key = self.key
        self.size = (int(key.imagelength), int(key.imagewidth))
        self.samples = int(key.samplesperpixel)
        self.planar = int(key.planarconfig) == 2 and self.samples > 1
        self.tile = (
            (int(key.tilelength), int(key.tilewidth))
            if key.is_tiled
            else (min(int(key.rowsperstrip), self.size[0]), self.size[1])
        )
        self.kept: OrderedDict[int, Array] = OrderedDict()
        self._check()

    def _check(self) -> None:
        key, compression = self.key, int(self.key.compression)
        if compression not in COMPRESSIONS or int(key.photometric) not in COLOUR_SPACES or key.dtype is None:
            raise ImageError(self.name, "has values or colours that cannot be read; save it as grey or RGB of 16 bits")
        if int(key.photometric) == 6 and compression != JPEG:
            raise ImageError(self.name, "has YCbCr colours that are not stored as JPEG; save it as RGB")
        if min(self.tile) < 1 or getattr(key, "imagedepth", 1) != 1:
            raise ImageError(self.name, "is a TIFF of an unusual layout, which cannot be read; save it anew")
        check_tiles(self.name, self.tile, self.size)
        if compression != PLAIN or key.bitspersample not in SPECIAL_BITS or key.predictor not in (1, 2):
            need("imagecodecs", "microscopy", "to decode it")

    @property
    def counts(self) -> tuple[int, int]:
        """Number of segments down and across."""
        return math.ceil(self.size[0] / self.tile[0]), math.ceil(self.size[1] / self.tile[1])

    def pixels(self, channel: int | None) -> Pixels:
        """Returns the values of one channel, from 0, or of the colours for None."""
        key = self.key
        colours = COLOUR_SPACES[int(key.photometric)]
        wanted = [channel] if channel is not None else list(range(min(colours, self.samples)))
        white = None
        if np.dtype(key.dtype).kind == "u" and key.bitspersample not in SPECIAL_BITS:
            white = float(2**key.bitspersample - 1)
        inverted = int(key.photometric) == 0
        read = partial(self.read, wanted=wanted)
        return Pixels(self.size, read, white, inverted, self.tile[0], typical=self.typical(wanted[0]))

    def typical(self, sample: int) -> list[Window] | None:
        """Returns up to `SAMPLED` stored tiles, evenly spread; None where these are nearly all of the page.

        Tiles that are not stored are no background: they would hide what the others show.
        """
        down, across = self.counts
        first = sample * down * across if self.planar else 0
        counts = self.page.databytecounts[first : first + down * across]
        stored = [i for i, count in enumerate(counts) if count]
        if not stored or (len(stored) == down * across <= SAMPLED):
            return None
        chosen = stored[:: -(-len(stored) // SAMPLED)]
        return [self._area(i // across, i % across) for i in chosen]

    def read(self, window: Window, wanted: list[int]) -> Array:
        """Returns the samples in `wanted` of a window, ``(h, w, C)``."""
        rows, columns = window
        shape = (rows.stop - rows.start, columns.stop - columns.start, len(wanted))
        found = np.zeros(shape, np.dtype(self.key.dtype))
        down, across = self.counts
        for y in range(rows.start // self.tile[0], -(-rows.stop // self.tile[0])):
            for x in range(columns.start // self.tile[1], -(-columns.stop // self.tile[1])):
                area = self._area(y, x)
                shared = intersect(window, area)
                if shared is None:
                    continue
                for place, sample in enumerate(wanted if self.planar else [0]):
                    part = self.segment((sample * down + y) * across + x if self.planar else y * across + x)
                    part = part[relative(shared, area)]
                    if self.planar:
                        found[(*relative(shared, window), place)] = part[:, :, 0]
                    else:
                        found[relative(shared, window)] = part[:, :, wanted]
        return found

    def _area(self, y: int, x: int) -> Window:
        (height, width), (down, across) = self.size, self.tile
        rows = slice(y * down, min((y + 1) * down, height))
        return rows, slice(x * across, min((x + 1) * across, width))

    def segment(self, index: int) -> Array:
        """Returns a decoded strip or tile, ``(h, w, C)``; zeros for one that is not stored."""
        if index in self.kept:
            self.kept.move_to_end(index)
            return self.kept[index]
        found = self._decode(index)
        self.kept[index] = found
        total = sum(part.nbytes for part in self.kept.values())
        while total > KEPT_BYTES and len(self.kept) > 1:
            total -= self.kept.popitem(last=False)[1].nbytes
        return found

    def _decode(self, index: int) -> Array:
        place, count = int(self.page.dataoffsets[index]), int(self.page.databytecounts[index])
        if count == 0:
            return np.zeros((*self.tile, 1 if self.planar else self.samples), np.dtype(self.key.dtype))
        self.file.seek(place)
        data = read_all(self.file, count, self.name)
        self._check_segment(data)
        options = {"jpegtables": self.key.jpegtables, "jpegheader": self.key.jpegheader}
        part = self.key.decode(data, index, **(options if int(self.key.compression) == JPEG else {}))[0]
        if part is None or part.ndim != 4:
            raise ImageError(self.name, "is damaged or truncated: a part of its pixels cannot be decoded")
        decoded: Array = part[0]
        return decoded

    def _check_segment(self, data: bytes) -> None:
        """Checks that a segment states no larger size than its page: its decoder would make room for it."""
        compression = int(self.key.compression)
        if compression == JPEG:
            check_jpeg(self.name, data)
            stated = jpeg_pixels(data)
        elif compression in JPEG_2000:
            stated = jpeg_2000_pixels(data)
        else:
            return  # the decoder gets the number of bytes
        if stated > 2 * (self.tile[0] + 16) * (self.tile[1] + 16):
            raise ImageError(self.name, f"has a tile that states {stated} pixels; it is damaged, or made to harm")


def read_all(file: BinaryIO, count: int, name: str) -> bytes:
    """Returns bytes of a file from where it is.

    Raises:
        ImageError: when it ends before.
    """
    place = file.tell()
    end = file.seek(0, 2)
    if place + count > end:
        raise ImageError(name, "is damaged or truncated: a part of its pixels lies behind its end")
    file.seek(place)
    return file.read(count)


def jpeg_pixels(data: bytes) -> int:
    """Returns the largest number of pixels that a JPEG states before its first scan."""
    place, most = 2, 0
    while place + 9 < len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        if data[place + 1] == 0xFF:
            place += 1
            continue
        if data[place + 1] in START_OF_FRAME:
            most = max(most, int.from_bytes(data[place + 5 : place + 7]) * int.from_bytes(data[place + 7 : place + 9]))
        place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return most


def jpeg_2000_pixels(data: bytes) -> int:
    """Returns the largest number of pixels, of all channels together over 4, that JPEG 2000 data may state."""
    most, place = 0, data.find(TILE_HEADER)
    while place >= 0:
        width, height = (int.from_bytes(data[place + at : place + at + 4]) for at in (8, 12))
        channels = int.from_bytes(data[place + 40 : place + 42])
        most = max(most, width * height * max(1, channels // 4))
        place = data.find(TILE_HEADER, place + 4)
    return most
