"""Detection against loops over pixels, exact sub-pixel positions, plateaus, and maps one should not trust."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from associative_embedding.detection.peaks import detect
from associative_embedding.detection.peaks_on_gpu import subpixel, window_maximum
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections

DEFAULTS = {"threshold": 0.1, "nms": 5, "top_k": 30}


def find(heatmap: Tensor, tag: Tensor | None = None, **options: object) -> tuple[Detections, Array]:
    tag = torch.zeros(heatmap.shape[0], 1, *heatmap.shape[1:]) if tag is None else tag
    step = np.arange(heatmap.shape[0])[::-1].copy()
    return detect(heatmap, tag, **{**DEFAULTS, "step": step, **options})  # type: ignore[arg-type]


def gaussian(size: tuple[int, int], xy: tuple[float, float], sigma: float, peak: float = 1.0) -> Tensor:
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    return (peak * torch.exp(-((x - xy[0]) ** 2 + (y - xy[1]) ** 2) / (2 * sigma**2))).float()[None]


def naive_peaks(heatmap: Array, threshold: float, nms: int, top_k: int) -> list[tuple[int, int, int, float]]:
    """Channel, y, x, score of the pixels that nothing within the window exceeds, best first in each channel."""
    reach = nms // 2
    found = []
    for c, channel in enumerate(heatmap):
        peaks = []
        for y, x in np.ndindex(*channel.shape):
            window = channel[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
            if channel[y, x] >= threshold and channel[y, x] == window.max():
                peaks.append((c, y, x, float(channel[y, x])))
        found += sorted(peaks, key=lambda peak: -peak[3])[:top_k]
    return found


@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 14), st.integers(1, 14)),
    nms=st.sampled_from([1, 3, 5, 7]),
    top_k=st.integers(1, 6),
    threshold=st.floats(0.01, 0.9),
    seed=st.integers(0, 9999),
)
@settings(max_examples=60, deadline=None)
def test_peaks_are_those_of_a_loop(
    size: tuple[int, int, int], nms: int, top_k: int, threshold: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    heatmap = rng.random(size, dtype=np.float32)  # no two values are equal
    tag = rng.normal(size=(size[0], 2, *size[1:])).astype(np.float32)
    maps = torch.from_numpy(heatmap), torch.from_numpy(tag)
    detections, channel = find(*maps, nms=nms, top_k=top_k, threshold=threshold)
    expected = naive_peaks(heatmap, threshold, nms, top_k)
    assert channel.tolist() == [c for c, *_ in expected]
    assert detections.step.tolist() == [size[0] - 1 - c for c, *_ in expected]
    np.testing.assert_array_equal(detections.score, [score for *_, score in expected])
    for (c, y, x, _), found_tag, xy in zip(expected, detections.tag, detections.xy, strict=True):
        np.testing.assert_array_equal(found_tag, tag[c, :, y, x])
        assert np.abs(xy - [x, y]).max() <= 0.5


@given(size=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)), nms=st.sampled_from([1, 3, 5, 9]))
@settings(max_examples=30, deadline=None)
def test_window_maximum_is_max_pooling(size: tuple[int, int, int], nms: int) -> None:
    heatmap = torch.randn(size, generator=torch.Generator().manual_seed(0))
    pooled = F.max_pool2d(heatmap[None], nms, stride=1, padding=nms // 2)[0]
    assert torch.equal(window_maximum(heatmap, nms), pooled)
    assert torch.equal(window_maximum(heatmap.half(), nms), pooled.half())


@given(x=st.floats(-0.5, 23.499), y=st.floats(-0.5, 15.499), sigma=st.floats(0.8, 4), peak=st.floats(0.3, 1))
@settings(max_examples=100, deadline=None)
def test_subpixel_is_exact_for_a_gaussian(x: float, y: float, sigma: float, peak: float) -> None:
    """At any offset, at the border and in the corners too."""
    detections, _ = find(gaussian((16, 24), (x, y), sigma, peak))
    assert len(detections) == 1
    np.testing.assert_allclose(detections.xy, [[x, y]], atol=1e-3)


def test_subpixel_of_half_precision() -> None:
    heatmap = gaussian((100, 300), (271.3, 88.8), 2.0).half()
    detections, _ = find(heatmap, torch.full((1, 1, 100, 300), 1.5).half())
    np.testing.assert_allclose(detections.xy, [[271.3, 88.8]], atol=0.02)
    assert detections.tag.tolist() == [[1.5]]


def test_subpixel_never_moves_more_than_half_a_pixel() -> None:
    heatmap = torch.rand(1, 9, 9, generator=torch.Generator().manual_seed(1)) - 0.3
    y, x = torch.meshgrid(torch.arange(9), torch.arange(9), indexing="ij")
    place = torch.zeros(81, dtype=torch.int64), y.reshape(-1), x.reshape(-1)
    moved = subpixel(heatmap, *place) - torch.stack([place[2], place[1]], dim=1)
    assert torch.isfinite(moved).all()
    assert moved.abs().max() <= 0.5
    slope = torch.arange(9.0).add(1).expand(1, 9, 9).exp()  # logarithms on a line: no top
    assert torch.equal(subpixel(slope, *place), torch.stack([place[2], place[1]], dim=1).float())


def test_top_k_keeps_the_best_of_each_channel() -> None:
    heatmap = torch.zeros(2, 40, 40)
    for i in range(9):
        heatmap[0, 4 * i, 4 * i] = 0.2 + 0.05 * i
    heatmap[1, 3, 3] = 0.15
    detections, channel = find(heatmap, top_k=4)
    assert channel.tolist() == [0, 0, 0, 0, 1]
    np.testing.assert_allclose(detections.score, [0.6, 0.55, 0.5, 0.45, 0.15], rtol=1e-6)


PLATEAUS = {
    "pair": [(4, 4), (4, 5)],
    "column": [(4, 4), (5, 4), (6, 4)],
    "diagonal": [(4, 4), (5, 5)],
    "square": [(4, 4), (4, 5), (5, 4), (5, 5)],
    "gap within the window": [(4, 4), (4, 6)],
    "anti-diagonal chain": [(8 - i, 3 + i) for i in range(6)],
    "long row": [(4, x) for x in range(1, 15)],
    "u": [(y, x) for y, x in np.ndindex(9, 13) if x in (2, 10) or y == 8],
    "corner": [(0, 0), (0, 1), (1, 0)],
    "disc": [(y, x) for y, x in np.ndindex(16, 16) if (y - 8) ** 2 + (x - 8) ** 2 <= 49],
}


@pytest.mark.parametrize("pixels", PLATEAUS.values(), ids=PLATEAUS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_plateau_is_one_detection_at_its_middle(pixels: list[tuple[int, int]], dtype: torch.dtype) -> None:
    heatmap = torch.zeros(3, 16, 16, dtype=dtype)
    for y, x in pixels:
        heatmap[1, y, x] = 0.9
    heatmap[0, 15] = 0.9  # equal values in the next rows of another channel are another plateau
    detections, channel = find(heatmap)
    assert channel.tolist() == [0, 1]
    middle = np.mean(pixels, axis=0)[::-1]
    np.testing.assert_allclose(detections.xy[1], middle, atol=0.51)
    np.testing.assert_allclose(detections.score, 0.9, rtol=1e-3)


def test_separate_peaks_of_equal_height_stay_separate() -> None:
    heatmap = torch.zeros(2, 16, 16)
    heatmap[0, 4, [3, 6, 9]] = 0.5
    heatmap[0, 7, 3] = 0.5
    heatmap[1, 4, 3] = 0.5
    detections, channel = find(heatmap)
    assert channel.tolist() == [0, 0, 0, 0, 1]
    assert sorted(map(tuple, detections.xy.tolist())) == [(3, 4), (3, 4), (3, 7), (6, 4), (9, 4)]


def test_a_keypoint_halfway_between_two_pixels_is_one_detection() -> None:
    for xy in ((5.5, 6.0), (5.0, 6.5), (5.5, 6.5)):
        detections, _ = find(gaussian((12, 12), xy, 1.5))
        np.testing.assert_allclose(detections.xy, [xy], atol=1e-3)


def test_a_constant_map_is_one_detection_a_channel() -> None:
    detections, channel = find(torch.full((17, 128, 128), 0.5))
    assert channel.tolist() == list(range(17))
    np.testing.assert_allclose(detections.xy, 63.5, atol=1e-6)


def test_a_plateau_counts_once_in_top_k() -> None:
    heatmap = torch.zeros(1, 16, 16)
    heatmap[0, 4, 2:8] = 0.9
    heatmap[0, 12, 12] = 0.5
    detections, _ = find(heatmap, top_k=2)
    np.testing.assert_allclose(detections.score, [0.9, 0.5])


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (7, 1), (2, 9)])
def test_tiny_maps(size: tuple[int, int]) -> None:
    heatmap = torch.zeros(2, *size)
    heatmap[1, -1, -1] = 0.7
    detections, channel = find(heatmap)
    assert channel.tolist() == [1]
    np.testing.assert_allclose(detections.xy, [[size[1] - 1, size[0] - 1]], atol=0.5)


@pytest.mark.parametrize("value", [0.0, -3.0, 0.0999])
@pytest.mark.parametrize("dimension", [1, 4])
def test_nothing_found(value: float, dimension: int) -> None:
    detections, channel = find(torch.full((3, 8, 8), value), torch.zeros(3, dimension, 8, 8))
    shapes = (detections.score.shape, detections.tag.shape, detections.xy.shape, detections.step.shape, channel.shape)
    assert shapes == ((0,), (0, dimension), (0, 2), (0,), (0,))
    assert len(detections) == 0


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("where", ["heatmap", "tag"])
def test_maps_that_are_not_finite(value: float, where: str) -> None:
    maps = {"heatmap": torch.zeros(2, 8, 8), "tag": torch.zeros(2, 1, 8, 8)}
    maps[where].view(-1)[37] = value
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        find(maps["heatmap"], maps["tag"])


def test_a_large_half_precision_map_is_finite() -> None:
    """Its sum is not a half-precision number; its values are."""
    detections, _ = find(torch.full((17, 128, 128), 0.5).half(), torch.full((17, 1, 128, 128), 9.0).half())
    assert len(detections) == 17


def test_maps_with_a_gradient_are_accepted() -> None:
    heatmap = gaussian((12, 12), (4, 5), 1.5).requires_grad_()
    detections, _ = find(heatmap, torch.zeros(1, 1, 12, 12, requires_grad=True))
    np.testing.assert_allclose(detections.xy, [[4, 5]], atol=1e-3)
