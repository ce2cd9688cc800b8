"""Whatever the maps hold, decoders and losses end, and what they say is finite and in range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.losses import pixel_tag_loss, tag_loss
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import letterbox
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.segmentation.settings import MaskDecodeConfig
from associative_embedding.tasks.segmentation.task import SegmentationTask
from associative_embedding.training.collate import join_samples

SIDES = st.sampled_from([(1, 1), (1, 9), (6, 1), (2, 3), (8, 8), (24, 32)])
KINDS = st.sampled_from(["zero", "one", "negative", "noise", "ties", "huge", "tiny", "spikes"])
TAGS = st.sampled_from(["zero", "noise", "huge", "place"])


def values(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Heatmaps or tags of a kind that decoders have stumbled over."""
    noise = rng.random(shape)
    return {
        "zero": np.zeros(shape),
        "one": np.ones(shape),
        "negative": -noise,
        "noise": noise,
        "ties": np.round(noise * 3) / 3,
        "huge": noise * 1e30,
        "tiny": noise * 1e-38,
        "spikes": np.where(noise > 0.9, noise, 0),
        "place": np.broadcast_to(np.arange(shape[-1]), shape).astype(float),
    }[kind]


@pytest.mark.slow
@given(
    channels=st.sampled_from([1, 2, 17, 200]),
    dimension=st.sampled_from([1, 2, 64]),
    side=SIDES,
    kind=KINDS,
    tags=TAGS,
    half=st.booleans(),
    threshold=st.sampled_from([1e-6, 0.1, 0.9]),
    score=st.sampled_from(["all", "found", "shrunk"]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=250, deadline=None)
def test_poses_of_any_maps(
    channels: int,
    dimension: int,
    side: tuple[int, int],
    kind: str,
    tags: str,
    half: bool,
    threshold: float,
    score: str,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    skeleton = Skeleton.build("any", [f"k{i}" for i in range(channels)], [])
    config = DecodeConfig(threshold=threshold, score=score, fill_threshold=0.01)  # type: ignore[arg-type]
    task = PoseTask(skeleton, config)
    heatmap = torch.from_numpy(values(kind, (1, channels, *side), rng)).float()
    tag = torch.from_numpy(values(tags, (1, channels, dimension, *side), rng)).float()
    if half:
        heatmap, tag = heatmap.clamp(-6e4, 6e4).half(), tag.clamp(-6e4, 6e4).half()
    geometry = letterbox((side[0] * 4, side[1] * 4), max(side) * 4, multiple=4, stride=4)
    geometry = replace(geometry, input_size=(side[0] * 4, side[1] * 4))
    if kind == "huge" and not torch.isfinite(heatmap.sum(dtype=torch.float32)):
        return
    found = task.decode(Maps(heatmap, tag), geometry)
    assert np.isfinite(found.keypoints).all()
    assert np.isfinite(found.tag).all()
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert ((found.keypoints[:, :, 2] >= 0) & (found.keypoints[:, :, 2] <= 1)).all()
    assert (np.diff(found.score) <= 1e-6).all()


@given(
    classes=st.sampled_from([1, 3, 20]),
    dimension=st.sampled_from([1, 2, 64]),
    side=SIDES,
    kind=KINDS,
    tags=TAGS,
    regions=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_masks_of_any_maps(
    classes: int, dimension: int, side: tuple[int, int], kind: str, tags: str, regions: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    config = MaskDecodeConfig(threshold=0.3, regions=regions, min_size=0, min_weight=0)
    task = SegmentationTask(tuple(f"c{i}" for i in range(classes)), config)
    heatmap = torch.from_numpy(values(kind, (1, classes, *side), rng)).float()
    tag = torch.from_numpy(values(tags, (1, classes, dimension, *side), rng)).float()
    geometry = letterbox((side[0] * 4, side[1] * 4), max(side) * 4, multiple=4, stride=4)
    geometry = replace(geometry, input_size=(side[0] * 4, side[1] * 4))
    found = task.decode(Maps(heatmap, tag), geometry)
    assert found.masks is not None
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert (found.masks.area > 0).all()
    assert np.isfinite(found.tag).all()


@given(
    people=st.sampled_from([0, 1, 2, 200]),
    channels=st.sampled_from([1, 17]),
    dimension=st.sampled_from([1, 64]),
    kind=st.sampled_from(["zero", "noise", "huge", "tiny"]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_losses_of_any_tags(people: int, channels: int, dimension: int, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    person, channel = (a.ravel() for a in np.indices((people, channels)))
    index = np.column_stack([channel, rng.integers(0, 8, (people * channels, 2)), person]).astype(np.int64)
    empty = np.zeros((0, 4), np.int64)
    one_class = index[:100].copy()
    one_class[:, 0] = 0
    tag = torch.from_numpy(values(kind, (2, channels, dimension, 8, 8), rng) * (1e-24 if kind == "huge" else 1)).float()
    for loss, rows in ((tag_loss, index), (pixel_tag_loss, one_class)):
        samples = join_samples([rows, empty])
        own = tag.clone().requires_grad_()
        pull, push = loss(own, samples)
        (pull.mean() + push.mean()).backward()  # type: ignore[no-untyped-call]
        assert own.grad is not None
        for value in (pull, push, own.grad):
            assert torch.isfinite(value).all()
        assert (pull >= 0).all()
        assert (push >= 0).all()
