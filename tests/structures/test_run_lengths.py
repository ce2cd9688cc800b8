"""Compressed runs of COCO against pycocotools."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle

from associative_embedding.structures.run_lengths import decode_runs
from support.coco_files import H, W


@given(seed=st.integers(0, 10**6), share=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_compressed_runs_against_pycocotools(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((H, W)) < share
    mask[:, : seed % W] = seed % 2  # long runs too
    counts = rle.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert np.array_equal(decode_runs({"size": [H, W], "counts": counts}, (H, W)), mask)
