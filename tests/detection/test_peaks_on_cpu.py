"""The two ways in which the search on a CPU finds the highest pixels of a window are one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.detection import peaks_on_cpu
from support.peak_oracle import SIZES


@given(size=SIZES, window=st.sampled_from([1, 3, 5, 9]), share=st.floats(0, 1), seed=st.integers(0, 999))
@settings(max_examples=100, deadline=None)
def test_neighbours_and_filter_are_one(size: tuple[int, int, int], window: int, share: float, seed: int) -> None:
    """However many candidates there are."""
    heatmap = np.round(np.random.default_rng(seed).random(size, np.float32) * 8) / 8
    candidates = heatmap >= float(np.quantile(heatmap, share))
    maximum = peaks_on_cpu.window_maximum(heatmap, window)
    expected = np.flatnonzero(candidates & (heatmap == maximum))
    with pytest.MonkeyPatch.context() as patch:
        for crowded in (0.0, 1.0):
            patch.setattr(peaks_on_cpu, "CROWDED", crowded)
            np.testing.assert_array_equal(peaks_on_cpu.highest_of_window(heatmap, candidates, window), expected)
