"""Detection against loops over pixels, exact sub-pixel positions, plateaus, and maps one should not trust."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from associative_embedding.detection import peaks_in_graph, peaks_on_cpu, peaks_on_gpu
from associative_embedding.detection.peak_table import SCORE, SUBPIXEL
from associative_embedding.detection.peaks import detect, highest, to_detections
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections
from support.peak_oracle import between_pixels, peak_rows, random_maps

DEFAULTS = {"threshold": 0.1, "nms": 5, "top_k": 30}


def find(heatmap: Tensor, tag: Tensor | None = None, **options: object) -> tuple[Detections, Array]:
    tag = torch.zeros(heatmap.shape[0], 1, *heatmap.shape[1:]) if tag is None else tag
    step = np.arange(heatmap.shape[0])[::-1].copy()
    return detect(heatmap, tag, **{**DEFAULTS, "step": step, **options})  # type: ignore[arg-type]


def gaussian(size: tuple[int, int], xy: tuple[float, float], sigma: float, peak: float = 1.0) -> Tensor:
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    return (peak * torch.exp(-((x - xy[0]) ** 2 + (y - xy[1]) ** 2) / (2 * sigma**2))).float()[None]


@pytest.mark.slow
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
    heatmap, tag = random_maps(size, "noise", 2, seed)  # no two values are equal
    detections, channel = find(heatmap, tag, nms=nms, top_k=top_k, threshold=threshold)
    rows = sorted(peak_rows(heatmap.numpy(), tag.numpy(), threshold, nms).tolist(), key=lambda row: (row[0], -row[3]))
    best = [row for c in range(size[0]) for row in [row for row in rows if row[0] == c][:top_k]]
    expected = np.array(best).reshape(-1, 8)
    np.testing.assert_array_equal(channel, expected[:, 0])
    np.testing.assert_array_equal(detections.step, size[0] - 1 - expected[:, 0])
    np.testing.assert_array_equal(detections.score, expected[:, 3])
    np.testing.assert_allclose(detections.xy, expected[:, 4:6], atol=1e-3)
    np.testing.assert_array_equal(detections.tag, expected[:, 6:])


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


def row_of_tags(tags: list[float], *, gaps: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
    """Maps with a row of equal values from pixel (2, 4) on, without those at `gaps`, and the tags of this row."""
    heatmap, tag = torch.zeros(1, 9, 24), torch.zeros(1, 1, 9, 24)
    for i, value in enumerate(tags):
        heatmap[0, 4, 2 + i], tag[0, 0, 4, 2 + i] = 0.0 if i in gaps else 1.0, value
    return heatmap, tag


ROWS: dict[str, tuple[list[float], tuple[int, ...], list[tuple[float, float]]]] = {
    # tags of a row of equal values, gaps in it, and x and tag of the detections
    "two pixels of two people": ([0, 9], (), [(2, 0), (3, 9)]),
    "one pixel between two people": ([0, 0, 9], (1,), [(2, 0), (4, 9)]),
    "one pixel between equal tags": ([3, 3, 3], (1,), [(2, 3), (4, 3)]),
    "a clamped heatmap of two people": ([0, 0, 0, 0, 9, 9, 9, 9], (), [(3.5, 0), (7.5, 9)]),
    "tags that differ by less than the threshold": ([0, 0.4, 0.2, 0.6], (), [(3.5, 0.3)]),
    "tags that drift from one person to the other": ([0, 0.5, 2.5, 3], (), [(2.5, 0.25), (4.5, 2.75)]),
    "a person behind another": ([0, 0, 9, 9, 0, 0], (), [(2.5, 0), (4.5, 9), (6.5, 0)]),
}


def on_a_cpu(heatmap: Tensor, tag: Tensor) -> Array | None:
    return peaks_on_cpu.find_peaks(heatmap.numpy(), tag.numpy(), heatmap.numpy() >= 0.1, 5)


def on_a_gpu(heatmap: Tensor, tag: Tensor) -> Array | None:
    """The operations for a GPU, on tensors of a CPU."""
    return peaks_on_gpu.find_peaks(heatmap, tag, heatmap >= 0.1, 5)


def in_a_graph(heatmap: Tensor, tag: Tensor) -> Array | None:
    rows = peaks_in_graph.find_peaks(heatmap[None], tag[None], nms=5, top_k=30)[0].double().numpy()
    return np.asarray(rows[rows[:, SCORE] >= 0.1])


@pytest.mark.parametrize("search", [on_a_cpu, on_a_gpu, in_a_graph])
@pytest.mark.parametrize(("tags", "gaps", "expected"), ROWS.values(), ids=ROWS)
def test_equal_peaks_of_different_people_stay_apart(
    tags: list[float],
    gaps: tuple[int, ...],
    expected: list[tuple[float, float]],
    search: Callable[[Tensor, Tensor], Array | None],
) -> None:
    table = search(*row_of_tags(tags, gaps=gaps))
    assert table is not None
    found, _ = to_detections(table, (1, 9, 24), nms=5, top_k=30, step=np.zeros(1, np.int64))
    in_order = np.argsort(found.xy[:, 0])
    np.testing.assert_allclose(found.xy[in_order], [(x, 4) for x, _ in expected], atol=0.51)
    np.testing.assert_allclose(found.tag[in_order, 0], [tag for _, tag in expected], atol=1e-6)


def test_the_threshold_of_the_tags_is_that_of_grouping() -> None:
    """With two dimensions, the Euclidean distance is larger than the root mean square by the square root of 2."""
    heatmap, tag = row_of_tags([0, 1.2])
    tag = tag.expand(1, 2, 9, 24)
    assert len(find(heatmap, tag, tag_threshold=1.3)[0]) == 1
    assert len(find(heatmap, tag, tag_threshold=1.1)[0]) == 2
    assert len(find(heatmap, tag, tag_threshold=1.3, norm="l2")[0]) == 2


def test_a_large_plateau_of_many_tags_ends() -> None:
    """Every pixel has another tag: as many detections as are kept, and not a loop over all pairs."""
    tag = torch.randn(2, 6, 128, 128, generator=torch.Generator().manual_seed(0)) * 10
    _, channel = find(torch.ones(2, 128, 128), tag, top_k=30)
    assert channel.tolist() == [0] * 30 + [1] * 30


def test_maps_without_tags_have_one_detection_a_plateau() -> None:
    heatmap, _ = row_of_tags([0, 0, 0])
    assert len(find(heatmap, torch.zeros(1, 0, 9, 24))[0]) == 1


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
    with pytest.raises(ValueError, match="contains NaN or infinity"):
        find(maps["heatmap"], maps["tag"])


def test_a_large_half_precision_map_is_finite() -> None:
    """Its sum is not a half-precision number; its values are."""
    detections, _ = find(torch.full((17, 128, 128), 0.5).half(), torch.full((17, 1, 128, 128), 9.0).half())
    assert len(detections) == 17


@pytest.mark.parametrize("where", ["heatmap", "tag", "both"])
def test_finite_maps_whose_sum_overflows_are_finite(where: str) -> None:
    """4,096 times 1e36 is more than the largest number of single precision, 3.4e38."""
    heatmap = torch.full((1, 64, 64), -1e36 if where != "tag" else 0.0)
    tag = torch.full((1, 1, 64, 64), 1e36 if where != "heatmap" else 0.0)
    heatmap[0, 20, 30] = 0.9
    detections, _ = find(heatmap, tag)
    np.testing.assert_allclose(detections.xy, [[30, 20]], atol=0.5)
    table = peaks_on_gpu.find_peaks(heatmap, tag, heatmap >= 0.1, 5)
    assert table is not None
    assert len(table) == 1
    assert highest(heatmap[None])[0, 0, 2] == pytest.approx(0.9)
    for value in (torch.nan, torch.inf, -torch.inf):
        broken = heatmap.clone()
        broken[0, 0, 0] = value
        assert peaks_on_gpu.find_peaks(broken, tag, heatmap >= 0.1, 5) is None
        with pytest.raises(ValueError, match="contains NaN or infinity"):
            find(broken, tag)
        with pytest.raises(ValueError, match="contains NaN or infinity"):
            highest(broken[None])


def test_maps_with_a_gradient_are_accepted() -> None:
    heatmap = gaussian((12, 12), (4, 5), 1.5).requires_grad_()
    tag = torch.zeros(1, 1, 12, 12, requires_grad=True)
    detections, _ = find(heatmap, tag)
    np.testing.assert_allclose(detections.xy, [[4, 5]], atol=1e-3)
    table = peaks_on_gpu.find_peaks(heatmap, tag, heatmap >= 0.1, 5)
    assert table is not None
    np.testing.assert_allclose(table[:, SUBPIXEL], [[4, 5]], atol=1e-3)
    for places in (highest(heatmap[None])[0], peaks_on_gpu.highest(heatmap)):
        assert places is not None
        np.testing.assert_allclose(places[:, :2], [[4, 5]], atol=1e-3)


@given(batch=st.integers(1, 3), size=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)))
@settings(max_examples=30, deadline=None)
def test_the_highest_places_are_those_of_a_loop(batch: int, size: tuple[int, int, int]) -> None:
    heatmap = torch.rand(batch, *size, generator=torch.Generator().manual_seed(0))
    on_gpu = peaks_on_gpu.highest(heatmap.flatten(0, 1))
    np.testing.assert_allclose(np.reshape(on_gpu, (batch, -1, 3)), highest(heatmap), atol=1e-4)
    np.testing.assert_array_equal(highest(heatmap.numpy()), highest(heatmap))
    for maps, places in zip(heatmap.numpy(), highest(heatmap), strict=True):
        for channel, (x, y, value) in zip(maps, places, strict=True):
            row, column = np.unravel_index(channel.argmax(), channel.shape)
            assert value == channel.max()
            np.testing.assert_allclose([x, y], between_pixels(channel, int(row), int(column)), atol=1e-3)


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
        return highest(values[None])[0, :, :2]

    ours, upsampled, truth = (tops(heatmap) + 0.5) * 4, tops(large) + 0.5, (np.column_stack([x, y]) + 0.5) * 4
    assert np.abs(ours - upsampled).max() < 0.5
    assert np.abs(ours - truth).max() < 1e-3  # which the upsampled ones miss by up to half a pixel
    assert np.abs(upsampled - truth).max() > 0.03


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
