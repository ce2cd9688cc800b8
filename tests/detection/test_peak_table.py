"""The three searches, on a CPU, a GPU and in a graph, fill the table of peaks that loops over pixels fill."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from associative_embedding.detection import peaks_in_graph, peaks_on_cpu, peaks_on_gpu
from associative_embedding.detection.peak_table import CHANNEL, SCORE, SUBPIXEL, X, Y, top_of_parabola, unflatten
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.map_values import as_array
from support.peak_oracle import KINDS, SIZES, peak_rows, random_maps, top


def on_cpu(heatmap: Tensor, tag: Tensor, threshold: float, window: int) -> Array | None:
    values, tags = as_array(heatmap), as_array(tag)
    if not (peaks_on_cpu.finite(values) and peaks_on_cpu.finite(tags)):
        return None
    return peaks_on_cpu.find_peaks(values, tags, values >= threshold, window)


def on_gpu(heatmap: Tensor, tag: Tensor, threshold: float, window: int) -> Array | None:
    """By the operations of a GPU, which a CPU computes too."""
    return peaks_on_gpu.find_peaks(heatmap, tag, heatmap >= threshold, window)


def in_graph(heatmap: Tensor, tag: Tensor, threshold: float, window: int) -> Array:
    pixels = heatmap.shape[1] * heatmap.shape[2]
    rows = peaks_in_graph.find_peaks(heatmap[None], tag[None], nms=window, top_k=pixels)[0].double().numpy()
    rows = rows[rows[:, SCORE] >= threshold]
    return np.asarray(rows[np.lexsort((rows[:, X], rows[:, Y], rows[:, CHANNEL]))])


SEARCHES = {"cpu": on_cpu, "gpu": on_gpu, "graph": in_graph}


@pytest.mark.slow
@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
@given(
    size=SIZES,
    kind=KINDS,
    dimension=st.integers(1, 3),
    window=st.sampled_from([1, 3, 5, 9]),
    threshold=st.sampled_from([0.01, 0.5, 2.0]),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)
def test_the_table_of_peaks_is_that_of_loops(
    search, size: tuple[int, int, int], kind: str, dimension: int, window: int, threshold: float, seed: int
) -> None:
    if search is in_graph:
        assume(min(size[1:]) >= 3 and kind != "half")  # a network's maps are larger, and exported in single precision
    heatmap, tag = random_maps(size, kind, dimension, seed)
    expected = peak_rows(heatmap.float().numpy(), tag.float().numpy(), threshold, window)
    found = search(heatmap, tag, threshold, window)
    assert found is not None
    np.testing.assert_array_equal(np.delete(found, SUBPIXEL, axis=1), np.delete(expected, SUBPIXEL, axis=1))
    np.testing.assert_allclose(found[:, SUBPIXEL], expected[:, SUBPIXEL], atol=1e-3)


@pytest.mark.parametrize("search", [on_cpu, on_gpu])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["heatmap", "tag"])
def test_maps_that_are_not_finite_have_no_table(search, value: float, where: str) -> None:
    maps = dict(zip(("heatmap", "tag"), random_maps((2, 9, 9), "noise", 1, 0), strict=True))
    maps[where].view(-1)[40] = value
    assert search(maps["heatmap"], maps["tag"], 0.5, 3) is None


@given(size=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)), window=st.sampled_from([1, 3, 5, 9]))
@settings(max_examples=30, deadline=None)
def test_window_maximum_is_max_pooling(size: tuple[int, int, int], window: int) -> None:
    heatmap = torch.randn(size, generator=torch.Generator().manual_seed(0))
    pooled = F.max_pool2d(heatmap[None], window, stride=1, padding=window // 2)[0]
    assert torch.equal(peaks_on_gpu.window_maximum(heatmap, window), pooled)
    assert torch.equal(peaks_on_gpu.window_maximum(heatmap.half(), window), pooled.half())
    np.testing.assert_array_equal(peaks_on_cpu.window_maximum(heatmap.numpy(), window), pooled.numpy())


@given(size=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)))
@settings(max_examples=30, deadline=None)
def test_unflatten_is_numpys(size: tuple[int, int, int]) -> None:
    index = np.arange(np.prod(size))
    for ours, tensor, theirs in zip(
        unflatten(index, size), unflatten(torch.from_numpy(index), size), np.unravel_index(index, size), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(tensor.numpy(), theirs)


@given(line=st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
def test_the_top_of_a_parabola_is_the_same_of_arrays_and_tensors(line: list[float]) -> None:
    logs = np.log(np.array(line)).reshape(3, 1)
    of_array = top_of_parabola(*logs, np.zeros(1))
    of_tensor = top_of_parabola(*torch.from_numpy(logs), torch.zeros(1, dtype=torch.float64))
    assert of_array[0] == of_tensor.item() == pytest.approx(top(line, 1), abs=1e-9)


@pytest.mark.parametrize("path", ["cpu", "gpu"])
def test_subpixel_never_moves_more_than_half_a_pixel(path: str) -> None:
    def subpixel(heatmap: Tensor) -> Array:
        y, x = (torch.from_numpy(a.reshape(-1)) for a in np.mgrid[:9, :9])
        if path == "gpu":
            return peaks_on_gpu.subpixel(heatmap, torch.arange(81), y, x).numpy()
        return peaks_on_cpu.subpixel(heatmap.numpy(), np.arange(81), y.numpy(), x.numpy())

    y, x = (a.reshape(-1) for a in np.mgrid[:9, :9])
    pixels = np.stack([x, y], axis=1)
    moved = subpixel(torch.rand(1, 9, 9, generator=torch.Generator().manual_seed(1)) - 0.3) - pixels
    assert np.isfinite(moved).all()
    assert np.abs(moved).max() <= 0.5
    slope = torch.arange(9.0).add(1).expand(1, 9, 9).exp()  # logarithms on a line: no top
    np.testing.assert_array_equal(subpixel(slope.contiguous()), pixels)
