"""The search on a CPU finds what the search on a device finds, and what it would find in maps upsampled first."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from associative_embedding.detection import peaks_on_cpu as host
from associative_embedding.detection.peaks import host_table
from associative_embedding.detection.peaks_on_gpu import device_table, subpixel
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import letterbox
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.pose import missing_keypoints as pose_fill
from associative_embedding.tasks.pose.missing_keypoints import cells, device_pixels, host_pixels, near
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask

SIZES = st.tuples(st.integers(1, 4), st.integers(1, 14), st.integers(1, 14))


def drawn(size: tuple[int, int, int], kind: str, dimension: int, seed: int) -> tuple[Tensor, Tensor]:
    """Maps: noise (crowded), a few peaks (sparse), ties, or half precision."""
    generator = torch.Generator().manual_seed(seed)
    heatmap = torch.rand(size, generator=generator)
    if kind == "sparse":
        heatmap = heatmap * (torch.rand(size, generator=generator) > 0.97)
    if kind == "ties":
        heatmap = (heatmap * 4).round() / 4
    tag = torch.randn(size[0], dimension, *size[1:], generator=generator)
    return (heatmap.half(), tag.half()) if kind == "half" else (heatmap, tag)


KINDS = st.sampled_from(["noise", "sparse", "ties", "half"])


@given(size=SIZES, kind=KINDS, dimension=st.integers(1, 3), nms=st.sampled_from([1, 3, 5, 9]), seed=st.integers(0, 999))
@settings(max_examples=150, deadline=None)
def test_the_same_peaks(size: tuple[int, int, int], kind: str, dimension: int, nms: int, seed: int) -> None:
    heatmap, tag = drawn(size, kind, dimension, seed)
    for threshold in (0.01, 0.5, 2.0):
        expected, found = device_table(heatmap, tag, threshold, nms), host_table(heatmap, tag, threshold, nms)
        assert expected is not None
        assert found is not None
        np.testing.assert_array_equal(np.delete(found, [4, 5], axis=1), np.delete(expected, [4, 5], axis=1))
        np.testing.assert_allclose(found[:, 4:6], expected[:, 4:6], atol=1e-5 if kind != "half" else 1e-3)


@given(size=SIZES, nms=st.sampled_from([1, 3, 5, 9]), share=st.floats(0, 1), seed=st.integers(0, 999))
@settings(max_examples=100, deadline=None)
def test_neighbours_and_filter_are_one(size: tuple[int, int, int], nms: int, share: float, seed: int) -> None:
    """Both ways to look for the highest of a window, whichever the crowd would choose."""
    heatmap = np.round(np.random.default_rng(seed).random(size, np.float32) * 8) / 8
    threshold = float(np.quantile(heatmap, share))
    maximum = host.window_maximum(heatmap, nms)
    expected = np.flatnonzero((heatmap >= threshold) & (heatmap == maximum))
    with pytest.MonkeyPatch.context() as patch:
        for crowded in (1e-9, 1e9):
            patch.setattr(host, "CROWDED", crowded)
            np.testing.assert_array_equal(host.peaks(heatmap, threshold, nms), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["heatmap", "tag"])
def test_neither_accepts_what_is_not_finite(value: float, where: str) -> None:
    maps = dict(zip(("heatmap", "tag"), drawn((2, 9, 9), "noise", 1, 0), strict=True))
    maps[where].view(-1)[40] = value
    assert device_table(maps["heatmap"], maps["tag"], 0.5, 3) is None
    assert host_table(maps["heatmap"], maps["tag"], 0.5, 3) is None


@given(size=SIZES, kind=KINDS, dimension=st.integers(1, 3), seed=st.integers(0, 999))
@settings(max_examples=80, deadline=None)
def test_the_same_pixels_to_fill_from(size: tuple[int, int, int], kind: str, dimension: int, seed: int) -> None:
    heatmap, tag = drawn(size, kind, dimension, seed)
    channels = np.random.default_rng(seed).random(size[0]) < 0.7
    (found, its), (expected, theirs) = (f(heatmap, tag, 0.3, channels) for f in (host_pixels, device_pixels))
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


@pytest.mark.parametrize("sigma", [1.2, 2.0, 3.0])
def test_positions_are_those_of_upsampled_maps(sigma: float) -> None:
    """Published decoders upsample the maps to the input first; not to do it moves nothing by half a pixel of it."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(8, 24, (2, 200))
    rows, columns = np.mgrid[:32, :32]
    maps = np.exp(-((columns - x[:, None, None]) ** 2 + (rows - y[:, None, None]) ** 2) / (2 * sigma**2))
    heatmap = torch.from_numpy(maps.astype(np.float32))
    large = F.interpolate(heatmap[None], scale_factor=4, mode="bicubic", align_corners=False)[0]

    def tops(values: Tensor) -> Array:
        place = values.flatten(1).argmax(dim=1)
        width = values.shape[2]
        return subpixel(values, torch.arange(200), place // width, place % width).numpy()

    ours, upsampled, truth = (tops(heatmap) + 0.5) * 4, tops(large) + 0.5, (np.column_stack([x, y]) + 0.5) * 4
    assert np.abs(ours - upsampled).max() < 0.5
    assert np.abs(ours - truth).max() < 1e-3  # which the upsampled ones miss by up to half a pixel
    assert np.abs(upsampled - truth).max() > 0.03


def test_a_device_decodes_the_same_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of it, by the functions for devices."""
    from associative_embedding.detection import peaks as detect

    rng = np.random.default_rng(1)
    heatmap = torch.from_numpy(np.where(rng.random((1, 17, 32, 32)) > 0.98, rng.random((1, 17, 32, 32)), 0)).float()
    tag = torch.from_numpy(rng.integers(0, 4, (1, 17, 2, 32, 32))).float()
    task, geometry = PoseTask(COCO_17, DecodeConfig()), letterbox((128, 128), 128, multiple=4, stride=4)
    expected = task.decode(Maps(heatmap, tag), geometry)
    monkeypatch.setattr(detect, "host_table", device_table)
    monkeypatch.setattr(pose_fill, "host_pixels", device_pixels)
    found = task.decode(Maps(heatmap, tag), geometry)
    assert len(found) == len(expected) > 3
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=1e-3)
