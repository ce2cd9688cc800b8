"""Opens TIFF files of any number of planes: time, depth and channels as OME-XML, ImageJ or tifffile state them."""

from __future__ import annotations

import html
import logging
import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, BinaryIO

import numpy as np

from associative_embedding.io.axes import Axes, channel_names, stack_of_array
from associative_embedding.io.console import list_briefly, remark_file
from associative_embedding.io.image_limits import MAX_MEMORY, ImageError, check_size
from associative_embedding.io.image_values import Pixels
from associative_embedding.io.reading import Reading
from associative_embedding.io.stacks import Place, Stack
from associative_embedding.io.tiff_files import TiffPage, check_counts
from associative_embedding.io.tiff_pages import PageFile
from associative_embedding.structures.arrays import Array

MOST_PAGES = 100_000
DESCRIPTION, X_RESOLUTION, UNIT, SUB_DIRECTORIES = 270, 282, 296, 330  # tags
CENTIMETRE = 3  # value of UNIT
# A length -> micrometres. Bio-Formats writes the sign for micro in two ways, ImageJ as an escape.
UNITS = {"µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0}
UNITS |= {"nm": 1e-3, "nanometer": 1e-3, "mm": 1e3, "millimeter": 1e3, "cm": 1e4, "centimeter": 1e4, "m": 1e6}
COARSE = 50.0  # micrometres
MAX_TEXT = 2**22  # characters of a description
NUMBER = r"([0-9.]+(?:[eE][-+]?\d+)?)"


def open_tiff(file: BinaryIO, name: str, reading: Reading) -> Stack:
    """Opens a TIFF; only its directories are read.

    Args:
        file: stays in use while planes are read.
        name: of the source, for messages and remarks.
        reading: its axes and level are used here.

    Raises:
        ImageError: for axes that do not fit, or a resolution that is not there.
        Exception: any other one for a file that is damaged.
    """
    first = TiffPage(file)
    check_size(name, first.width, first.height, first.width * first.height)
    if first.is_preview and not first.values(SUB_DIRECTORIES):
        raise ImageError(name, "begins with a small preview, as raw files of cameras do; export it as JPEG or PNG")
    several = not first.is_last or bool(first.values(SUB_DIRECTORIES))
    if several or reading.axes is not None or reading.level:
        check_directories(file)
        return series_stack(file, name, reading, first)
    return page_stack(file, name, first)


def page_stack(file: BinaryIO, name: str, page: TiffPage) -> Stack:
    """Returns the stack of a file with one page."""
    found = PageFile(file, page, 0, name, lambda: open_tifffile(file).pages[0])
    count = page.grey_channels or (0 if page.colours or page.has_alpha else 1)
    return Stack(
        name,
        {},
        (page.height, page.width),
        channel_names(channel_names_in(description_of(page)), count),
        lambda place, channel: found.pixels(channel if page.grey_channels or page.colours else None),
        pixel_size_of(page),
        orientation=page.orientation,
        bytes_each=found.bytes_each,
    )


def check_directories(file: BinaryIO) -> None:
    """Checks the number of values in all directories, before tifffile makes numbers of Python of them.

    Raises:
        ValueError: see `check_counts`; and for more than `MOST_PAGES` directories.
    """
    file.seek(0)
    header = file.read(16)
    order, big = "<" if header.startswith(b"II") else ">", b"+" in header[2:4]
    form, count, each = (f"{order}Q", f"{order}Q", 20) if big else (f"{order}I", f"{order}H", 12)
    size, short = struct.calcsize(form), struct.calcsize(count)
    waiting, seen = [struct.unpack_from(form, header, 8 if big else 4)[0]], set()
    while waiting:
        place = waiting.pop()
        if place == 0 or place in seen:
            continue
        seen.add(place)
        if len(seen) > MOST_PAGES:
            raise ValueError(f"it has more than {MOST_PAGES} pages")
        check_counts(file, header, place)
        file.seek(place)
        rows = file.read(short)
        if len(rows) < short:
            raise ValueError("the directory of a further page lies behind its end")
        number = struct.unpack(count, rows)[0]
        directory = file.read(number * each + size)
        if len(directory) == number * each + size:
            waiting.append(struct.unpack_from(form, directory, number * each)[0])
        waiting += sub_directories(file, directory, number, order, big=big)


def sub_directories(file: BinaryIO, directory: bytes, count: int, order: str, *, big: bool) -> list[int]:
    """Returns the places of the directories inside of one, which has `count` tags."""
    each, form, wide = (20, f"{order}HHQ", 8) if big else (12, f"{order}HHI", 4)
    for start in range(0, min(len(directory), count * each) - each + 1, each):
        tag, kind, values = struct.unpack_from(form, directory, start)
        if tag != SUB_DIRECTORIES:
            continue
        letter = "Q" if kind in (16, 18) else "I"
        data = directory[start + each - wide : start + each]
        if values * struct.calcsize(letter) > wide:
            file.seek(struct.unpack(f"{order}{'Q' if big else 'I'}", data)[0])
            data = file.read(values * struct.calcsize(letter))
        values = min(values, len(data) // struct.calcsize(letter))
        return list(struct.unpack_from(f"{order}{values}{letter}", data))
    return []


def open_tifffile(file: BinaryIO) -> Any:
    """Opens a file with tifffile, which reads no other file and prints nothing."""
    import tifffile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    file.seek(0)
    return tifffile.TiffFile(file, _multifile=False)


def series_stack(file: BinaryIO, name: str, reading: Reading, first: TiffPage) -> Stack:
    """Returns the stack of a file of several pages or resolutions, by the series that tifffile finds.

    Raises:
        ImageError: see `open_tiff`.
    """
    series = open_tifffile(file).series
    if not len(series):
        raise ImageError(name, "has no image that can be read")
    if len(series) > 1:
        sizes = [f"{one.name or i} {'x'.join(map(str, one.shape))}" for i, one in enumerate(series, 1)]
        remark_file(name, f"has {len(series)} images of different kinds ({list_briefly(sizes)}); the first is read")
    levels = series[0].levels
    if reading.level >= len(levels):
        raise ImageError(name, f"has {len(levels)} resolution{'s' * (len(levels) > 1)}, so no level {reading.level}")
    axes = [Axes.of(one.axes, one.shape, name, reading.axes) for one in levels]
    pages = SeriesPages(file, name, levels[reading.level], axes[reading.level])
    stack = pages.stack(channel_names_in(description_of(first)))
    finest = pixel_size_of(first)
    coarser = axes[0].size[1] / axes[reading.level].size[1]
    sizes_of_levels = tuple(one.size for one in axes) if len(axes) > 1 else ()
    return replace(stack, pixel_size=finest and finest * coarser, levels=sizes_of_levels)


class SeriesPages:
    """The pages of a series: each has one plane, perhaps with channels or colours inside.

    Args:
        file: of the pages.
        name: of the source, for messages.
        series: of tifffile.
        axes: of its dimensions.
    """

    def __init__(self, file: BinaryIO, name: str, series: Any, axes: Axes) -> None:
        self.file, self.name, self.series, self.axes = file, name, series, axes
        count = len(series.shape) - len(series.keyframe.shape)
        self.outer = Axes(axes.letters[:count], axes.shape[:count])
        self.inner = axes.letters[count:]
        self.opened = cache(self._open)

    def stack(self, names: Sequence[str]) -> Stack:
        """Returns the stack; `names` are those of the channels."""
        # a plane is a page, with colours or channels at its beginning or end
        if "".join(letter for letter in self.inner if letter not in "sc") != "yx" or len(self.inner) > 3:
            return stack_of_array(self._array(), self.axes, self.name, names)
        first = self.opened(0)
        page, between = first.page, self.outer.sizes.get("c", 1)
        inside = 0 if "s" in self.inner and page.colours else page.grey_channels or ("c" in self.inner) * page.channels
        if inside > 1 and between > 1:
            raise ImageError(self.name, "has channels in its pages and between them; save one of them by itself")
        colours = not inside and (page.colours or page.has_alpha)
        if colours and between > 1:
            raise ImageError(self.name, f"has {between} channels of colour pictures; save one of them by itself")
        channels = () if colours else channel_names(names, max(inside, between))
        pixels = partial(self.pixels, inside=bool(inside) or colours)
        each = first.bytes_each + 2 * page.pixel_bytes  # a plane, and that which it is joined with
        sizes = self.axes.planes
        return Stack(self.name, sizes, self.axes.size, channels, pixels, orientation=page.orientation, bytes_each=each)

    def pixels(self, place: Place, channel: int | None, *, inside: bool) -> Pixels:
        """Returns a plane; see `Stack.pixels`.

        Args:
            place, channel: of the plane.
            inside: a channel is a part of a page, not a page.
        """
        shape = self.outer.shape
        index = int(np.ravel_multi_index(self.outer.numbers(place, channel), shape)) if shape else 0
        return self.opened(index).pixels(channel if inside else None)

    def _open(self, index: int) -> PageFile:
        page = self.series.pages[index] if index < len(self.series.pages) else None
        if page is None or self.series.keyframe.shape[-2:] == (0, 0):
            raise ImageError(self.name, "has planes without a directory of their own; save it anew, as OME-TIFF")
        own = TiffPage(self.file, int(page.offset))
        number = page.index if isinstance(page.index, int) else None
        return PageFile(self.file, own, number, self.name, lambda: page)

    def _array(self) -> Array:
        """Returns the whole series, where a plane is no page."""
        if self.series.nbytes > MAX_MEMORY // 2:
            raise ImageError(self.name, f"has {self.series.nbytes} bytes, too many to order its axes anew")
        if int(self.series.keyframe.compression) != 1:
            raise ImageError(self.name, "has pages that are no planes, and is compressed; save it as OME-TIFF")
        array: Array = self.series.asarray()
        return array


# ---- what the texts of a file state


def description_of(page: TiffPage) -> str:
    """Returns the text in which OME, ImageJ and makers of slides state the channels and the size of a pixel."""
    text = str(page.tags.get(DESCRIPTION, ""))[:MAX_TEXT]
    try:
        return text.encode("latin-1").decode()  # tags are read as Latin-1, and OME-XML is UTF-8
    except UnicodeError:
        return text


def channel_names_in(text: str) -> list[str]:
    """Returns the names of the channels in OME-XML; none without them."""
    image = text.split("</Pixels>")[0]
    found = re.findall(r"<Channel\b[^>]*?\bName=\"([^\"]{0,100})\"", image)
    return [html.unescape(name) for name in found]


def pixel_size_of(page: TiffPage) -> float | None:
    """Returns the side of a pixel in micrometres as a file states it; None if it does not."""
    text = description_of(page)
    if match := re.search(rf"PhysicalSizeX=\"{NUMBER}\"", text):
        unit = re.search(r"PhysicalSizeXUnit=\"([^\"]{0,20})\"", text)
        factor = UNITS.get(html.unescape(unit[1])) if unit else 1.0
        return positive(float(match[1]) * factor) if factor else None
    if match := re.search(rf"\bMPP = {NUMBER}", text):  # Aperio
        return positive(float(match[1]))
    stated = page.tags.get(X_RESOLUTION)
    per_unit = float(stated) if stated else 0.0  # type: ignore[arg-type]
    if per_unit <= 0:
        return None
    if text.startswith("ImageJ="):
        unit = re.search(r"^unit=(.{1,20})$", text, re.MULTILINE)
        factor = UNITS.get(unit[1].strip()) if unit else None
        return positive(factor / per_unit) if factor else None
    # Scanners and cameras state dots per inch, which mean nothing; only a fine grid is that of a microscope.
    size = 1e4 / per_unit
    return positive(size) if page.number(UNIT, 0) == CENTIMETRE and size < COARSE else None


def positive(size: float) -> float | None:
    """Returns a size in micrometres; None for one that cannot be."""
    return size if 0 < size < 1e6 else None
