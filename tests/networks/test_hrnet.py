"""HRNet and HigherHRNet: published outputs and sizes, what is decoded of two resolutions, and how both are taught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from associative_embedding.inference.load import load
from associative_embedding.networks.hrnet import HigherHRNet, HRNet, HRNetOptions
from associative_embedding.structures.maps import Maps, enlarge, final_maps
from associative_embedding.training.recipe import NetworkConfig
from associative_embedding.training.train import train
from support.published_weights import fill_by_name, official_shapes
from support.tiny import FIGURE, log_of, tiny_data, tiny_recipe


@pytest.mark.slow
def test_published_outputs_are_reproduced(shared: Path) -> None:
    with torch.device("meta"):
        model = HigherHRNet(17, 17, HRNetOptions()).eval()
    shapes = official_shapes(shared, "higherhrnet_w32")
    model.load_state_dict({name: fill_by_name(name, shape, gain=1) for name, shape in shapes}, assign=True)
    arrays = np.load(shared / "reference" / "goldens" / "higherhrnet_w32_fillbyname.npz")
    with torch.inference_mode():
        outputs = model(torch.from_numpy(arrays["x"]))
    for output, name in zip(outputs, ("y0", "y1"), strict=True):
        atol = 1e-5 * float(np.abs(arrays[name]).max())
        np.testing.assert_allclose(output.numpy(), arrays[name], rtol=1e-4, atol=atol)


@pytest.mark.parametrize(
    ("kind", "width", "millions"), [(HRNet, 32, 28.5), (HigherHRNet, 32, 28.6), (HigherHRNet, 48, 63.8)]
)
def test_published_parameter_counts(kind: type[HRNet], width: int, millions: float) -> None:
    with torch.device("meta"):
        model = kind(17, 17, HRNetOptions(width=width))
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) == millions


def test_higherhrnet_begins_as_hrnet() -> None:
    torch.manual_seed(0)
    higher = HigherHRNet(3, 3, HRNetOptions(width=4)).eval()
    plain = HRNet(3, 3, HRNetOptions(width=4)).eval()
    assert not plain.load_state_dict(higher.state_dict(), strict=False).missing_keys
    image = torch.rand(1, 3, 64, 96)
    assert torch.equal(higher(image)[0], plain(image)[0])


def maps(size: int, tag_size: int, value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Maps:
    """Two channels of a function of the pixel's centre, in units of the whole map."""
    y, x = torch.meshgrid(*[(torch.arange(size) + 0.5) / size] * 2, indexing="ij")
    plane = value(x, y)
    return Maps(plane.expand(1, 2, size, size).clone(), plane.expand(1, 2, tag_size, size, size).clone())


def test_enlarged_maps_keep_every_place() -> None:
    """A plane stays the same plane, but within half a coarse pixel of the border, where it is held."""
    large = enlarge(maps(6, 3, lambda x, y: 2 * x + y), 4)
    expected = maps(24, 3, lambda x, y: 2 * x + y)
    inner = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(large.heatmap[inner], expected.heatmap[inner])
    torch.testing.assert_close(large.tag[inner], expected.tag[inner])
    assert large.tag.shape == (1, 2, 3, 24, 24)


def test_a_fine_output_without_tags_is_averaged_with_the_one_before() -> None:
    coarse, fine = maps(8, 1, lambda x, y: x), maps(16, 0, lambda x, y: 3 * x)
    merged = final_maps([maps(8, 1, lambda x, y: 9 * y), coarse, fine])
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(merged.heatmap[inner], maps(16, 1, lambda x, y: 2 * x).heatmap[inner])
    torch.testing.assert_close(merged.tag[inner], maps(16, 1, lambda x, y: x).tag[inner])


def test_of_outputs_with_tags_the_last_counts() -> None:
    outputs = [maps(8, 1, lambda x, y: x), maps(8, 1, lambda x, y: y)]
    assert final_maps(outputs) is outputs[1]


@pytest.mark.slow
def test_both_resolutions_are_trained_and_predict(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, tiny_data(tmp_path), steps=4, log_every=2, lr=1e-3)
    network = NetworkConfig(backbone="higherhrnet_w32", tag_size=1, options={"width": 4})
    path = train(replace(recipe, network=network))
    rows = [row for row in log_of(path.parent) if row["event"] == "train"]
    assert [row["step"] for row in rows] == [2, 4]
    predictor = load(path)
    assert predictor.network.strides == (4, 2)
    found, geometry = predictor.maps(np.zeros((64, 48, 3), np.uint8))
    assert geometry.stride == 2
    assert found.tag.shape == (1, len(FIGURE), 1, 32, 32)
