"""Masks in, masks out: targets, the paper's pixel loss, decoding, and a small network that learns a few cells."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.losses import cross_entropy_loss, pixel_tag_loss
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import letterbox
from associative_embedding.structures.maps import Maps, TagSamples
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.segmentation.settings import MaskDecodeConfig
from associative_embedding.tasks.segmentation.target import encode_masks, stratified
from associative_embedding.tasks.segmentation.task import SegmentationTask

RNG = np.random.default_rng(0)


def random_samples(seed: int, batch: int = 3, side: int = 6) -> tuple[TagSamples, list[tuple[int, int, int, int, int]]]:
    rng = np.random.default_rng(seed)
    rows, groups = [], []
    for image in range(batch):
        for _ in range(rng.integers(0, 4)):
            channel = int(rng.integers(2))
            for y, x in rng.integers(side, size=(rng.integers(1, 4), 2)).tolist():
                rows.append((image, channel, y, x, len(groups)))
            groups.append(image)
    columns = torch.tensor(rows, dtype=torch.int64).reshape(-1, 5).T
    return TagSamples(*columns, groups=torch.tensor(groups, dtype=torch.int64)), rows


@given(seed=st.integers(0, 999), dimension=st.integers(1, 3), near=st.sampled_from([0.0, 3.0]))
@settings(deadline=None, max_examples=40)
def test_pixel_loss_against_the_double_sum(seed: int, dimension: int, near: float) -> None:
    samples, rows = random_samples(seed)
    tag = torch.randn(3, 2, dimension, 6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    pull, push = [0.0] * 3, [0.0] * 3
    for a, b in product(rows, rows):
        if a[:2] != b[:2]:
            continue
        squared = float((tag[a[0], a[1], :, a[2], a[3]] - tag[b[0], b[1], :, b[2], b[3]]).square().mean())
        if a[4] == b[4]:
            pull[a[0]] += squared
        elif not near or (a[2] - b[2]) ** 2 + (a[3] - b[3]) ** 2 < near**2:
            push[a[0]] += float(np.exp(-squared / (2 * 0.7**2)))
    found = pixel_tag_loss(tag, samples, push_sigma=0.7, near=near)
    torch.testing.assert_close(found[0], torch.tensor(pull, dtype=torch.float64))
    torch.testing.assert_close(found[1], torch.tensor(push, dtype=torch.float64))


def test_cross_entropy_is_torchs() -> None:
    p, t = torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    theirs = torch.nn.functional.binary_cross_entropy(p, t, reduction="none").mean(dim=(1, 2, 3))
    torch.testing.assert_close(cross_entropy_loss(p, t, torch.ones_like(p)), theirs, atol=1e-3, rtol=1e-3)
    assert (cross_entropy_loss(p, t, torch.zeros_like(p)) == 0).all()


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


def ideal(labels: Array, stride: int) -> Maps:
    """The maps of a perfect network: tags are numbers of objects."""
    map_labels = labels[stride // 2 :: stride, stride // 2 :: stride]
    heatmap = torch.from_numpy((map_labels > 0).astype(np.float32))
    return Maps(heatmap[None, None], torch.from_numpy(map_labels.astype(np.float32) * 3)[None, None, None])


@pytest.mark.parametrize("regions", [True, False])
def test_what_touches_is_parted_by_its_tags(regions: bool) -> None:
    labels = np.zeros((32, 48), np.int32)
    labels[4:20, 4:16], labels[4:20, 16:30], labels[24:30, 8:40] = 1, 2, 3
    geometry = letterbox((32, 48), 48, multiple=1, stride=2)
    task = SegmentationTask(("cell",), MaskDecodeConfig(regions=regions, min_weight=1.0))
    found = task.decode(ideal(labels, 2), geometry)
    assert found.masks is not None
    assert len(found) == 3
    assert (Masks.from_labels(labels).iou(found.masks).max(axis=1) > 0.85).all()
    assert found.class_names == {1: "cell"}
    assert SegmentationTask.from_description(task.describe()) == task


def test_tags_alone_join_what_is_apart() -> None:
    labels = np.zeros((16, 32), np.int32)
    labels[4:12, 2:10] = labels[4:12, 20:28] = 1
    geometry = letterbox((16, 32), 32, multiple=1, stride=1)
    apart = SegmentationTask(("cell",), MaskDecodeConfig(regions=True)).decode(ideal(labels, 1), geometry)
    joined = SegmentationTask(("cell",), MaskDecodeConfig(regions=False)).decode(ideal(labels, 1), geometry)
    assert (len(apart), len(joined)) == (2, 1)


def test_maps_that_are_not_finite_are_refused() -> None:
    geometry = letterbox((8, 8), 8, multiple=1, stride=1)
    maps = Maps(torch.full((1, 1, 8, 8), torch.nan), torch.zeros(1, 1, 1, 8, 8))
    with pytest.raises(ValueError, match="NaN or infinity"):
        SegmentationTask(("cell",)).decode(maps, geometry)


def test_no_classes() -> None:
    with pytest.raises(ValueError, match="each once and at least one"):
        SegmentationTask(())
