"""Run-length encodings of the COCO format: the numbers of pixels that are off, then on, then off ..., by columns.

Not by pycocotools: where runs do not fill the image, it leaves what the memory held before; and it can only encode
whole images, which costs too much for the many small objects of a large image.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from associative_embedding.structures.arrays import Array

MAX_BITS = 60  # of a run in compressed text


def decode_runs(segmentation: dict[str, Any], size: tuple[int, int]) -> Array:
    """Returns the mask of a run-length encoding, ``(H, W)`` bool.

    Args:
        segmentation: ``size`` [H, W] and ``counts``, a list of runs or COCO's compressed text (str or bytes).
        size: (H, W) that the encoding must have.

    Raises:
        ValueError: when the encoding has another size, or its runs do not add up to it.
    """
    runs = read_runs(segmentation, size)
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size[1], size[0]).T


def decode_strip(segmentation: dict[str, Any], size: tuple[int, int]) -> tuple[int, Array]:
    """Decodes only the columns from the first to the last that contain a pixel of the region.

    The cost grows with the region, while the cost of `decode_runs` grows with the image.

    Args:
        segmentation, size: see `decode_runs`.

    Returns:
        x of the first of these columns, and the columns as ``(H, w)`` bool; 0 and w = 0 for an empty region.

    Raises:
        ValueError: see `decode_runs`.
    """
    height = size[0]
    ends = np.cumsum(read_runs(segmentation, size))
    starts, stops = stretches(ends)
    if not len(starts):
        return 0, np.zeros((height, 0), bool)
    first, last = int(starts[0] // height), int((stops[-1] - 1) // height)
    runs = np.diff(np.clip(ends, first * height, (last + 1) * height), prepend=first * height)
    return first, np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(-1, height).T


def box_of_runs(segmentation: dict[str, Any], size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Returns x, y, width, height of the box around the pixels that are on, None without any.

    No pixel is drawn: the size is stated by the file, and may be any. Arguments and errors: see `decode_runs`.
    """
    height = size[0]
    starts, stops = stretches(np.cumsum(read_runs(segmentation, size)))
    if not len(starts):
        return None
    first, last = starts // height, (stops - 1) // height  # columns of each stretch
    # a stretch over several columns reaches the lower side in the first, and the upper side in the last
    top = np.where(first == last, starts % height, 0).min()
    bottom = np.where(first == last, (stops - 1) % height, height - 1).max()
    left, right = first.min(), last.max()
    return int(left), int(top), int(right - left + 1), int(bottom - top + 1)


def stretches(ends: Array) -> tuple[Array, Array]:
    """Returns the first and one past the last pixel of each run that is on and not empty.

    Args:
        ends: ``(R,)`` one past the last pixel of every run, counted column by column.
    """
    starts = np.concatenate([[0], ends[:-1]])
    on = np.flatnonzero(starts[1::2] < ends[1::2]) * 2 + 1  # runs at odd places are on
    return starts[on], ends[on]


def read_runs(segmentation: dict[str, Any], size: tuple[int, int]) -> Array:
    """Returns ``(R,)`` int64 runs: pixels off, then on, then off ...; for arguments and errors, see `decode_runs`."""
    stated, counts = segmentation["size"], segmentation["counts"]
    text = counts.decode("ascii") if isinstance(counts, bytes) else counts
    runs = np.array(text if isinstance(text, list) else decompress_runs(text))
    if runs.ndim != 1 or runs.dtype.kind not in "iu":
        raise ValueError("counts are no list of integers")
    pixels = size[0] * size[1]
    # Each run, and the sum as a float: a sum of large integers wraps around, and NumPy would write beyond its memory.
    fits = runs.min() >= 0 and runs.max() <= pixels and runs.sum(dtype=np.float64) < 2 * pixels
    if tuple(stated) != tuple(size) or not fits or runs.sum() != pixels:
        raise ValueError(f"size {stated} with counts of {runs.sum()} pixels does not fit an image of {list(size)}")
    return runs


def decompress_runs(text: str) -> list[int]:
    """Returns the runs in COCO's compressed text.

    A character holds 5 bits of a number (low bits first), and bit 5 if more characters follow. From the fourth on, a
    number is the difference from the run two places before.

    Raises:
        ValueError: for a number of more than `MAX_BITS`.
    """
    runs: list[int] = []
    value = shift = 0
    for code in (ord(character) - 48 for character in text):
        value |= (code & 31) << shift
        shift += 5
        if shift > MAX_BITS:
            raise ValueError(f"a run has more than {MAX_BITS} bits")
        if not code & 32:
            value -= (code & 16) << 1 << (shift - 5)  # bit 4 of the last character is the sign
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


def compress_runs(runs: list[int]) -> str:
    """Returns COCO's compressed text of runs, see `decompress_runs`."""
    codes: list[int] = []
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        while True:
            low, value = value & 31, value >> 5  # an arithmetic shift: a negative value ends at -1
            if value == (-1 if low & 16 else 0):
                codes.append(low)
                break
            codes.append(low | 32)
    return "".join(chr(code + 48) for code in codes)


def runs_of(places: Array, pixels: int) -> list[int]:
    """Returns the runs of an image from the pixels that are on.

    Args:
        places: ``(P,)`` numbers of these pixels, ascending, counted column by column.
        pixels: number of pixels of the image.
    """
    if not len(places):
        return [pixels]
    first = np.flatnonzero(np.diff(places, prepend=-2) != 1)  # where a stretch of consecutive pixels begins
    last = np.append(first[1:], len(places)) - 1
    edges = np.stack([places[first], places[last] + 1], axis=1).ravel()
    runs: list[int] = np.diff(edges, prepend=0, append=pixels).tolist()
    return runs if runs[-1] else runs[:-1]  # COCO's encoder writes no empty run at the end
