"""Which values of a decoded image become black and white, and their conversion to 8 bits of RGB.

All commands convert here. 8-bit pictures stay as they are, and deeper ones that use their range keep their look.
Others, such as those of a camera with 12 bits, are stretched from percentile 1 to 99.8, as is usual in microscopy.
Some rows at a time: copies of a large image are large.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from associative_embedding.io.console import remark_file
from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.reading import AUTO, HIGH, LOW, NONE, PLAIN, Range, Reading
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.windows import Window

BAND = 2**18  # pixels that are converted at a time
MOST_SAMPLED = 2**20  # values from which percentiles are taken; an image of more is sampled evenly
USED = 0.25  # share of the whole range from which a picture of 16 bits keeps its look
SLACK = 1e-3  # resampled images go a little beyond [0, 1]
NOISE = 6.0  # times its noise: a smaller contrast is that of noise alone, whose percentiles 1 and 99.8 are 5.2 apart
FLAT, STEPS = 0.5, 16  # share of the level, and steps of integers, up to which a contrast is small
ReadWindow = Callable[[Window], Array]  # a window of an image -> its values (h, w) or (h, w, C)


@dataclass(frozen=True, eq=False)
class Pixels:
    """The values of one picture, which are decoded when they are read.

    Attributes:
        size: (H, W).
        read: returns a window, ``(h, w)`` grey or ``(h, w, C)`` grey, RGB or RGBA, of any kind of number.
        white: the value of white; None = that of the type: 255, 65535, 1 for floats in [0, 1], else not known.
        inverted: the values count from white to black.
        step: rows that are decoded together.
        array: all values, where they are in memory.
        typical: windows whose values decide which become black and white; None = all of it.
    """

    size: tuple[int, int]
    read: ReadWindow
    white: float | None = None
    inverted: bool = False
    step: int = 1
    array: Array | None = None
    typical: Sequence[Window] | None = None

    @classmethod
    def of_array(cls, array: Array) -> Pixels:
        """Returns the pixels of an array ``(H, W)`` or ``(H, W, C)`` in memory."""
        return cls((array.shape[0], array.shape[1]), lambda window: array[window], array=array)

    def bands(self) -> Iterator[Window]:
        """Yields windows over the whole width that together are all rows, of about `BAND` pixels or `step` rows."""
        height, width = self.size
        rows = max(self.step, BAND // width // self.step * self.step)
        for first in range(0, height, rows):
            yield slice(first, min(first + rows, height)), slice(0, width)

    def channel(self, number: int) -> Pixels:
        """Returns one channel, counted from 0, as a grey picture."""

        def read(window: Window) -> Array:
            part = self.read(window)
            return part if part.ndim == 2 else part[:, :, number]

        return Pixels(self.size, read, self.white, self.inverted, self.step, typical=self.typical)


@dataclass(frozen=True)
class Limits:
    """The values of black and white; above white and below black they are cut off. `low` > `high` inverts."""

    low: float
    high: float


WHOLE_BYTES = Limits(0, 255)


def to_rgb(pixels: Pixels, limits: Limits) -> Array:
    """Returns a picture as ``(H, W, 3)`` uint8 RGB, contiguous; uint8 RGB that is in memory is not copied.

    Args:
        pixels: the values.
        limits: of black and white, see `limits_of`.
    """
    if limits == WHOLE_BYTES and pixels.array is not None and pixels.array.shape[2:] == (3,):
        return np.ascontiguousarray(pixels.array)
    image = np.empty((*pixels.size, 3), np.uint8)
    for window in pixels.bands():
        image[window] = rgb_of(pixels.read(window), limits)  # grey is repeated
    return image


def rgb_of(part: Array, limits: Limits) -> Array:
    """Returns values ``(h, w)`` or ``(h, w, 1, 3 or 4)`` as ``(h, w, 1 or 3)`` uint8; a fourth one is transparency."""
    part = part[:, :, None] if part.ndim == 2 else part
    if part.shape[2] != 4:
        return to_uint8(part, limits)
    white = white_of(part.dtype) or 1.0
    return over_white(to_uint8(part[:, :, :3], limits), to_uint8(part[:, :, 3:], Limits(0, white)))


def to_uint8(values: Array, limits: Limits) -> Array:
    """Returns values as uint8; what is not finite becomes black."""
    if values.dtype == np.uint8 and limits == WHOLE_BYTES:
        return values
    if values.dtype == np.uint16 and limits == Limits(0, 65535):
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    wide: Array = values.astype(np.float64 if values.dtype.itemsize > 2 else np.float32)
    scaled = (wide - limits.low) * (255 / (limits.high - limits.low))
    if values.dtype.kind == "f":
        scaled[~np.isfinite(wide)] = 0
    rounded: Array = (scaled.clip(0, 255) + 0.5).astype(np.uint8)
    return rounded


def over_white(rgb: Array, alpha: Array) -> Array:
    """Returns ``(h, w, 3)`` uint8, colours over a white ground; their transparency is ``(h, w, 1)`` uint8."""
    share = alpha.astype(np.uint16)
    mixed: Array = ((rgb * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)
    return mixed


# ---- black and white


@dataclass(frozen=True, eq=False)
class Seen:
    """What the values of pictures are like, without transparency.

    Attributes:
        low, high: of the finite values.
        sample: ``(N,)`` finite values, all of them or evenly spread.
        noise: standard deviation of the noise, from the differences of neighbours.
        odd: number of values that are not finite.
        colours: whether the pictures have colours.
    """

    low: float
    high: float
    sample: Array
    noise: float
    odd: int
    colours: bool


def limits_of(planes: Sequence[Pixels], name: str, reading: Reading = PLAIN) -> Limits:
    """Returns the values of black and white of pictures that share them, such as the planes of a depth.

    Args:
        planes: of one type.
        name: of the source, for messages and remarks.
        reading: see `Reading.normalize`.

    Raises:
        ImageError: when nothing is finite, or the whole range is asked for and not known.
    """
    first, kind = planes[0], type_of(planes[0])
    if kind.kind not in "buif":
        raise ImageError(name, f"has values of the type {kind}, which are no grey values")
    white = white_of(kind) if first.white is None else first.white
    if reading.range is not None and not reading.range.percent:
        limits = Limits(reading.range.low, reading.range.high)
    elif kind.itemsize == 1 and kind.kind in "bu" and reading.range is None:
        limits = Limits(0, white or 1)
    else:
        seen = see(planes)
        if not seen.sample.size:
            raise ImageError(name, "has no value that is finite")
        if kind.kind == "f" and not -SLACK <= seen.low <= seen.high <= 1 + SLACK:
            white = None
        limits = choose(seen, kind, white, name, reading, inverted=first.inverted)
    return Limits(limits.high, limits.low) if first.inverted else limits


def choose(
    seen: Seen, kind: np.dtype[np.generic], white: float | None, name: str, reading: Reading, *, inverted: bool = False
) -> Limits:
    """Returns the values of black and white by the values that pictures have; see `limits_of`."""
    if seen.odd:
        remark_file(name, f"{seen.odd} of its values are not finite; they become black")
    if reading.how == NONE:
        if white is None:
            raise ImageError(name, f"the whole range of {kind} is not known; give normalize as LOW:HIGH")
        return Limits(0, white)
    share = reading.range or Range(LOW, HIGH, True)
    ends = (100 - share.high, 100 - share.low) if inverted else (share.low, share.high)
    low, high = (float(value) for value in np.percentile(seen.sample, ends, overwrite_input=True))
    used = seen.high if seen.colours else high - low
    if reading.how == AUTO and white is not None and used >= USED * white:
        return Limits(0, white)
    if seen.high == seen.low:
        remark_file(name, f"is constant: each of its values is {seen.low:g}")
        return Limits(low, low + max(1.0, abs(low)))
    if is_noise(seen, kind, high - low):
        # Few small objects on an even ground do not show in percentiles, but far above its noise.
        if seen.high - seen.low < 4 * NOISE * seen.noise:
            remark_file(name, f"is nearly constant: its values, from {seen.low:g} to {seen.high:g}, are noise")
        # Stretched to the whole range, noise would look like objects.
        return Limits(low, high + 7 * (high - low)) if not inverted else Limits(low - 7 * (high - low), high)
    if seen.colours and reading.how == AUTO:
        reach = f"reach {seen.high:g}" + (f" of {white:g}" if white else "")
        remark_file(name, f"its colours {reach}, so {low:g} to {high:g} become black to white; --normalize changes it")
    return Limits(low, high if high > low else seen.high if seen.high > low else low + 1)


def is_noise(seen: Seen, kind: np.dtype[np.generic], contrast: float) -> bool:
    """Whether the percentiles of values are as far apart as noise alone makes them, and close to each other."""
    small = contrast <= FLAT * abs(seen.low) or (kind.kind != "f" and contrast <= STEPS)
    return small and 0 < contrast < NOISE * seen.noise


def see(planes: Sequence[Pixels]) -> Seen:
    """Returns what the values of pictures are like; reads them once."""
    windows = [(plane, window) for plane in planes for window in plane.typical or plane.bands()]
    pixels = sum((rows.stop - rows.start) * (columns.stop - columns.start) for _, (rows, columns) in windows)
    stride = 0
    low, high, odd, colours = np.inf, -np.inf, 0, False
    parts: list[Array] = []
    steps: list[Array] = []
    for part in (colours_of(plane.read(window)) for plane, window in windows):
        colours = part.shape[2] == 3
        stride = stride or stride_of(pixels * part.shape[2], part.shape[1])
        finite = part if part.dtype.kind != "f" else part[np.isfinite(part)]
        odd += part.size - finite.size
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
        parts.append(finite_of(part.reshape(-1, part.shape[2])[::stride].ravel()))
        steps.append(finite_of(differences(part, 4 * stride + 1)))
    jumps, sample = np.concatenate(steps), np.concatenate(parts)
    # The median of |a - b| of two normal values is 0.954 of their standard deviation.
    noise = float(np.median(jumps)) / 0.954 if jumps.size else 0.0
    return Seen(low, high, sample, noise, odd, colours)


def stride_of(values: int, width: int) -> int:
    """Returns a stride that takes about `MOST_SAMPLED` of so many values, and meets all columns of a width."""
    stride = max(1, values // MOST_SAMPLED)
    while math.gcd(stride, width) > 1:
        stride += 1
    return stride


def finite_of(values: Array) -> Array:
    """Returns the finite values of a flat array."""
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values


def colours_of(part: Array) -> Array:
    """Returns values as ``(h, w, 1 or 3)``, without transparency."""
    return part[:, :, None] if part.ndim == 2 else part[:, :, :3]


def differences(part: Array, stride: int) -> Array:
    """Returns absolute differences of neighbours in the rows of ``(h, w, C)``, of one in `stride` pixels, flat."""
    pixels = part.reshape(-1, part.shape[2])
    first = pixels[: len(pixels) - 1 : stride].astype(np.float64)
    second = pixels[1::stride][: len(first)]
    with np.errstate(invalid="ignore"):
        return np.abs(second - first).ravel()


def type_of(pixels: Pixels) -> np.dtype[np.generic]:
    """Returns the type of the values."""
    window = next(pixels.bands())
    dtype: np.dtype[np.generic] = pixels.read((slice(0, 1) if pixels.step == 1 else window[0], window[1])).dtype
    return dtype


def white_of(kind: np.dtype[np.generic]) -> float | None:
    """Returns the value of white of a type; None if it is not known."""
    return {"b1": 1.0, "u1": 255.0, "u2": 65535.0}.get(f"{kind.kind}{kind.itemsize}", 1.0 if kind.kind == "f" else None)
