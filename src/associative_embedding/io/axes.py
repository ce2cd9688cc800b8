"""The dimensions of arrays and files: time, depth, channels, rows, columns, colours of a pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.image_values import Pixels
from associative_embedding.io.reading import check_axes
from associative_embedding.io.stacks import Place, Stack
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.windows import Window

MOST_CHANNELS = 10_000
UNKNOWN = "p"  # letter of a dimension whose meaning is not known: pages


@dataclass(frozen=True)
class Axes:
    """What each dimension means.

    Attributes:
        letters: of each dimension: t, z, c, y, x, s, or p for one whose meaning is not known.
        shape: of the array.
    """

    letters: tuple[str, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, letters: str, shape: Sequence[int], name: str, wanted: str | None = None) -> Axes:
        """Returns the axes of an array.

        Args:
            letters: as the source states them, in upper or lower case.
            shape: of the array.
            name: of the source, for messages.
            wanted: letters that replace them.

        Raises:
            ImageError: for letters that do not fit the shape, without rows and columns, or a dimension of length 0.
        """
        known = tuple(letter if letter in "tzcyxs" else UNKNOWN for letter in (wanted or letters).lower())
        sizes = tuple(int(n) for n in shape)
        if len(known) != len(sizes):
            raise ImageError(name, f"has {len(sizes)} dimensions, {sizes}, which are not the axes {wanted or letters}")
        if not {"y", "x"} <= set(known):
            raise ImageError(name, f"has no rows and columns among its axes {letters}")
        if min(sizes) < 1:
            raise ImageError(name, f"has the dimensions {sizes}: no pixels")
        return cls(known, sizes)

    @property
    def sizes(self) -> dict[str, int]:
        """Letter -> length, in the order of the dimensions; unknown ones are taken together."""
        return {
            letter: math.prod(n for own, n in zip(self.letters, self.shape, strict=True) if own == letter)
            for letter in self.letters
        }

    @property
    def planes(self) -> dict[str, int]:
        """Letter -> number of planes, of time, depth and pages."""
        return {letter: n for letter, n in self.sizes.items() if letter in ("t", "z", UNKNOWN)}

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of a plane."""
        return self.sizes["y"], self.sizes["x"]

    def numbers(self, place: Place, channel: int | None) -> list[int]:
        """Returns the number on each dimension that chooses a plane; 0 for rows, columns and colours."""
        unknown = [n for letter, n in zip(self.letters, self.shape, strict=True) if letter == UNKNOWN]
        pages = iter(np.unravel_index(place.get(UNKNOWN, 0), unknown)) if unknown else iter(())
        values = {**place, "c": channel or 0}
        return [int(next(pages)) if letter == UNKNOWN else values.get(letter, 0) for letter in self.letters]

    def read(self, array: Any, place: Place, channel: int | None, window: Window) -> Array:
        """Returns a window of a plane of an array, ``(h, w)``, or ``(h, w, C)`` if it has colours."""
        within = {"y": window[0], "x": window[1], "s": slice(None)}
        numbers = self.numbers(place, channel)
        index = tuple(within.get(letter, number) for letter, number in zip(self.letters, numbers, strict=True))
        left = [letter for letter in self.letters if letter in within]
        part: Array = np.asarray(array[index])
        return part.transpose([left.index(letter) for letter in "yxs" if letter in left])


def stack_of_array(array: Any, axes: Axes, name: str, names: Sequence[str] = (), step: int = 1) -> Stack:
    """Returns the stack of an array, or of anything with a shape that is read by slices as an array is.

    Args:
        array: numbers of any type; the last of four colours is transparency.
        axes: of its dimensions.
        name: of the source, for messages.
        names: of the channels.
        step: rows that are decoded together.

    Raises:
        ImageError: for a number of colours that is not 1, 3 or 4, next to channels or not.
    """
    colours = axes.sizes.get("s", 1)
    if colours not in (1, 3, 4) or (colours > 1 and axes.sizes.get("c", 1) > 1):
        raise ImageError(name, f"has {colours} colours of a pixel and {axes.sizes.get('c', 1)} channels")

    plain = axes.letters == ("y", "x", "s") and isinstance(array, np.ndarray) and array.dtype == np.uint8

    def pixels(place: Place, channel: int | None) -> Pixels:
        of_colour = colours > 1 and channel is not None
        if plain and channel is None:
            return Pixels.of_array(array)

        def read(window: Window) -> Array:
            part = axes.read(array, place, None if of_colour else channel, window)
            part = part[:, :, channel] if of_colour else part
            return part.astype(part.dtype.newbyteorder("="), copy=False)

        return Pixels(axes.size, read, step=step)

    channels = () if colours > 1 else channel_names(names, axes.sizes.get("c", 1))
    each = 3 + 2 * colours * np.dtype(array.dtype).itemsize
    return Stack(name, axes.planes, axes.size, channels, pixels, bytes_each=each)


def channel_names(names: Sequence[str], count: int) -> tuple[str, ...]:
    """Returns a name for each channel; "" for all if the names are not as many.

    Raises:
        ValueError: for more than `MOST_CHANNELS`.
    """
    if count > MOST_CHANNELS:
        raise ValueError(f"it states {count} channels")
    return tuple(names) if len(names) == count else ("",) * count


def axes_of_array(shape: Sequence[int], name: str, wanted: str | None) -> Axes:
    """Returns the axes of an array ``(H, W)``, ``(H, W, 1, 3 or 4)``, or as they are stated.

    Raises:
        ImageError: for another shape, or axes that do not fit it.
    """
    if wanted is not None:
        check_axes(wanted)
        return Axes.of(wanted, shape, name)
    if len(shape) == 2:
        return Axes.of("yx", shape, name)
    if len(shape) == 3 and shape[2] in (1, 3, 4):
        return Axes.of("yxs", shape, name)
    # as PyTorch has images: silently read as an image of three rows, they would find nothing
    hint = "channels come last: array.transpose(1, 2, 0)" if len(shape) == 3 and shape[0] in (1, 3, 4) else ""
    text = "; ".join(part for part in (hint, "or state its axes, such as tzcyx") if part)
    raise ImageError(name, f"shape must be (H, W) or (H, W, 1, 3 or 4), not {tuple(shape)}; {text}")
