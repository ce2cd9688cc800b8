"""Targets of masks: covered shares of map pixels, and samples inside of the objects."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.segmentation.target import encode_masks, stratified

RNG = np.random.default_rng(0)


def sample_of(labels: Array, class_id: Array | None = None, classes: int = 1) -> Sample:
    masks = Masks.from_labels(labels)
    return Sample(
        image=np.zeros((*labels.shape, 3), np.uint8),
        keypoints=np.zeros((len(masks), 0, 3), np.float32),
        area=masks.area.astype(np.float32),
        labelled=np.ones(classes, bool),
        masks=masks,
        class_id=np.zeros(len(masks), np.int64) if class_id is None else class_id,
    )


def test_targets_are_covered_shares_and_samples_lie_inside() -> None:
    labels = np.zeros((16, 16), np.int32)
    labels[0:4, 0:4], labels[4:8, 2:8], labels[15, 15] = 1, 2, 3
    target = encode_masks(sample_of(labels), stride=4, samples=5, object_size=(0, 99), rng=RNG)
    assert target.heatmap[0, 0, 0] == 1
    assert target.heatmap[0, 1].tolist() == [0.5, 1, 0, 0]
    assert target.heatmap[0, 3, 3] == 1 / 16
    assert sorted(map(tuple, target.index.tolist())) == [(0, 0, 0, 0), (0, 1, 0, 1), (0, 1, 1, 1), (0, 3, 3, 2)]
    assert target.valid.all()
    small = encode_masks(sample_of(labels), stride=4, samples=5, object_size=(2, 4.5), rng=RNG)
    assert small.index[:, 3].tolist() == [0]  # the others are too large and too small, and count for nothing
    assert (~small.valid[0]).nonzero()[0].tolist() == [1, 1, 3]


@given(count=st.integers(0, 60), samples=st.integers(1, 20))
def test_stratified(count: int, samples: int) -> None:
    chosen = stratified(count, samples, RNG)
    assert len(chosen) == min(count, samples)
    assert (np.diff(chosen) > 0).all()
    assert set(chosen) <= set(range(count))
