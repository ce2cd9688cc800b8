"""Compressed runs of COCO against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle

from associative_embedding.structures.masks import Masks
from associative_embedding.structures.run_lengths import box_of_runs, decode_runs
from support.coco_files import H, W


@given(seed=st.integers(0, 10**6), share=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_compressed_runs_against_pycocotools(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((H, W)) < share
    mask[:, : seed % W] = seed % 2  # long runs too
    counts = rle.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert np.array_equal(decode_runs({"size": [H, W], "counts": counts}, (H, W)), mask)


@given(seed=st.integers(0, 10**6), share=st.sampled_from([0, 0.001, 0.01, 0.5, 1]))
@settings(max_examples=60, deadline=None)
def test_box_of_runs_is_that_of_the_mask(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((H, W)) < share
    masks = Masks.from_dense([mask], (H, W))
    (segmentation,) = masks.to_rle()
    box = box_of_runs(segmentation, (H, W))
    assert (box is not None) == mask.any()
    assert box is None or list(box) == masks.xywh[0].tolist()


def test_box_of_a_huge_mask_is_not_drawn() -> None:
    side = 10**8
    counts = [side * 7 + 3, 5, side - 5, 2, side**2 - side * 8 - 5]
    assert box_of_runs({"size": [side, side], "counts": counts}, (side, side)) == (7, 3, 2, 5)


@pytest.mark.parametrize(
    "counts",
    [
        [2**62, 2**62, 2**62, 2**62, H * W],  # whose sum is right in 64 bits; NumPy would write beyond its memory
        [H * W + 1, -1],
        [10**30],
        [0.5, H * W - 0.5],
        [[H * W]],
        [],
        ["a"],
        "o" * 10**5,  # a number that never ends
    ],
)
def test_runs_that_are_refused(counts: object) -> None:
    with pytest.raises(ValueError):
        decode_runs({"size": [H, W], "counts": counts}, (H, W))
