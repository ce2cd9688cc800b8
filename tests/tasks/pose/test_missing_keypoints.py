"""Keypoints that were not detected are filled from the maps of the person's group."""

from __future__ import annotations

from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.detection import peaks_on_cpu, peaks_on_gpu
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Norm
from associative_embedding.structures.geometry import letterbox
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.pose import missing_keypoints
from associative_embedding.tasks.pose.missing_keypoints import (
    FILLING,
    FillRule,
    cells,
    fill_missing,
    near,
    pixels_on_cpu,
    pixels_on_gpu,
)
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from support.peak_oracle import KINDS, SIZES, between_pixels, random_maps
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
                filled[n, k] = [*between_pixels(heatmap[k], y, x), min(float(heatmap[k, y, x]), 1)]
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
    np.testing.assert_allclose(ours, naive_fill(keypoints, tag, maps, lowest, 0.8, norm, rule), atol=1e-3)


def test_the_fill_settings_are_the_rules() -> None:
    # "published" reads the whole map: tests/tasks/pose/test_published_rules.py
    assert set(get_args(get_type_hints(DecodeConfig)["fill_rule"])) == {*FILLING, "published"}


def test_a_keypoint_on_two_people_is_filled_for_both() -> None:
    keypoints = np.zeros((2, 1, 3))
    maps = blob_maps([[(20, 10, 0.7)]])
    filled = fill_missing(keypoints, np.array([[0.0], [0.4]]), maps, 0.05, 1.0)
    np.testing.assert_allclose(filled, [[[20, 10, 0.7]]] * 2, atol=1e-3)


@given(size=SIZES, kind=KINDS, dimension=st.integers(1, 3), seed=st.integers(0, 999))
@settings(max_examples=80, deadline=None)
def test_a_cpu_and_a_gpu_read_the_same_pixels(size: tuple[int, int, int], kind: str, dimension: int, seed: int) -> None:
    heatmap, tag = random_maps(size, kind, dimension, seed)
    wanted = np.random.default_rng(seed).random(size[0]) < 0.7
    # Also with a gradient, as maps have in training.
    heatmap, tag = heatmap.requires_grad_(), tag.requires_grad_()
    (found, its), (expected, theirs) = (f(heatmap, tag, 0.3, wanted) for f in (pixels_on_cpu, pixels_on_gpu))
    np.testing.assert_array_equal(found, expected)
    rows = np.arange(len(found))[::2]
    np.testing.assert_allclose(its(rows), theirs(rows), atol=1e-5 if kind != "half" else 1e-3)


@given(
    pixels=st.integers(0, 200),
    missing=st.integers(1, 30),
    dimension=st.integers(1, 3),
    spread=st.sampled_from([0.0, 1.0, 50.0, 1e6, 1e30]),
    threshold=st.sampled_from([0.1, 1.0]),
    seed=st.integers(0, 999),
)
@settings(max_examples=200, deadline=None)
def test_the_nearest_are_those_of_a_loop(
    pixels: int, missing: int, dimension: int, spread: float, threshold: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    table = np.empty((pixels, 2 + dimension), np.float32)
    table[:, 0], table[:, 1] = rng.integers(0, 5, pixels), np.round(rng.random(pixels) * 9) / 9
    table[:, 2:] = rng.normal(size=(pixels, dimension)) * spread
    kind, tag = rng.integers(0, 5, missing), (rng.normal(size=(missing, dimension)) * spread).astype(np.float32)
    found = near(kind, tag, table, threshold, "rms")
    for k, its, row in zip(kind, tag, found, strict=True):
        with np.errstate(over="ignore"):
            distance = np.sqrt(np.square(table[:, 2:] - its).mean(axis=1))
        fits = np.flatnonzero((table[:, 0] == k) & (distance < threshold * (1 - 1e-5)))
        best = fits[np.argmax(table[fits, 1])] if len(fits) else -1
        unsure = ((table[:, 0] == k) & (np.abs(distance / threshold - 1) < 1e-5)).any()
        assert row == best or unsure


def test_small_cells_are_sorted_in_sixteen_bits() -> None:
    table = np.array([[0, 0.5, 1.0], [16, 0.5, 60.0]], np.float32)
    assert cells(np.array([3]), np.array([[5.0]], np.float32), table, 1.0)[0].dtype == np.uint16
    table[1, 2] = 1e6
    assert cells(np.array([3]), np.array([[5.0]], np.float32), table, 1.0)[0].dtype == np.int64


def test_a_gpu_decodes_the_same_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of decoding, by the operations of a GPU, which a CPU computes too."""

    def find_peaks(heatmap: Array, tag: Array, candidates: Array, window: int) -> Array | None:
        return peaks_on_gpu.find_peaks(*map(torch.from_numpy, (heatmap, tag, candidates)), window)

    rng = np.random.default_rng(1)
    heatmap = torch.from_numpy(np.where(rng.random((1, 17, 32, 32)) > 0.98, rng.random((1, 17, 32, 32)), 0)).float()
    tag = torch.from_numpy(rng.integers(0, 4, (1, 17, 2, 32, 32))).float()
    task, geometry = PoseTask(COCO_17, DecodeConfig()), letterbox((128, 128), 128, multiple=4, stride=4)
    expected = task.decode(Maps(heatmap, tag), geometry)
    monkeypatch.setattr(peaks_on_cpu, "find_peaks", find_peaks)
    monkeypatch.setattr(missing_keypoints, "pixels_on_cpu", pixels_on_gpu)
    found = task.decode(Maps(heatmap, tag), geometry)
    assert len(found) == len(expected) > 3
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=1e-3)
