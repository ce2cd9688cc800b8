"""Targets of several images in one batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from associative_embedding.losses import tag_loss
from associative_embedding.structures.geometry import letterbox
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.training.collate import collate, join_samples
from support.pose_maps import make_sample, random_keypoints


def test_people_are_numbered_through_the_batch() -> None:
    empty = np.zeros((0, 4), np.int64)
    first = np.array([[0, 1, 2, 5], [1, 3, 4, 2], [2, 5, 6, 5]])
    samples = join_samples([empty, first, empty, first[:1]])
    assert samples.batch.tolist() == [1, 1, 1, 3]
    assert samples.channel.tolist() == [0, 1, 2, 0]
    assert samples.y.tolist() == [1, 3, 5, 1]
    assert samples.x.tolist() == [2, 4, 6, 2]
    assert samples.group.tolist() == [1, 0, 1, 2]
    assert samples.groups.tolist() == [1, 1, 3]
    assert join_samples([empty, empty]).groups.shape == (0,)


def test_collate() -> None:
    geometry = letterbox((64, 96), 96, multiple=32, stride=4)
    samples = [make_sample(random_keypoints(n, 17, (16, 24), seed=n), geometry) for n in (2, 0)]
    task = PoseTask(COCO_17)
    images, target = collate([(s.image, task.encode(s, stride=4, rng=np.random.default_rng(0))) for s in samples])
    assert images.shape == (2, 3, 64, 96)
    assert images.dtype == torch.uint8
    assert target.heatmap.shape == target.valid.shape == (2, 17, 16, 24)
    assert target.heatmap.dtype == target.valid.dtype == torch.float32
    assert target.samples.groups.tolist() == [0, 0]
    peaks = target.heatmap[0][target.samples.channel, target.samples.y, target.samples.x]
    assert peaks.min() > 0.9  # a tag is read where the Gaussian is highest


def test_a_track_is_one_group_over_both_frames() -> None:
    """The loss of a pair is that of one image with all the pair's samples; of another pair it knows nothing."""
    rng = np.random.default_rng(0)
    indices = [np.column_stack([rng.integers(0, 3, (4, 3)), track]) for track in ([7, 7, 9, 9], [9, 9, 7, 8]) * 2]
    samples = join_samples(indices, frames=2)
    assert samples.batch.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert samples.group.tolist() == [0, 0, 2, 2, 2, 2, 0, 1, 3, 3, 5, 5, 5, 5, 3, 4]
    assert samples.groups.tolist() == [0] * 3 + [2] * 3
    tag = torch.randn(4, 3, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pull, push = tag_loss(tag, samples)
    assert pull[1::2].tolist() == push[1::2].tolist() == [0, 0]
    beside = torch.cat([tag[:1], tag[1:2]], dim=4)  # the same two frames side by side
    shifted = [indices[0], indices[1] + np.array([0, 0, 3, 0])]
    one = join_samples([np.concatenate(shifted)])
    for a, b in zip(tag_loss(beside, one), (pull, push), strict=True):
        assert a[0] == pytest.approx(float(b[0]))
