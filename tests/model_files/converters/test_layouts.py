"""Published layouts: every list of tensors becomes a network of ours with nothing left over, and computes the same."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from associative_embedding.model_files.converters.check_weights import check_weights
from associative_embedding.model_files.converters.layouts import LAYOUTS, Layout, recognise_project
from associative_embedding.networks.hrnet import HigherHRNet, HRNet, HRNetOptions
from associative_embedding.networks.zoo import build_network
from support.published_layouts import (
    LITEPOSES,
    RESNETS,
    Named,
    hrnet,
    litepose,
    mmpose_hourglass,
    mobilenet_v2,
    resnet,
    scale_layers,
    zoo_names,
    zoo_shapes,
)
from support.published_weights import fill_by_name

# golden networks of the zoo -> the gain of their weights
GOLDENS = {
    **{f"{name}_{data}": 1.0 for name in ("higherhrnet_w32", "higherhrnet_w48") for data in ("coco", "crowdpose")},
    **{
        f"mmpose_{kind}_{width}_{data}": 1.0
        for kind in ("hrnet", "higherhrnet")
        for width in ("w32", "w48")
        for data in ("coco", "coco_wholebody")
    },
    **dict.fromkeys(("mmpose_higherhrnet_w32_crowdpose", "mmpose_higherhrnet_w32_aic", "mmpose_hrnet_w32_aic"), 1.0),
    **dict.fromkeys(("mmpose_hrnet_w48_mhp", "mmpose1x_ae_hrnet-w32_coco"), 1.0),
    **dict.fromkeys(("swahr_hrnet_w32_coco", "swahr_hrnet_w48_coco"), 1.0),
    **dict.fromkeys(("mmpose_res50_coco", "mmpose_res152_coco", "mmpose_mobilenetv2_coco"), 1.2),
    "mmpose_hourglass_ae_coco": 1.2,
    **{f"litepose_{size}_{data}": 1.2 for size in ("XS", "S", "L") for data in ("coco", "crowdpose")},
    "litepose_M_crowdpose": 1.2,
    **{f"mmpose_litepose_XS_{data}{late}": 1.2 for data in ("coco", "crowdpose") for late in ("", "_convmodule")},
}


def recognise(shapes: Iterable[Named]) -> tuple[str, Layout]:
    """The project and the network of a list of tensors, without memory for the values."""
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes}
    project = recognise_project(state)
    assert project is not None
    return project, LAYOUTS[project](state, None)


def check_complete(layout: Layout) -> None:
    """Checks that the network has exactly these tensors, with these shapes."""
    with torch.device("meta"):
        network = build_network(layout.backbone, layout.keypoints, 1, layout.options)
    check_weights(layout.state, network.body.state_dict(), layout.backbone)


def on_meta(kind: type[HRNet], width: int, keypoints: int = 17) -> HRNet:
    with torch.device("meta"):
        return kind(keypoints, keypoints, HRNetOptions(width=width))


# what it is -> (list of tensors, project, backbone, options that differ)
OWN: dict[str, tuple[Any, str, str, dict[str, Any]]] = {
    **{
        f"resnet{depth}": (partial(resnet, blocks), "mmpose", f"resnet{depth}", {}) for depth, blocks in RESNETS.items()
    },
    "mobilenet_v2": (mobilenet_v2, "mmpose", "mobilenet_v2_deconv", {}),
    **{
        f"litepose {size} {style}": (
            partial(litepose, *LITEPOSES[size], style=style),
            "litepose" if style == "litepose" else "mmpose",
            f"litepose_{size}",
            {},
        )
        for size in LITEPOSES
        for style in ("litepose", "mmpose", "module")
    },
    "litepose narrow": (
        partial(litepose, 8, (16, 16, 16, 16), (8, 8, 8)),
        "litepose",
        "litepose_s",
        {"stem": 8, "widths": [16, 16, 16, 16], "deconvolutions": [8, 8, 8]},
    ),
    "hourglass": (
        partial(mmpose_hourglass, (256, 384, 512, 640, 768), (64, 128, 128), 4),
        "mmpose",
        "hourglass",
        {"norm_first": True, "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]},
    ),
    **{
        f"{name} {style}": (
            lambda kind=kind, style=style: hrnet(on_meta(kind, 48), style),
            style.split()[0],
            f"{name}_w48",
            {},
        )
        for name, kind in (("hrnet", HRNet), ("higherhrnet", HigherHRNet))
        for style in ("higherhrnet", "mmpose", "mmpose 1.x")
    },
    "swahr": (
        lambda: [*hrnet(on_meta(HigherHRNet, 32), "higherhrnet"), *scale_layers(32)],
        "swahr",
        "higherhrnet_w32",
        {},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_a_layout_is_recognised_and_complete(name: str) -> None:
    shapes, project, backbone, options = OWN[name]
    found, layout = recognise(shapes())
    assert (found, layout.backbone, layout.options, layout.keypoints) == (project, backbone, options, 17)
    check_complete(layout)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        *((f"mmpose_res{depth}_coco", f"resnet{depth}") for depth in RESNETS),
        ("mmpose_mobilenetv2_coco", "mobilenet_v2"),
        ("mmpose_hourglass_ae_coco", "hourglass"),
        ("mmpose_hrnet_w48_coco", "hrnet mmpose"),
        ("mmpose_higherhrnet_w48_coco", "higherhrnet mmpose"),
        ("higherhrnet_w48_coco", "higherhrnet higherhrnet"),
        ("swahr_hrnet_w32_coco", "swahr"),
        *((f"litepose_{size.upper()}_coco", f"litepose {size} litepose") for size in LITEPOSES),
        *((f"mmpose_litepose_{size.upper()}_coco", f"litepose {size} mmpose") for size in ("xs", "s", "m")),
        *((f"mmpose_litepose_{size.upper()}_coco_convmodule", f"litepose {size} module") for size in LITEPOSES),
    ],
)
def test_the_lists_of_these_tests_are_the_published_ones(shared: Path, name: str, ours: str) -> None:
    assert dict(OWN[ours][0]()) == dict(zoo_shapes(shared, name))


@pytest.mark.slow
def test_every_published_list_is_recognised_and_complete(shared: Path) -> None:
    names = zoo_names(shared)
    assert len(names) >= 47
    for name in names:
        project, layout = recognise(zoo_shapes(shared, name))
        first = name.split("_")[0]
        assert project == ("mmpose" if first == "mmpose1x" else first)
        check_complete(layout)


def test_every_golden_is_listed(shared: Path) -> None:
    index = json.loads((shared / "reference/zoo/goldens/index.json").read_text())["meta"]
    assert {name: row["gain"] for name, row in index.items() if "gain" in row} == GOLDENS


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDENS)
def test_published_outputs_are_reproduced(shared: Path, name: str) -> None:
    shapes = zoo_shapes(shared, name)
    _, layout = recognise(shapes)
    state = {key: fill_by_name(key, shape, GOLDENS[name]) for key, shape in shapes}
    layout = LAYOUTS[str(recognise_project(state))](state, None)
    with torch.device("meta"):
        body = build_network(layout.backbone, layout.keypoints, 1, layout.options).body.eval()
    body.load_state_dict(layout.state, assign=True)
    scales = layout.keypoints if name.startswith("swahr") else 0  # channels that SWAHR throws away
    arrays = np.load(shared / f"reference/zoo/goldens/{name}.npz")
    sizes = {key.split("_")[1] for key in arrays.files}
    assert sizes
    for size in sizes:
        height, width = map(int, size.split("x"))
        x = np.random.RandomState(0).standard_normal((1, 3, height, width)).astype(np.float32)
        with torch.inference_mode():
            outputs: list[Tensor] = body(torch.from_numpy(x))
        assert len(outputs) == sum(key.startswith("y") and key.endswith(f"_{size}") for key in arrays.files)
        for i, output in enumerate(outputs):
            expected = arrays[f"y{i}_{size}"][:, scales:]
            step = output.shape[-1] // expected.shape[-1]  # of the rows and columns that are stored
            tolerance = 1e-5 * float(np.abs(expected).max())
            np.testing.assert_allclose(output[..., ::step, ::step], expected, rtol=0, atol=tolerance)
            if f"y{i}_{size}_mean" in arrays:
                for kind, value in (("mean", output.mean((0, 2, 3))), ("std", output.std((0, 2, 3), correction=0))):
                    np.testing.assert_allclose(value, arrays[f"y{i}_{size}_{kind}"][scales:], rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "names", [[], ["fc.weight"], ["encoder.conv1.weight"], ["layer1.0.conv1.weight", "conv1.weight"]]
)
def test_unknown_names_are_of_no_project(names: list[str]) -> None:
    assert recognise_project({name: torch.zeros(1) for name in names}) is None


def test_a_resnet_of_another_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="stages have 2, 2, 2, 2 blocks is none of 50, 101 or 152 layers"):
        recognise(resnet((2, 2, 2, 2)))


def test_an_output_without_tags_is_refused() -> None:
    """A model for one person has as many channels as keypoint types."""
    shapes = [(name, [17, *shape[1:]] if "final_layer" in name else shape) for name, shape in mobilenet_v2()]
    with pytest.raises(ValueError, match="an output of 17 channels has not a heatmap and a tag of each"):
        recognise(shapes)
