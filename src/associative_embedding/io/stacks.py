"""Images of several planes: which of them are read, how they become pictures, and the line that says so."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

import numpy as np

from associative_embedding.io.console import list_briefly
from associative_embedding.io.counts import counted
from associative_embedding.io.image_limits import MAX_PIXELS, ImageError, check_size
from associative_embedding.io.image_values import Limits, Pixels, limits_of, rgb_of, to_rgb
from associative_embedding.io.reading import PLAIN, Reading
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.windows import Window

Place = Mapping[str, int]  # axis -> number of a plane on it, from 0
NOUNS = {"t": "time point", "z": "z plane", "p": "page"}
PROJECTIONS = {"max": "maximum", "mean": "mean"}
MOST_PICTURES, MOST_DEPTH = 100_000, 10_000  # pictures of an image, planes that become one picture
MOST_JOINED = 100  # times the pixels of the largest image: what planes that are joined may have together


@dataclass(frozen=True, eq=False)
class Stack:
    """An image file or array of any number of planes, which are decoded when they are read.

    Attributes:
        name: of the source, for messages.
        sizes: number of planes on the axes t (time), z (depth) and p (not known), in the order of the file.
        size: (H, W) of a plane, pixels.
        channels: the name of each channel that is no colour, "" where the file states none; () for a colour picture.
        pixels: returns a plane, of one channel (from 0), or of the colours for None.
        pixel_size: side of a pixel in micrometres; None where the file does not state it.
        levels: (H, W) of each resolution, the finest first.
        orientation: of EXIF, 1 to 8.
        bytes_each: for each pixel at the peak of decoding a plane, with the result.
    """

    name: str
    sizes: Mapping[str, int]
    size: tuple[int, int]
    channels: tuple[str, ...]
    pixels: Callable[[Place, int | None], Pixels]
    pixel_size: float | None = None
    levels: tuple[tuple[int, int], ...] = ()
    orientation: int = 1
    bytes_each: int = 0


class Slide:
    """A picture whose windows are decoded when they are read: ``slide[rows, columns]`` is ``(h, w, 3)`` uint8 RGB.

    Args:
        pixels: the values.
        limits: of black and white.
        owner: of the open file, which stays open as long as the slide.
    """

    def __init__(self, pixels: Pixels, limits: Limits, owner: object = None) -> None:
        self.pixels, self.limits, self.owner = pixels, limits, owner
        self.shape = (*pixels.size, 3)

    def __getitem__(self, window: Window) -> Array:
        part = rgb_of(self.pixels.read(window), self.limits)
        return part if part.shape[2] == 3 else part.repeat(3, axis=2)


@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures of one image: most have one, those of several planes also more.

    Attributes:
        stack: the planes.
        reading: which of them are read.
        max_pixels: a larger plane is refused, or is a `Slide`.
        apart: planes of a depth are pictures of their own, unless the reading joins them.
    """

    stack: Stack
    reading: Reading = PLAIN
    max_pixels: int = MAX_PIXELS
    apart: bool = False
    _limits: dict[int, Limits] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _ = self.channel, self.joined  # they check what was asked for
        pictures = math.prod(self.stack.sizes[axis] for axis in self.frame_axes)
        if pictures > MOST_PICTURES or self.stack.sizes.get(self.joined, 1) > MOST_DEPTH:
            raise ImageError(self.stack.name, f"has {self.counts}, too many to read all; choose some by --page")
        # Who allows less than usual, as the service does, bounds the time.
        most = self.max_pixels if self.max_pixels < MAX_PIXELS else MOST_JOINED * MAX_PIXELS
        height, width = self.stack.size
        if self.joined and self.stack.sizes[self.joined] * height * width > most:
            raise ImageError(self.stack.name, f"has too many pixels to join its planes, more than {most}")

    def __len__(self) -> int:
        return len(self.frames)

    # ---- which planes

    @cached_property
    def channel(self) -> int | None:
        """The channel to read, from 0; None = the colours."""
        names, wanted = self.stack.channels, self.reading.channel_number
        listed = list_briefly([name or str(i) for i, name in enumerate(names, 1)], 8)
        if wanted is None:
            if len(names) > 1:
                raise ImageError(
                    self.stack.name,
                    f"has {len(names)} channels that are no colours ({listed}); choose one: --channel, from 1",
                )
            return 0 if names else None
        count = len(names) or 3
        if isinstance(wanted, int) and wanted <= count:
            return wanted - 1
        # a name may be a number, such as 488, of a laser
        found = [i for i, name in enumerate(names) if name.casefold() == str(wanted).casefold()]
        if len(found) == 1:
            return found[0]
        if isinstance(wanted, str):
            raise ImageError(self.stack.name, f"has no channel {wanted!r}, but {listed or 'red, green and blue'}")
        raise ImageError(self.stack.name, f"has {counted(count, 'channel')}, so there is no {wanted}")

    @property
    def axes(self) -> list[str]:
        """The axes with more than one plane."""
        return [axis for axis, count in self.stack.sizes.items() if count > 1]

    @cached_property
    def chosen(self) -> dict[str, int]:
        """Axis -> the plane that is asked for, from 0."""
        wanted = dict(self.reading.places)
        if "any" in wanted:
            number = wanted.pop("any")
            if len(self.axes) > 1 and "z" not in self.axes:
                raise ImageError(self.stack.name, f"has {self.counts}; give --page with letters, such as t2z3")
            if self.axes or number:
                wanted[self.depth or "p"] = number
        for axis, number in wanted.items():
            count = self.stack.sizes.get(axis, 1)
            if number >= count:
                has = counted(count, NOUNS[axis]) if axis in self.stack.sizes else "one plane"
                raise ImageError(self.stack.name, f"has {has}, so there is no {number + 1}")
        return wanted

    @property
    def depth(self) -> str:
        """The axis of a number alone and of a projection: z, or else the only one; "" without planes."""
        return "z" if "z" in self.axes else self.axes[0] if len(self.axes) == 1 else ""

    @cached_property
    def joined(self) -> str:
        """The axis whose planes become one picture; "" for none."""
        left = [axis for axis in self.axes if axis not in self.chosen]
        if not left or self.reading.every_plane:
            return ""
        if self.reading.project:
            if "z" not in left and len(left) > 1:
                raise ImageError(self.stack.name, f"has {self.counts}; choose one of them by --page to join the others")
            return "z" if "z" in left else left[0]
        return "z" if "z" in left and not self.apart else ""

    @cached_property
    def frame_axes(self) -> list[str]:
        """The axes along which the pictures follow each other."""
        return [axis for axis in self.axes if axis not in self.chosen and axis != self.joined]

    @cached_property
    def frames(self) -> list[dict[str, int]]:
        """The place of each picture on the axes of frames, in the order of the file."""
        ranges = [range(self.stack.sizes[axis]) for axis in self.frame_axes]
        return [dict(zip(self.frame_axes, place, strict=True)) for place in product(*ranges)]

    # ---- pictures

    def values(self, number: int) -> Pixels:
        """Returns the values of a picture, counted from 0."""
        place = dict.fromkeys(self.stack.sizes, 0) | self.chosen | self.frames[number]
        if not self.joined:
            return self.stack.pixels(place, self.channel)
        planes = [place | {self.joined: i} for i in range(self.stack.sizes[self.joined])]
        return join([self.stack.pixels(plane, self.channel) for plane in planes], self.reading.project or "max")

    def limits(self, number: int, pixels: Pixels) -> Limits:
        """Returns the values of black and white. Planes of a depth share them: an empty one stays dark."""
        if "z" not in self.frame_axes:
            return limits_of([pixels], self.stack.name, self.reading)
        place = self.frames[number]
        others = [i for i, other in enumerate(self.frames) if place | other == other | place | {"z": other["z"]}]
        first = others[0]
        if first not in self._limits:
            planes = [self.values(i) for i in others]
            self._limits[first] = limits_of(planes, self.stack.name, self.reading)
        return self._limits[first]

    def picture(self, number: int) -> Array:
        """Returns a picture, counted from 0, as ``(H, W, 3)`` uint8 RGB.

        Raises:
            ImageError: for damaged planes, or a picture that is too large.
        """
        height, width = self.stack.size
        try:
            check_size(self.stack.name, width, height, self.max_pixels, self.stack.bytes_each)
        except ImageError as error:
            reason = str(error).removeprefix(f"{self.stack.name}: ")
            raise ImageError(self.stack.name, reason + self.advice) from None
        pixels = self.values(number)
        return to_rgb(pixels, self.limits(number, pixels))

    def slide(self, number: int, owner: object = None) -> Slide:
        """Returns a picture, counted from 0, whose windows are decoded when they are read; see `Slide`."""
        pixels = self.values(number)
        return Slide(pixels, self.limits(number, pixels), owner)

    # ---- lines

    @property
    def advice(self) -> str:
        """What to do about a picture that is too large."""
        sizes = [f"{i} = {width}x{height}" for i, (height, width) in enumerate(self.stack.levels) if i]
        return f"; choose a smaller resolution: --level {', '.join(sizes)}" if sizes else ""

    @property
    def counts(self) -> str:
        """What the image has, such as "5 z planes, 2 channels"."""
        parts = [(self.stack.sizes[axis], NOUNS[axis]) for axis in self.axes]
        parts += [(len(self.stack.channels), "channel")] if len(self.stack.channels) > 1 else []
        parts += [(len(self.stack.levels), "resolution")] if len(self.stack.levels) > 1 else []
        return ", ".join(f"{count} {noun}s" for count, noun in parts)

    def says(self, *, first: bool = False) -> str:
        """Returns what is read, such as "5 z planes, 2 channels; read channel 2, maximum over z".

        Args:
            first: only the first picture is read.
        """
        parts = []
        if len(self.stack.channels) > 1 and self.channel is not None:
            name = self.stack.channels[self.channel]
            parts.append(f"channel {self.channel + 1}" + (f" ({name})" if name else ""))
        parts += [f"{NOUNS[axis]} {number + 1}" for axis, number in self.chosen.items() if axis in self.axes]
        if self.joined:
            parts.append(f"{PROJECTIONS[self.reading.project or 'max']} over {self.joined.replace('p', 'the pages')}")
        if len(self) > 1:
            nouns = " and ".join(NOUNS[axis] for axis in self.frame_axes)
            parts.append(f"the first {nouns} (--page chooses another)" if first else f"each {nouns} by itself")
        if len(self.stack.levels) > 1:
            parts.append(f"{self.stack.size[1]}x{self.stack.size[0]} pixels")
        return f"{self.counts}; read {', '.join(parts)}" if parts else ""

    def title(self, number: int) -> str:
        """Returns the name of a picture among those of the image, such as "t2z3"; "" for the only one."""
        place = self.frames[number]
        return "".join(f"{axis}{i + 1}" for axis, i in place.items()).removeprefix("p")


def join(planes: list[Pixels], how: str) -> Pixels:
    """Returns the maximum or the mean of planes, each of whose values are in memory one after the other."""
    found: Array | None = None
    kind: np.dtype[np.generic] | None = None
    for plane in planes:
        part = whole(plane)
        kind = part.dtype
        if how == "mean":
            wide = part.astype(np.float64 if kind.itemsize > 2 else np.float32)
            found = wide if found is None else np.add(found, wide, out=found)
        else:
            # `fmax` ignores NaN; inverted values count down to white
            larger = np.fmin if plane.inverted else np.fmax
            found = part if found is None else larger(found, part, out=found)
    assert found is not None
    assert kind is not None
    if how == "mean":
        found /= len(planes)
        found = found if kind.kind == "f" else np.rint(found).astype(kind)
    first = planes[0]
    return replace(Pixels.of_array(found), white=first.white, inverted=first.inverted)


def whole(pixels: Pixels) -> Array:
    """Returns all values of a picture, ``(H, W)`` or ``(H, W, C)`` with C above 1, a copy of its own."""
    array = np.concatenate([pixels.read(window) for window in pixels.bands()])
    # One decoder gives a grey plane as (H, W), another one as (H, W, 1).
    return array[:, :, 0] if array.shape[2:] == (1,) else array
