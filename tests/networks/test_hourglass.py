"""The paper's network: published outputs, layout, gradients and the names of published checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from associative_embedding.model_files.converters.hourglass_names import POSE_AE, our_name
from associative_embedding.networks.hourglass import Hourglass, HourglassOptions, StackedHourglass
from support.published_weights import fill_by_name, official_shapes


def small(**changes: Any) -> StackedHourglass:
    """Two shallow stacks, fast enough for everything that is not about the published network."""
    torch.manual_seed(0)
    values: dict[str, Any] = {"stacks": 2, "widths": (8, 12, 16), "stem": (4, 8, 8)}
    return StackedHourglass(3, 2, HourglassOptions(**(values | changes)))


@pytest.mark.parametrize(
    ("golden", "names", "network"),
    [
        ("posenet_small", "posenet_small", {"stacks": 2, "widths": (16, 24, 152, 280, 408)}),
        (
            "posenet_small_bn",
            "posenet_small_bn",
            {"stacks": 1, "widths": (16, 24, 152, 280, 408), "batch_norm": True},
        ),
        pytest.param("posenet_full_fillbyname", "posenet", {"extra_outputs": 34}, marks=pytest.mark.slow),
    ],
)
def test_published_outputs_are_reproduced(shared: Path, golden: str, names: str, network: dict[str, Any]) -> None:
    keypoints = 5 if golden == "posenet_small_bn" else 17
    with torch.device("meta"):
        model = StackedHourglass(keypoints, keypoints, HourglassOptions(**network)).eval()
    state = {our_name(name, POSE_AE): fill_by_name(name, shape) for name, shape in official_shapes(shared, names)}
    model.load_state_dict(state, assign=True)
    arrays = np.load(shared / "reference" / "goldens" / f"{golden}.npz")
    with torch.inference_mode():
        outputs = torch.stack(model(torch.from_numpy(arrays["x"]).permute(0, 3, 1, 2)), 1).numpy()
    atol = 1e-5 * float(np.abs(arrays["y"]).max())
    np.testing.assert_allclose(outputs[:, :, :34], arrays["y"], rtol=1e-4, atol=atol)
    if "y_mean" in arrays:
        np.testing.assert_allclose(outputs.mean((3, 4)), arrays["y_mean"], rtol=1e-4, atol=atol)
        np.testing.assert_allclose(outputs.std((3, 4)), arrays["y_std"], rtol=1e-4, atol=atol)


@pytest.mark.parametrize(("extra_outputs", "parameters"), [(34, 138_893_840), (0, 138_832_776)])
def test_published_parameter_count(extra_outputs: int, parameters: int) -> None:
    with torch.device("meta"):
        model = StackedHourglass(17, 17, HourglassOptions(extra_outputs=extra_outputs))
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("size", [(16, 16), (32, 48)])
@pytest.mark.parametrize("stacks", [1, 3])
def test_every_stack_returns_a_map_of_a_quarter_of_the_image(stacks: int, size: tuple[int, int]) -> None:
    model = small(stacks=stacks, extra_outputs=1)
    outputs = model(torch.rand(2, 3, *size))
    assert [tuple(output.shape) for output in outputs] == [(2, 6, size[0] // 4, size[1] // 4)] * stacks


@pytest.mark.parametrize(
    ("widths", "multiple"), [((8, 12), 8), ((256, 386, 512, 768), 32), ((256, 384, 512, 640, 768), 64)]
)
def test_multiple_follows_from_the_depth(widths: tuple[int, ...], multiple: int) -> None:
    with torch.device("meta"):
        model = StackedHourglass(3, 2, HourglassOptions(widths=widths))
        assert model.multiple == multiple
        assert model(torch.empty(1, 3, multiple, 2 * multiple))[-1].shape == (1, 5, multiple // 4, multiple // 2)
        with pytest.raises(ValueError, match=rf"multiples of {multiple}, not {multiple + 4} x {multiple}"):
            model(torch.empty(1, 3, multiple + 4, multiple))


def test_batch_norm_before_the_relu_replaces_every_bias_but_those_of_the_outputs() -> None:
    with torch.device("meta"):
        model = StackedHourglass(17, 17, HourglassOptions(norm_first=True))
    assert sum(p.numel() for p in model.parameters()) == 138_863_560  # mmpose's
    biases = [name for name, _ in model.named_parameters() if name.endswith("bias") and "norm" not in name]
    assert biases == [f"outputs.{stack}.bias" for stack in range(4)]
    with pytest.raises(ValueError, match="batch_norm and norm_first exclude each other"):
        HourglassOptions(batch_norm=True, norm_first=True)


@pytest.mark.parametrize("norm", [{}, {"batch_norm": True}, {"norm_first": True}])
def test_gradients_reach_every_parameter(norm: dict[str, bool]) -> None:
    model = small(**norm)
    sum(output.square().mean() for output in model(torch.rand(2, 3, 32, 32))).backward()
    # Of a whole tensor: single units may be inactive for these images.
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_supervision_of_a_stack_leaves_later_stacks_alone() -> None:
    model = small(stacks=3)
    model(torch.rand(1, 3, 16, 16))[1].sum().backward()
    assert model.outputs[0].weight.grad is not None
    assert model.outputs[1].weight.grad is not None
    assert model.outputs[2].weight.grad is None
    assert model.merge_outputs[1].weight.grad is None


def test_extra_outputs_feed_the_next_stack_only() -> None:
    model = small(extra_outputs=4)
    outputs = model(torch.rand(1, 3, 16, 16))
    sum(output[:, :5].square().mean() for output in outputs).backward()
    assert model.outputs[0].weight.grad[5:].any()
    assert not model.outputs[1].weight.grad[5:].any()


def test_each_stack_has_its_own_weights() -> None:
    names = {name: p.data_ptr() for name, p in small(stacks=3).named_parameters()}
    assert len(set(names.values())) == len(names)


def test_an_hourglass_sees_the_whole_map() -> None:
    hourglass = Hourglass((2, 2, 2, 2))
    for parameter in hourglass.parameters():
        torch.nn.init.constant_(parameter, 0.1)  # positive, so that no ReLU cuts a path
    x = torch.rand(1, 2, 32, 32, requires_grad=True)
    hourglass(x)[0, :, 0, 0].sum().backward()
    assert x.grad is not None
    # Pooling passes one pixel of every 8 x 8, so each of those must have one that counts.
    assert (torch.nn.functional.max_pool2d(x.grad, 8) > 0).all()


def test_channels_last_changes_nothing() -> None:
    model, image = small().eval(), torch.rand(1, 3, 32, 32)
    expected = model(image)[-1]
    actual = model.to(memory_format=torch.channels_last)(image.to(memory_format=torch.channels_last))[-1]
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        {"stacks": 0},
        {"extra_outputs": -1},
        {"widths": (8,)},
        {"widths": (8, 0)},
        {"stem": (8,)},
    ],
)
def test_impossible_options_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(values))} must be "):
        HourglassOptions(**values)


@pytest.mark.parametrize(("heatmaps", "tag_channels"), [(0, 2), (3, -1)])
def test_impossible_outputs_are_refused(heatmaps: int, tag_channels: int) -> None:
    with pytest.raises(ValueError, match=rf"heatmaps .* tag_channels .*, not {heatmaps}, {tag_channels}"):
        StackedHourglass(heatmaps, tag_channels, HourglassOptions())


def test_official_names() -> None:
    pairs = {
        "pre.4.bn.running_var": "stem.4.norm.running_var",
        "features.3.0.low2.up1.conv.bias": "hourglasses.3.inner.skip.conv.bias",
        "features.0.0.low2.low2.low2.low2.conv.weight": "hourglasses.0.inner.inner.inner.inner.conv.weight",
        "features.1.2.conv.weight": "refine.1.1.conv.weight",
        "outs.2.conv.weight": "outputs.2.weight",
        "merge_preds.0.conv.conv.bias": "merge_outputs.0.bias",
        "merge_features.0.conv.conv.bias": "merge_features.0.bias",
    }
    assert {name: our_name(name, POSE_AE) for name in pairs} == pairs


@pytest.mark.parametrize("name", ["", "conv1.weight", "features.0.3.conv.weight", "stem.0.conv.weight"])
def test_a_name_of_another_network_stays(name: str) -> None:
    assert our_name(name, POSE_AE) == name
