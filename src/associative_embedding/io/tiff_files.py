"""Reads the pages of TIFF files that Pillow refuses or misreads: deep values, planes, channels, white as zero.

Neither Pillow nor OpenCV reports all that they cannot read: planes of 16 bits come out as stripes, an unknown
compression as black. So the directory of a page decides what happens to it. Format: TIFF 6.0 (Adobe, 1992).
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Mapping
from copy import copy
from typing import BinaryIO, Self

import numpy as np
from PIL import Image, TiffImagePlugin

from associative_embedding.io.image_values import Pixels
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.windows import Window

Values = tuple[int, ...]

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF

# tags
SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 254, 256, 257, 258, 259, 262, 266
STRIP_PLACES, ORIENTATION, CHANNELS, ROWS, STRIP_BYTES, PLANES, PREDICTOR = 273, 274, 277, 278, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILE_PLACES, TILE_BYTES, EXTRA, SAMPLE_FORMAT, REDUCTION = 322, 323, 324, 325, 338, 339, 530

WHITE_IS_ZERO, GREY, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6  # values of PHOTOMETRIC
COLOURS = {WHITE_IS_ZERO: 1, GREY: 1, RGB: 3, PALETTE: 1, 5: 4, YCBCR: 3, 8: 3}  # 5: CMYK, 8: Lab
ALPHA = (1, 2)  # values of EXTRA
KINDS = {1: "u", 2: "i", 3: "f"}  # value of SAMPLE_FORMAT -> numpy's kind
PLAIN_KINDS = ("u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f16", "f32", "f64")
DIFFERENCES = 2  # value of PREDICTOR: each value is stored as the difference from its left neighbour
BYTE_COMPRESSIONS = (1, 5, 8, 32773, 32946, 34925, 50000)  # none, LZW, Deflate, PackBits, LZMA, Zstandard
DIFFERENCE_COMPRESSIONS = (5, 8, 32946, 34925, 50000)  # of others, libtiff ignores PREDICTOR
JPEG_COMPRESSIONS = (6, 7)
OTHER_COMPRESSIONS = {33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", 50002: "JPEG XL"}
OTHER_COMPRESSIONS |= {50001: "WebP"}  # which Pillow states, but its libtiff lacks
BYTES = (1, 2, 6, 7)  # types of values of one byte: texts, profiles and notes
MAX_VALUES = 2**22  # places of strips: an image has fewer rows, and far fewer tiles
MAX_TAGS = 2**16
ADVICE = "save it as grey or RGB of 8 or 16 bits, without compression or with LZW"


class TiffPage:
    """The directory of a page of a TIFF.

    Args:
        file: only the directory is read.
        place: of the directory; default: that of the first page.
    """

    def __init__(self, file: BinaryIO, place: int | None = None) -> None:
        file.seek(0)
        header = file.read(8)
        header += file.read(8) if b"+" in header[2:4] else b""
        directory = TiffImagePlugin.ImageFileDirectory_v2(header)
        place = directory.next if place is None else place
        check_counts(file, header, place)
        file.seek(place)
        directory.load(file)
        self.tags: Mapping[int, int | Values] = directory
        self.order = "<" if header.startswith(b"II") else ">"
        self.height, self.width = self.number(HEIGHT), self.number(WIDTH)
        self.channels, self.photometric = self.number(CHANNELS, 1), self.number(PHOTOMETRIC, GREY)
        self.bits, self.kind = self.number(BITS, 1), KINDS.get(self.number(SAMPLE_FORMAT, 1), "")
        self.orientation, self.is_last = self.number(ORIENTATION, 1), directory.next == 0
        self.planar = self.channels > 1 and self.number(PLANES, 1) == 2

    def values(self, tag: int) -> Values:
        """Returns the values of a tag; none if it is missing."""
        value = self.tags.get(tag, ())
        return tuple(value) if isinstance(value, tuple) else (value,)

    def number(self, tag: int, default: int | None = None) -> int:
        """Returns the first value of a tag, or the default if it is missing.

        Raises:
            ValueError: when there is neither.
        """
        values = self.values(tag)
        if not values and default is None:
            raise ValueError(f"tag {tag} is missing")
        return int(values[0]) if values else int(default or 0)

    def moved(self, count: int) -> Self:
        """Returns the page of the same layout whose values lie `count` bytes behind."""
        other = copy(self)
        tags = (STRIP_PLACES, TILE_PLACES)
        places = {tag: tuple(place + count for place in self.values(tag)) for tag in tags if tag in self.tags}
        other.tags = {**self.tags, **places}
        return other

    @property
    def has_alpha(self) -> bool:
        """Whether the channel after the colours is transparency. Without a statement, a fourth one beside RGB is."""
        extra = self.values(EXTRA) or ((2,) if self.photometric == RGB and self.channels == 4 else ())
        return bool(extra) and extra[0] in ALPHA

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of a tile in pixels; (0, 0) without tiles."""
        return self.number(TILE_HEIGHT, 0), self.number(TILE_WIDTH, 0)

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel with all channels; for planes of the channels that are read."""
        used = COLOURS.get(self.photometric, 0) + self.has_alpha if self.planar else self.channels
        return used * -(-self.bits // 8)

    @property
    def other_channels(self) -> int:
        """The number of channels that are neither colours nor transparency."""
        return self.channels - COLOURS.get(self.photometric, 0) - self.has_alpha

    @property
    def colours(self) -> bool:
        """Whether the page is a colour picture; else its channels are grey pictures."""
        return self.photometric not in (WHITE_IS_ZERO, GREY)

    @property
    def grey_channels(self) -> int:
        """The number of channels where these are grey pictures, each of its own; 0 for one picture."""
        return self.channels if not self.colours and self.other_channels else 0

    @property
    def is_preview(self) -> bool:
        """Whether the page shows another one in a smaller size."""
        return bool(self.number(SUBFILE, 0) & 1)

    def fault(self) -> str:
        """Returns why neither Pillow nor `value_pixels` can read the page, or an empty text."""
        compression = self.number(COMPRESSION, 1)
        if compression in OTHER_COMPRESSIONS or compression not in TiffImagePlugin.COMPRESSION_INFO:
            name = OTHER_COMPRESSIONS.get(compression, f"number {compression}")
            return f"is a TIFF with the compression {name}, which cannot be read; {ADVICE}"
        reduced = self.photometric == YCBCR and self.values(REDUCTION) != (1, 1)  # JPEG's decoder enlarges colours
        if self.photometric not in COLOURS or (reduced and compression not in JPEG_COMPRESSIONS):
            return f"is a TIFF of the colour space {self.photometric}, which cannot be read; {ADVICE}"
        return ""

    def is_cut(self, length: int) -> bool:
        """Whether a strip or tile ends behind the end of the file, which has `length` bytes; libtiff would print it."""
        pairs = ((STRIP_PLACES, STRIP_BYTES), (TILE_PLACES, TILE_BYTES))
        return any(
            place + size > length
            for places, sizes in pairs
            for place, size in zip(self.values(places), self.values(sizes), strict=False)
        )

    @property
    def is_sparse(self) -> bool:
        """Whether some tiles are not stored, which are black."""
        return 0 in self.values(TILE_BYTES)

    @property
    def misread_by_pillow(self) -> bool:
        """Whether Pillow opens the page, but with wrong pixels."""
        if self.predictor != 1 and self.number(COMPRESSION, 1) not in DIFFERENCE_COMPRESSIONS:
            return True
        if self.bits <= 8:
            return self.planar and self.photometric != RGB
        swapped = self.order == ">" and self.bits == 32 and self.number(COMPRESSION, 1) != 1
        return self.planar or self.photometric == WHITE_IS_ZERO or self.bits == 12 or swapped

    @property
    def holds_plain_values(self) -> bool:
        """Whether the unpacked bytes are the values of the pixels, or whole numbers and their differences."""
        predictor = self.predictor
        return (
            self.number(COMPRESSION, 1) in BYTE_COMPRESSIONS
            and (predictor == 1 or (predictor == DIFFERENCES and self.kind in "ui"))
            and self.number(FILL_ORDER, 1) == 1
            and self.photometric in (WHITE_IS_ZERO, GREY, RGB)
            and f"{self.kind}{self.bits}" in PLAIN_KINDS
            and set(self.values(BITS)) == {self.bits}
        )

    @property
    def predictor(self) -> int:
        """How values are stored as differences; 1 = as they are. Without compression every reader ignores the tag."""
        return 1 if self.number(COMPRESSION, 1) == 1 else self.number(PREDICTOR, 1)

    @property
    def inverted(self) -> bool:
        """Whether the values count from white to black."""
        return self.photometric == WHITE_IS_ZERO


def check_counts(file: BinaryIO, header: bytes, place: int) -> None:
    """Checks the number of values of each tag before they become numbers of Python, of forty bytes each.

    Args:
        file: of the directory.
        header: the bytes before it.
        place: of the directory.

    Raises:
        ValueError: for a tag of numbers with more than `MAX_VALUES`, or tags that share their bytes with each other.
    """
    order, big = "<" if header.startswith(b"II") else ">", b"+" in header[2:4]
    size, form, first = (20, f"{order}HHQ", 8) if big else (12, f"{order}HHI", 2)
    left = file.seek(0, os.SEEK_END)
    file.seek(place)
    count = int.from_bytes(file.read(first), "little" if order == "<" else "big")
    rows = file.read(size * min(count, MAX_TAGS))
    for start in range(0, len(rows) - size + 1, size):
        tag, kind, values = struct.unpack_from(form, rows, start)
        if kind not in BYTES and values > MAX_VALUES:
            raise ValueError(f"tag {tag} has {values} values")
        if (left := left - values) < 0:  # Pillow before 13 reads the same bytes for each of them
            raise ValueError("its tags have more values than the file has bytes")
    if count > MAX_TAGS:
        raise ValueError(f"it has {count} tags")


def value_pixels(file: BinaryIO, page: TiffPage, channel: int | None = None) -> Pixels:
    """Returns the values of a page that `holds_plain_values`, of the type in the file; they are unpacked here.

    Args:
        file: of the page.
        page: its directory.
        channel: the only one to return, from 0; None = the colours, with transparency if there is one.
    """
    kind = np.dtype(f"{page.order}{page.kind}{page.bits // 8}")
    wanted = range(COLOURS[page.photometric] + page.has_alpha) if channel is None else [channel]
    if page.planar:
        planes = [read_plane(file, page, number, kind.itemsize) for number in wanted]
    else:
        planes = [read_plane(file, page, 0, page.channels * kind.itemsize)]
    grey_alpha = channel is None and page.has_alpha and not page.colours

    def read(window: Window) -> Array:
        rows, columns = window
        parts = [np.asarray(plane.crop((0, rows.start, plane.width, rows.stop))) for plane in planes]
        values = [values_of(part.view(kind), page).reshape(len(part), page.width, -1) for part in parts]
        array = np.concatenate(values, axis=2) if page.planar else values[0][:, :, list(wanted)]
        return array[:, columns][:, :, [0, 0, 0, 1]] if grey_alpha else array[:, columns]

    return Pixels((page.height, page.width), read, inverted=page.inverted)


def values_of(part: Array, page: TiffPage) -> Array:
    """Returns stored rows ``(h, W * C)`` in the order of bytes of this machine, with differences added up."""
    native = part.astype(part.dtype.newbyteorder("="))
    if page.predictor != DIFFERENCES:
        return native
    pixels = native.reshape(len(part), page.width, -1)
    side = page.tile[1] or page.width  # each tile begins anew
    for x in range(0, page.width, side):
        pixels[:, x : x + side] = np.cumsum(pixels[:, x : x + side], axis=1, dtype=native.dtype)
    return pixels.reshape(native.shape)


def read_plane(file: BinaryIO, page: TiffPage, number: int, pixel_bytes: int) -> Image.Image:
    """Returns the unpacked bytes of a plane, as a grey image of 8 bits, which has so many more columns.

    Pillow unpacks them and reports damage.
    """
    tiled = bool(page.values(TILE_PLACES))
    places, sizes = (TILE_PLACES, TILE_BYTES) if tiled else (STRIP_PLACES, STRIP_BYTES)
    count = len(page.values(places)) // (page.channels if page.planar else 1)
    part = slice(number * count, (number + 1) * count)
    data, starts = read_parts(file, page.values(places)[part], page.values(sizes)[part])
    tags = {
        WIDTH: (page.width * pixel_bytes,),
        HEIGHT: (page.height,),
        BITS: (8,),
        COMPRESSION: page.values(COMPRESSION) or (1,),
        PHOTOMETRIC: (GREY,),
        places: starts,
        CHANNELS: (1,),
        sizes: page.values(sizes)[part],
    }
    if tiled:
        tags |= {TILE_WIDTH: (page.number(TILE_WIDTH) * pixel_bytes,), TILE_HEIGHT: page.values(TILE_HEIGHT)}
    else:
        tags |= {ROWS: (min(page.number(ROWS, page.height), page.height),)}
    with Image.open(io.BytesIO(with_directory(data, tags, page.order)), formats=["TIFF"]) as image:
        image.load()
    return image  # its pixels; the file is closed


def read_parts(file: BinaryIO, places: Values, sizes: Values) -> tuple[bytes, Values]:
    """Returns the bytes of strips or tiles behind an empty header of 8 bytes, and their places there."""
    first = min(places, default=0)
    last = max((place + size for place, size in zip(places, sizes, strict=False)), default=0)
    if last - first <= 2 * sum(sizes):  # one after the other, as most files have them, or one over the other
        file.seek(first)
        return bytes(8) + file.read(last - first), tuple(place - first + 8 for place in places)
    parts, starts, length = [bytes(8)], [], 8
    for place, size in zip(places, sizes, strict=False):
        file.seek(place)
        parts.append(file.read(size))
        starts.append(length)
        length += len(parts[-1])
    return b"".join(parts), tuple(starts)


def with_directory(data: bytes, tags: Mapping[int, Values], order: str) -> bytes:
    """Returns a TIFF of a directory, which is put behind the data, of which the first 8 bytes are the header's."""
    start = len(data) + len(data) % 2
    rows, lists = b"", b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            packed, lists = struct.pack(f"{order}I", start + 2 + 12 * len(tags) + 4 + len(lists)), lists + packed
        rows += struct.pack(f"{order}HHI", tag, 4, len(values)) + packed  # type 4: 32 bits without sign
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    directory = struct.pack(f"{order}H", len(tags)) + rows + b"\0" * 4 + lists
    return header + data[8:].ljust(start - 8, b"\0") + directory
