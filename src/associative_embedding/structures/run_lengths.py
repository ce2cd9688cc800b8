"""Run-length encodings of the COCO format: how many pixels are off, then on, then off ..., column by column.

Not by pycocotools: what runs leave out, it fills with whatever the memory held before, and it encodes whole pictures.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from associative_embedding.structures.arrays import Array


def decode_runs(segmentation: dict[str, Any], size: tuple[int, int]) -> Array:
    """``(H, W)`` bool.

    Args:
        segmentation: with ``size`` [H, W] and ``counts``, a list or COCO's text (also as bytes).

    Raises:
        ValueError: when its size or its number of pixels is not that of `size`.
    """
    runs = read_runs(segmentation, size)
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size[1], size[0]).T


def decode_strip(segmentation: dict[str, Any], size: tuple[int, int]) -> tuple[int, Array]:
    """The columns of an encoding that hold something: the first one's x, and the ``(H, w)`` bool strip.

    Args, raises: see `decode_runs`, which costs as much for a small region as for a large one.
    """
    ends = np.cumsum(read_runs(segmentation, size))
    starts = np.concatenate([[0], ends[:-1]])
    on = np.flatnonzero(starts[1::2] < ends[1::2]) * 2 + 1
    if not len(on):
        return 0, np.zeros((size[0], 0), bool)
    first, last = int(starts[on[0]] // size[0]), int((ends[on[-1]] - 1) // size[0])
    runs = np.diff(np.clip(ends, first * size[0], (last + 1) * size[0]), prepend=first * size[0])
    return first, np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(-1, size[0]).T


def read_runs(segmentation: dict[str, Any], size: tuple[int, int]) -> Array:
    """``(R,)`` how many pixels are off, then on, then off ...; see `decode_runs`."""
    stated, counts = segmentation["size"], segmentation["counts"]
    text = counts.decode("ascii") if isinstance(counts, bytes) else counts
    runs = np.array(text if isinstance(text, list) else decompress_runs(text))
    if tuple(stated) != tuple(size) or runs.min() < 0 or runs.sum() != size[0] * size[1]:
        raise ValueError(f"its size {stated} or its counts, {runs.sum()} pixels, are not those of {list(size)}")
    return runs


def decompress_runs(text: str) -> list[int]:
    """COCO's text: 5 bits a character, low ones first, bit 5 = goes on; the fourth run on are differences."""
    runs: list[int] = []
    value = shift = 0
    for code in (ord(character) - 48 for character in text):
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            value -= (code & 16) << 1 << (shift - 5)  # the sign
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


def compress_runs(runs: list[int]) -> str:
    """The other way round; see `decompress_runs`."""
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
    """The runs of an image of so many pixels, of which those at the ascending `places` ``(P,)`` are on."""
    if not len(places):
        return [pixels]
    first = np.flatnonzero(np.diff(places, prepend=-2) != 1)  # of each run of neighbours
    last = np.append(first[1:], len(places)) - 1
    edges = np.stack([places[first], places[last] + 1], axis=1).ravel()
    runs: list[int] = np.diff(edges, prepend=0, append=pixels).tolist()
    return runs if runs[-1] else runs[:-1]
