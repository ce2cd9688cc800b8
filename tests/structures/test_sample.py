"""Samples refuse what does not fit together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from associative_embedding.structures.sample import Sample

SAMPLE = Sample(
    image=np.zeros((8, 9, 3), np.uint8),
    keypoints=np.zeros((2, 3, 3), np.float32),
    area=np.ones(2, np.float32),
    labelled=np.ones(3, bool),
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((8, 9), np.uint8)}, r"image must be \(H, W, 3\) uint8, not \(8, 9\) uint8"),
        ({"image": np.zeros((8, 9, 4), np.uint8)}, "image must be"),
        ({"image": np.zeros((8, 9, 3), np.float32)}, "float32"),
        ({"keypoints": np.zeros((3, 3))}, r"keypoints must be \(N, K, 3\)"),
        ({"keypoints": np.zeros((2, 3, 2))}, r"keypoints must be \(N, K, 3\)"),
        ({"labelled": np.ones(4, bool)}, r"labelled must be \(K,\) = \(3,\)"),
    ],
)
def test_sample_refuses(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SAMPLE, **change)
