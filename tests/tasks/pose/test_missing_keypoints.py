"""Keypoints that were not detected are filled from the maps of the person's group."""

from __future__ import annotations

from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.detection.peaks_on_gpu import subpixel
from associative_embedding.grouping import Norm
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.pose.missing_keypoints import FILLING, FillRule, fill_missing
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from support.pose_maps import PLAIN, THREE, blob_maps


def test_a_faint_keypoint_is_filled_from_the_right_person() -> None:
    """Person 1's last keypoint is below the detection threshold; person 0's bright one is not taken for it."""
    maps = blob_maps([[(5, 5, 1), (5, 12, 1), (8, 20, 1)], [(40, 5, 0.9), (40, 12, 0.9), (42.25, 18.5, 0.08)]])
    found = PoseTask(THREE).decode(maps, PLAIN)
    assert len(found) == 2
    np.testing.assert_allclose(found.keypoints[0, 2], [8.5, 20.5, 1], atol=1e-3)
    np.testing.assert_allclose(found.keypoints[1, 2, :2], [42.75, 19.0], atol=1e-2)
    assert found.keypoints[1, 2, 2] == pytest.approx(maps.heatmap[0, 2].numpy()[18:20, 42].max())
    assert found.score[1] == pytest.approx(0.6, abs=1e-3)  # of what was detected, over all three types
    plain = PoseTask(THREE, DecodeConfig(fill=False)).decode(maps, PLAIN)
    assert plain.keypoints[1, 2].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(plain.score, found.score)
    rated = PoseTask(THREE, DecodeConfig(score="found")).decode(maps, PLAIN)
    assert rated.score[1] == pytest.approx(0.9, abs=1e-3)
    dim = PoseTask(THREE, DecodeConfig(fill_threshold=0.09)).decode(maps, PLAIN)
    assert dim.keypoints[1, 2, 2] == 0


def naive_fill(
    keypoints: Array, tag: Array, maps: Maps, fill_threshold: float, tag_threshold: float, norm: Norm, rule: FillRule
) -> Array:
    heatmap, tags = maps.heatmap[0].numpy(), maps.tag[0].numpy()
    filled = keypoints.copy()
    for n, k in np.ndindex(*keypoints.shape[:2]):
        if keypoints[n, k, 2]:
            continue
        best = -np.inf
        for y, x in np.ndindex(*heatmap.shape[1:]):
            squares = (tags[k, :, y, x] - tag[n]) ** 2
            distance = np.sqrt(squares.mean() if norm == "rms" else squares.sum())
            value = float(heatmap[k, y, x]) - (np.round(distance) if rule == "rounded" else 0)
            allowed = distance < tag_threshold or rule == "rounded"
            if allowed and heatmap[k, y, x] >= fill_threshold and value > best:
                best = value
                place = (torch.tensor([v]) for v in (k, y, x))
                filled[n, k] = [*subpixel(maps.heatmap[0], *place)[0].tolist(), min(float(heatmap[k, y, x]), 1)]
    return filled


@given(
    people=st.integers(1, 5),
    kinds=st.integers(1, 4),
    dimension=st.integers(1, 2),
    lowest=st.sampled_from([0.05, 0.6, 0.99, 2.0]),
    norm=st.sampled_from(["rms", "l2"]),
    rule=st.sampled_from(sorted(FILLING)),
    seed=st.integers(0, 9999),
)
@settings(max_examples=50, deadline=None)
def test_filling_is_a_loop_over_everything(
    people: int, kinds: int, dimension: int, lowest: float, norm: Norm, rule: FillRule, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = Maps(
        torch.rand(1, kinds, 7, 9, generator=generator) * 1.2,
        torch.randn(1, kinds, dimension, 7, 9, generator=generator) * 2,
    )
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(0.1, 1, (people, kinds, 3)) * (rng.random((people, kinds, 1)) < 0.5)
    tag = rng.normal(size=(people, dimension))
    ours = fill_missing(keypoints, tag, maps, lowest, 0.8, norm=norm, rule=rule)
    np.testing.assert_allclose(ours, naive_fill(keypoints, tag, maps, lowest, 0.8, norm, rule), atol=1e-5)


def test_the_fill_settings_are_the_rules() -> None:
    assert set(get_args(get_type_hints(DecodeConfig)["fill_rule"])) == set(FILLING)


def test_a_keypoint_on_two_people_is_filled_for_both() -> None:
    keypoints = np.zeros((2, 1, 3))
    maps = blob_maps([[(20, 10, 0.7)]])
    filled = fill_missing(keypoints, np.array([[0.0], [0.4]]), maps, 0.05, 1.0)
    np.testing.assert_allclose(filled, [[[20, 10, 0.7]]] * 2, atol=1e-3)
