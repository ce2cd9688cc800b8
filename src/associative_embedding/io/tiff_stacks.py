"""Opens TIFF files of any number of planes: time, depth and channels as OME-XML, ImageJ or tifffile state them."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, BinaryIO

import numpy as np

from associative_embedding.io.axes import Axes, channel_names, stack_of_array
from associative_embedding.io.console import list_briefly, remark_file
from associative_embedding.io.counts import counted
from associative_embedding.io.image_limits import MAX_MEMORY, ImageError, check_size
from associative_embedding.io.image_values import Pixels
from associative_embedding.io.reading import Reading
from associative_embedding.io.stacks import Place, Stack
from associative_embedding.io.tiff_directories import read_directories
from associative_embedding.io.tiff_files import TiffPage
from associative_embedding.io.tiff_pages import PageFile
from associative_embedding.io.tiff_texts import (
    channel_names_in,
    check_ome,
    description_of,
    images_in,
    pixel_size_of,
    states_planes,
)
from associative_embedding.structures.arrays import Array


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
    if first.is_preview:
        raise ImageError(name, "begins with a small preview, as raw files of cameras do; export it as JPEG or PNG")
    pages, inner = read_directories(file)
    if len(pages) > 1 or inner or states_planes(description_of(first)) or reading.axes is not None or reading.level:
        return series_stack(file, name, reading, pages)
    return page_stack(file, name, first)


def has_planes(file: BinaryIO) -> bool:
    """Returns whether a TIFF has several pages, or states planes without a directory of their own."""
    page = TiffPage(file)
    return not page.is_last or states_planes(description_of(page))


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


def open_tifffile(file: BinaryIO) -> Any:
    """Opens a file with tifffile, which reads no other file and prints nothing."""
    import tifffile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    file.seek(0)
    return tifffile.TiffFile(file, _multifile=False)


def series_stack(file: BinaryIO, name: str, reading: Reading, places: Sequence[int]) -> Stack:
    """Returns the stack of a file of several pages or resolutions, by the series that tifffile finds.

    Args:
        file, name, reading: see `open_tiff`.
        places: of the directory of each page.

    Raises:
        ImageError: see `open_tiff`.
    """
    first, opened = TiffPage(file), open_tifffile(file)
    check_ome(opened.ome_metadata or "", first.height * first.width)
    series = opened.series
    if not len(series):
        raise ImageError(name, "has no image that can be read")
    if len(series) > 1:
        sizes = [f"{one.name or i} {'x'.join(map(str, one.shape))}" for i, one in enumerate(series, 1)]
        remark_file(name, f"has {len(series)} images of different kinds ({list_briefly(sizes)}); the first is read")
    text = description_of(first)
    there = math.prod(series[0].shape) // (first.height * first.width)
    if images_in(text) > there:
        remark_file(name, f"states {images_in(text)} images, of which {there} can be read; is it truncated?")
    levels = series[0].levels
    if reading.level >= len(levels):
        raise ImageError(name, f"has {counted(len(levels), 'resolution')}, so no level {reading.level}")
    axes = [Axes.of(one.axes, one.shape, name, reading.axes) for one in levels]
    pages = SeriesPages(file, name, levels[reading.level], axes[reading.level], places)
    stack = pages.stack(channel_names_in(text))
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
        places: of the directory of each page of the file.
    """

    def __init__(self, file: BinaryIO, name: str, series: Any, axes: Axes, places: Sequence[int]) -> None:
        self.file, self.name, self.series, self.axes = file, name, series, axes
        self.numbers = {place: number for number, place in enumerate(places)}
        count = len(series.shape) - len(series.keyframe.shape)
        self.outer = Axes(axes.letters[:count], axes.shape[:count])
        self.inner = axes.letters[count:]
        # one directory alone for planes that follow each other
        self.contiguous = len(places) < math.prod(self.outer.shape) and series.dataoffset is not None
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
        pages, first = self.series.pages, 0 if self.contiguous else index
        page = pages[first] if first < len(pages) else None
        if page is None or self.series.keyframe.shape[-2:] == (0, 0):
            states = f"states {len(pages)} planes, but number {index + 1} is missing"
            raise ImageError(self.name, f"{states}; choose others by --page")
        own, place = TiffPage(self.file, int(page.offset)), int(page.offset)
        if not self.contiguous:
            # tifffile counts pages and those inside of a page alike
            return PageFile(self.file, own, self.numbers.get(place), self.name, lambda: page)
        return PageFile(self.file, own.moved(index * self.series.keyframe.nbytes), None, self.name, no_page)

    def _array(self) -> Array:
        """Returns the whole series, where a plane is no page."""
        if self.series.nbytes > MAX_MEMORY // 2:
            raise ImageError(self.name, f"has {self.series.nbytes} bytes, too many to order its axes anew")
        if int(self.series.keyframe.compression) != 1:
            raise ImageError(self.name, "has pages that are no planes, and is compressed; save it as OME-TIFF")
        array: Array = self.series.asarray()
        return array


def no_page() -> Any:
    """Stands for tifffile's page of a plane without a directory; values without compression need none.

    Raises:
        ValueError: always.
    """
    raise ValueError("it has planes without a directory of their own")
