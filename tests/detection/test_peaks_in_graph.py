"""Peaks that an exported graph finds itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from associative_embedding.detection.peak_table import SCORE
from associative_embedding.detection.peaks import detect, to_detections
from associative_embedding.detection.peaks_in_graph import find_peaks


@pytest.mark.parametrize("seed", range(5))
def test_a_table_of_peaks_holds_what_detect_finds(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    heatmap = torch.rand(2, 3, 9, 14, generator=generator)
    heatmap[0, 0] = 0.5  # all equal: a plateau
    heatmap[1, 2] = 0
    tag = torch.randn(2, 3, 2, 9, 14, generator=generator)
    step = np.arange(3)
    table = find_peaks(heatmap, tag, nms=3, top_k=126)
    assert table.shape == (2, 3 * 126, 8)
    for b in range(2):
        expected, channel = detect(heatmap[b], tag[b], threshold=0.1, nms=3, top_k=5, step=step)
        rows = table[b].double().numpy()
        found, its = to_detections(rows[rows[:, SCORE] >= 0.1], (3, 9, 14), nms=3, top_k=5, step=step)
        np.testing.assert_array_equal(its, channel)
        for name in ("score", "xy", "tag", "step"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-6)
