"""Writes label images of several planes, and of slides, as OME-TIFF: plane by plane or tile by tile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from associative_embedding.io.files import make_folder
from associative_embedding.io.outputs import MARK
from associative_embedding.io.temporary_files import partial_file
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.windows import Window, intersect, relative

TILE = 1024  # pixels, side of a tile of a slide
BIG = 2**31  # bytes of values from which a file gets offsets of 64 bits


@dataclass(frozen=True)
class Numbered:
    """The objects of one plane, each with the value of its pixels.

    Attributes:
        masks: N masks; where they overlap, the first one counts.
        numbers: ``(N,)`` integers above 0.
    """

    masks: Masks
    numbers: Array

    def window(self, area: Window, rows: Iterable[int] | None = None) -> Array:
        """Returns the labels ``(h, w)`` uint32 of a window.

        Args:
            area: the window.
            rows: the objects that may be in it; None = all.
        """
        canvas = np.zeros((area[0].stop - area[0].start, area[1].stop - area[1].start), np.uint32)
        for i in sorted(range(len(self.masks)) if rows is None else rows, reverse=True):  # the first one is drawn last
            own = self.masks.window(i)
            if shared := intersect(own, area):
                canvas[relative(shared, area)][self.masks.crops[i][relative(shared, own)]] = self.numbers[i]
        return canvas


def number_masks(masks: Masks) -> Numbered:
    """Returns masks numbered from 1 on."""
    return Numbered(masks, np.arange(1, len(masks) + 1))


def write_label_stack(
    path: Path, planes: list[Numbered], axes: str, *, pixel_size: float | None = None, mark: bytes = MARK
) -> None:
    """Writes the labels of planes of one size atomically; memory is that of one plane.

    Args:
        path: ``.tif`` or ``.tiff``.
        planes: at least one.
        axes: along which they follow each other: "z", "t", or another letter for planes of another kind.
        pixel_size: side of a pixel in micrometres, for the file; None = not known.
        mark: of its writer.

    Raises:
        OSError: when the file cannot be written.
    """
    size = planes[0].masks.size
    whole = (slice(0, size[0]), slice(0, size[1]))
    dtype = smallest(planes)
    letter = axes.upper() if axes in ("z", "t") else "Q"
    pages = (plane.window(whole).astype(dtype) for plane in planes)
    write_pages(path, pages, {"shape": (len(planes), *size), "dtype": dtype}, f"{letter}YX", pixel_size, mark)


def write_slide_labels(path: Path, plane: Numbered, *, pixel_size: float | None = None, mark: bytes = MARK) -> None:
    """Writes the labels of a slide atomically, tile by tile; arguments and errors as of `write_label_stack`."""
    dtype = smallest([plane])
    options = {"shape": plane.masks.size, "dtype": dtype, "tile": (TILE, TILE)}
    write_pages(path, (tile.astype(dtype) for tile in tiles_of(plane)), options, "YX", pixel_size, mark)


def tiles_of(plane: Numbered) -> Iterator[Array]:
    """Yields the labels of all tiles, row by row; those at the right and lower side are filled up."""
    height, width = plane.masks.size
    across = -(-width // TILE)
    inside: dict[tuple[int, int], list[int]] = {}
    for i in range(len(plane.masks)):
        rows, columns = plane.masks.window(i)
        for y in range(rows.start // TILE, -(-rows.stop // TILE)):
            for x in range(columns.start // TILE, -(-columns.stop // TILE)):
                inside.setdefault((y, x), []).append(i)
    for y in range(-(-height // TILE)):
        for x in range(across):
            area = (slice(y * TILE, (y + 1) * TILE), slice(x * TILE, (x + 1) * TILE))
            yield plane.window(area, inside.get((y, x), ()))


def smallest(planes: Iterable[Numbered]) -> type[np.uint16] | type[np.uint32]:
    """Returns the smallest type that holds all labels: 16 or 32 bits."""
    highest = max((int(plane.numbers.max(initial=0)) for plane in planes), default=0)
    return np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32


def write_pages(
    path: Path, pages: Iterator[Array], options: dict[str, Any], axes: str, pixel_size: float | None, mark: bytes
) -> None:
    """Writes pages or tiles that are made one by one."""
    metadata: dict[str, Any] = {"axes": axes}
    if pixel_size:
        metadata |= {f"PhysicalSize{axis}": pixel_size for axis in "XY"}
        metadata |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    values = int(np.prod(options["shape"])) * np.dtype(options["dtype"]).itemsize
    make_folder(path.parent)
    with partial_file(path) as temporary:
        import tifffile  # its import takes a tenth of a second

        with tifffile.TiffWriter(temporary, bigtiff=values >= BIG, ome=True) as file:
            file.write(pages, **options, compression="zlib", metadata=metadata, photometric="minisblack")
        with temporary.open("ab") as end:
            end.write(mark)
