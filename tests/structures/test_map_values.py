"""Arrays and tensors are resampled, mirrored and joined alike, and as by torch's own functions or a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from associative_embedding.structures import map_values
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.map_values import Values, as_array

# How a network returns maps -> what it makes of an array, and how exact the arithmetic is.
KINDS: dict[str, tuple[Callable[[Array], Values], float]] = {
    "array": (lambda values: values, 1e-6),
    "tensor": (torch.from_numpy, 1e-6),
    "half tensor": (lambda values: torch.from_numpy(values).half(), 2e-3),
    "channels-last tensor": (lambda values: channels_last(torch.from_numpy(values)), 1e-6),
}
kinds = pytest.mark.parametrize(("kind", "exact"), KINDS.values(), ids=KINDS)
sizes = pytest.mark.parametrize(
    ("old", "new"), [((4, 6), (8, 12)), ((4, 6), (9, 5)), ((7, 3), (3, 3)), ((1, 5), (4, 1)), ((1, 1), (3, 2))]
)


def channels_last(values: torch.Tensor) -> torch.Tensor:
    """The memory that convolutions return; the fourth dimension from the end is the fastest."""
    return values.movedim(1, -1).contiguous().movedim(-1, 1)


def maps(*shape: int) -> Array:
    return np.random.default_rng(0).random(shape, np.float32)


@kinds
@sizes
def test_a_resize_is_that_of_torch(kind: Any, exact: float, old: tuple[int, int], new: tuple[int, int]) -> None:
    values = maps(2, 3, *old)
    expected = F.interpolate(torch.from_numpy(values), size=new, mode="bilinear", align_corners=False)
    given = kind(values)
    resized = map_values.resize(given, new)
    assert type(resized) is type(given)
    assert resized.dtype == given.dtype
    np.testing.assert_allclose(as_array(resized), expected, atol=exact)
    np.testing.assert_array_equal(as_array(given), as_array(kind(maps(2, 3, *old))))  # it is not changed


@kinds
@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 3, 2, 5, 3), (1, 3, 0, 5, 3)])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_enlarging_is_that_of_torch(kind: Any, exact: float, shape: tuple[int, ...], factor: int) -> None:
    values = maps(*shape)
    flat = torch.from_numpy(values).reshape(1, -1, *shape[-2:])
    large = flat.new_zeros(1, 0, 1, 1)
    if flat.numel():
        large = F.interpolate(flat, scale_factor=factor, mode="bilinear", align_corners=False)
    enlarged = map_values.enlarge(kind(values), factor)
    assert tuple(enlarged.shape) == (*shape[:-2], shape[-2] * factor, shape[-1] * factor)
    np.testing.assert_allclose(as_array(enlarged).reshape(-1), large.reshape(-1), atol=exact)


@kinds
@pytest.mark.parametrize("size", [(5, 7), (1, 4), (6, 1)])
def test_resampling_is_a_loop(kind: Any, exact: float, size: tuple[int, int]) -> None:
    values, (height, width) = maps(2, 3, *size), size
    y, x = np.array([-1.0, 0.0, 0.25, 3.5, 8.0]), np.array([2.75, -0.5, 1.0, 6.0, 5.999, 40.0])
    found = map_values.resample(kind(values), y, x)
    assert tuple(found.shape) == (2, 3, 5, 6)
    for row, column in np.ndindex(5, 6):
        at_y, at_x = min(max(y[row], 0), height - 1), min(max(x[column], 0), width - 1)
        expected = sum(
            values[:, :, i, j] * max(0, 1 - abs(at_y - i)) * max(0, 1 - abs(at_x - j)) for i, j in np.ndindex(*size)
        )
        np.testing.assert_allclose(as_array(found)[:, :, row, column], expected, atol=exact)


@kinds
def test_mirrored_columns_and_joined_tags(kind: Any, exact: float) -> None:
    values = maps(1, 3, 2, 4, 5)
    mirrored = map_values.mirrored(kind(values))
    joined = map_values.concatenate([kind(values), mirrored], axis=2)
    np.testing.assert_allclose(as_array(joined), np.concatenate([values, np.flip(values, -1)], 2), atol=exact)
    torch.as_tensor(mirrored)  # which takes no array whose columns run backwards


@kinds
def test_as_array_is_contiguous_single_precision(kind: Any, exact: float) -> None:
    values = maps(1, 3, 2, 4, 5)
    array = as_array(kind(values))
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    np.testing.assert_allclose(array, values, atol=exact)


def test_as_array_shares_memory_and_drops_gradients() -> None:
    values = maps(2, 3)
    assert np.shares_memory(as_array(values), values)
    assert np.shares_memory(as_array(torch.from_numpy(values).requires_grad_()), values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_all_stays_on_the_device(dtype: torch.dtype) -> None:
    """Torch computes nothing on the device "meta", but refuses to mix it with a CPU, as it does for a GPU."""
    heatmap, tag = torch.empty(2, 3, 4, 6, dtype=dtype, device="meta"), torch.empty(2, 3, 2, 4, 6, device="meta")
    index = np.array([0, 2, 1])
    results = [
        map_values.resize(heatmap, (5, 3)),
        map_values.enlarge(heatmap, 2),
        map_values.mirrored(heatmap[:, index]),
        map_values.concatenate([heatmap, heatmap], axis=1),
        map_values.resample(heatmap, np.linspace(-1, 5, 4), np.linspace(0, 9, 3)),
    ]
    assert {(value.device.type, value.dtype) for value in results} == {("meta", dtype)}
    assert [tuple(value.shape) for value in results] == [
        (2, 3, 5, 3), (2, 3, 8, 12), (2, 3, 4, 6), (2, 6, 4, 6), (2, 3, 4, 3),
    ]  # fmt: skip
    assert map_values.enlarge(tag, 2).shape == (2, 3, 2, 8, 12)
