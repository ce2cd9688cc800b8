"""The values of one page of a TIFF, by the first decoder that reads them rightly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError

from associative_embedding.io.console import remark_file
from associative_embedding.io.image_limits import MAX_PIXELS, USUAL_BYTES, ImageError, check_tiles
from associative_embedding.io.image_values import Pixels
from associative_embedding.io.orientation import QUARTER_TURNS, turned_back
from associative_embedding.io.pillow_images import pillow_pixels
from associative_embedding.io.tiff_files import ADVICE, COMPRESSION, RGB, TiffPage, value_pixels
from associative_embedding.io.tiff_segments import COLOUR_SPACES, COMPRESSIONS, Segments
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.windows import Window


@dataclass(frozen=True)
class PageFile:
    """A page, and what its decoders need.

    Attributes:
        file: of the page.
        page: its directory.
        number: of the page in the file, from 0; None for a page that Pillow does not count.
        name: of the source, for messages.
        opened: opens the page with tifffile.
    """

    file: BinaryIO
    page: TiffPage
    number: int | None
    name: str
    opened: Callable[[], Any]

    @property
    def is_plain(self) -> bool:
        """Whether the values are unpacked here; Pillow reads what is left of 8 bits."""
        page = self.page
        # Pillow reads all directories before a page, for each of them.
        unusual = page.misread_by_pillow or page.inverted or page.bits > 8 or page.kind != "u" or self.number != 0
        return page.holds_plain_values and (unusual or bool(page.grey_channels))

    @property
    def is_pillows(self) -> bool:
        """Whether Pillow reads the page rightly."""
        page = self.page
        deep = page.kind == "i" or (page.kind == "u" and page.bits == 32)
        return not (page.fault() or page.misread_by_pillow or page.grey_channels or deep or self.number is None)

    @property
    def is_large(self) -> bool:
        """Whether the page is read by windows: its values would take too much memory."""
        return self.page.height * self.page.width > MAX_PIXELS

    @property
    def bytes_each(self) -> int:
        """Bytes for each pixel at the peak of decoding, with the result."""
        # values that are unpacked here are there twice: as strips or tiles, and as a whole
        return 3 + 2 * self.page.pixel_bytes if self.is_plain else USUAL_BYTES

    def pixels(self, channel: int | None) -> Pixels:
        """Returns the values of one channel, from 0, or of the colours for None.

        Raises:
            ImageError: for a page that is cut off, or that no decoder reads.
        """
        page = self.page
        check_tiles(self.name, page.tile, (page.height, page.width))
        if page.is_cut(self.file.seek(0, 2)):
            raise ImageError(self.name, "is damaged or truncated: a part of its pixels lies behind its end")
        if page.photometric == RGB and page.other_channels and (channel is None or channel < 3):
            remark_file(self.name, "has channels beside red, green and blue, which are left out")
        if self.is_large or page.is_sparse:
            return self._by_segments(channel)
        if self.is_plain:
            return value_pixels(self.file, page, channel)
        if self.is_pillows and (found := self._by_pillow()) is not None:
            return found if channel is None else found.channel(channel)
        return self._by_segments(channel)

    def _by_pillow(self) -> Pixels | None:
        """Returns the values; None for a layout that Pillow does not know."""
        assert self.number is not None
        self.file.seek(0)
        try:
            with Image.open(self.file, formats=["TIFF"]) as image:
                image.seek(self.number)
                found = pillow_pixels(image, self.name)
        except UnidentifiedImageError:
            return None
        return found if self.page.orientation in (0, 1) else unturned(found, self.page.orientation)

    def _by_segments(self, channel: int | None) -> Pixels:
        """Returns the values by tifffile and imagecodecs."""
        fault = self.page.fault() or f"is a TIFF of an unusual layout, which cannot be read; {ADVICE}"
        if self.page.number(COMPRESSION, 1) not in COMPRESSIONS or self.page.photometric not in COLOUR_SPACES:
            raise ImageError(self.name, fault)
        try:
            return Segments(self.file, self.opened(), self.name).pixels(channel)
        except ImageError:
            raise
        except ValueError as missing:
            raise ImageError(self.name, f"{fault}; {missing}" if "pip install" in str(missing) else fault) from None


def unturned(pixels: Pixels, orientation: int) -> Pixels:
    """Returns pixels as they are stored: Pillow turns TIFFs, and no others."""
    height, width = pixels.size
    array = turned_back(pixels.read((slice(0, height), slice(0, width))), orientation)
    size = (width, height) if orientation in QUARTER_TURNS else (height, width)

    def read(window: Window) -> Array:
        return array[window]

    return Pixels(size, read, pixels.white, pixels.inverted)
