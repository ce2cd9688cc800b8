"""``ae convert`` without ``--from``: what it recognises, what it says, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from associative_embedding.apps.cli.main import main
from associative_embedding.model_files.checkpoint import load_model
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.networks.hrnet import HigherHRNet, HRNet, HRNetOptions
from associative_embedding.structures.known_skeletons import AIC_14, COCO_17, CROWDPOSE_14, MHP_16, MPII_16
from support.published_layouts import RESNETS, hrnet, litepose, mmpose_hourglass, mobilenet_v2, resnet, scale_layers
from support.published_weights import random_weights

State = dict[str, Tensor]
NARROW = (8, (16, 16, 16, 16), (8, 8, 8))  # a small LitePose


def body(kind: type[HRNet], keypoints: int) -> HRNet:
    return kind(keypoints, keypoints, HRNetOptions(width=4))


def higher_of_mmpose(keypoints: int) -> State:
    return random_weights(hrnet(body(HigherHRNet, keypoints), "mmpose"))


def higher_of_its_authors(keypoints: int) -> State:
    return random_weights(hrnet(body(HigherHRNet, keypoints), "higherhrnet"))


def run(folder: Path, content: Any, *options: str, name: str = "checkpoint.pth") -> int:
    torch.save(content, folder / name)
    return main(["convert", str(folder / name), "--output", str(folder / "model.safetensors"), *options])


def info_of(folder: Path) -> ModelInfo:
    return load_model(folder / "model.safetensors")[1]


LAYOUTS: dict[str, tuple[Callable[[], State], str, str]] = {  # weights, project, backbone
    "higherhrnet": (lambda: higher_of_its_authors(17), "higherhrnet", "higherhrnet_w32"),
    "mmpose": (lambda: higher_of_mmpose(17), "mmpose", "higherhrnet_w32"),
    "mmpose 1.x": (lambda: random_weights(hrnet(body(HRNet, 17), "mmpose 1.x")), "mmpose", "hrnet_w32"),
    "swahr": (lambda: higher_of_its_authors(17) | random_weights(scale_layers(4)), "swahr", "higherhrnet_w32"),
    "hourglass": (lambda: random_weights(mmpose_hourglass((6, 8, 10), (4, 5, 5), 2)), "mmpose", "hourglass"),
    "litepose": (lambda: random_weights(litepose(*NARROW)), "litepose", "litepose_s"),
    "litepose of mmpose": (lambda: random_weights(litepose(*NARROW, style="mmpose")), "mmpose", "litepose_s"),
    "later litepose of mmpose": (lambda: random_weights(litepose(*NARROW, style="module")), "mmpose", "litepose_s"),
    "mobilenet": (lambda: random_weights(mobilenet_v2()), "mmpose", "mobilenet_v2_deconv"),
    "resnet": (lambda: random_weights(resnet(RESNETS[50])), "mmpose", "resnet50"),
}


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_project_is_recognised(tmp_path: Path, layout: str, capfd: pytest.CaptureFixture[str]) -> None:
    weights, project, backbone = LAYOUTS[layout]
    state = weights()
    assert run(tmp_path, {"meta": {}, "state_dict": state}) == 0
    network, info = load_model(tmp_path / "model.safetensors")
    assert (info.backbone, info.task.skeleton, info.notes) == (backbone, COCO_17, {"converted_from": project})
    assert f"checkpoint.pth: {backbone} of {project}, skeleton coco-17" in capfd.readouterr().err
    counts = {name for name in state if "conv_scale_layers" not in name}
    assert len(network.body.state_dict()) == len(counts)


@pytest.mark.slow
def test_weights_in_half_precision_and_without_counters(tmp_path: Path) -> None:
    """As HigherHRNet's wrapper for half precision writes them; files of before torch 0.4.1 lack the counters."""
    state = higher_of_its_authors(17)
    content = {f"1.{name}": value.half() for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert run(tmp_path, content) == 0
    found = load_model(tmp_path / "model.safetensors")[0].body.state_dict()
    assert found["conv1.weight"].dtype == torch.float32
    assert torch.equal(found["conv1.weight"], state["conv1.weight"].half().float())


# --- the data set


def config_of(kind: str) -> dict[str, Any]:
    return {"config": f"data_cfg = dict(\n    image_size=640)\ndata = dict(\n    train=dict(\n        type='{kind}'))"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("meta", "name", "options", "expected", "size"),
    [
        (config_of("BottomUpAicDataset"), "c.pth", [], AIC_14, 640),
        (config_of("BottomUpCrowdPoseDataset"), "c.pth", [], CROWDPOSE_14, 640),
        ({}, "higher_hrnet32_aic_512x512-9a674c33_20210130.pth", [], AIC_14, 512),
        ({}, "litepose_s_crowdpose_448x448-ccd9f2a9_20220714.pth", [], CROWDPOSE_14, 448),
        ({}, "c.pth", ["--skeleton", "aic-14"], AIC_14, 512),
        (config_of("BottomUpAicDataset"), "c.pth", ["--skeleton", "crowdpose-14"], CROWDPOSE_14, 640),
        (config_of("BottomUpAicDataset"), "c.pth", ["--input_size", "384"], AIC_14, 384),
    ],
)
def test_fourteen_keypoints(
    tmp_path: Path, meta: dict[str, Any], name: str, options: list[str], expected: Any, size: int
) -> None:
    assert run(tmp_path, {"meta": meta, "state_dict": higher_of_mmpose(14)}, *options, name=name) == 0
    info = info_of(tmp_path)
    skeleton = info.task.skeleton
    assert (skeleton.keypoints, info.input_size) == (expected.keypoints, size)
    assert skeleton.group_order == skeleton.keypoints  # mmpose groups them in the order of the annotations


def test_fourteen_keypoints_of_an_unknown_data_set_are_asked_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """CrowdPose's mirror pairs and names would be wrong for AI Challenger's model, and nobody would notice."""
    assert run(tmp_path, {"meta": {}, "state_dict": higher_of_mmpose(14)}) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "14 keypoint types are those of crowdpose-14 or aic-14" in line
    assert line.endswith("name one with --skeleton")
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.slow
def test_sixteen_keypoints_of_mmpose_are_of_mhp(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = {"state_dict": random_weights(hrnet(body(HRNet, 16), "mmpose"))}
    assert run(tmp_path, content) == 0
    assert info_of(tmp_path).task.skeleton == MHP_16
    assert "its data set is not known; took mhp-16 for its 16 keypoint types (--skeleton)" in capfd.readouterr().err
    assert run(tmp_path, content, "--skeleton", "mpii-16") == 0
    assert info_of(tmp_path).task.skeleton == MPII_16


@pytest.mark.slow
def test_the_authors_of_higherhrnet_group_in_cocos_order_cut_off(tmp_path: Path) -> None:
    assert run(tmp_path, higher_of_its_authors(14)) == 0
    skeleton = info_of(tmp_path).task.skeleton
    assert skeleton.keypoints == CROWDPOSE_14.keypoints
    assert skeleton.group_index.tolist() == [0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13]


# --- what is not known


@pytest.mark.slow
@pytest.mark.parametrize(
    ("meta", "name", "options", "unknown"),
    [
        ({}, "c.pth", [], ["data set", "input size", "unbiased coordinates"]),
        ({}, "c.pth", ["--skeleton", "coco-17", "--input_size", "512"], ["unbiased coordinates"]),
        ({}, "higher_hrnet32_coco_512x512-8ae85183_20200713.pth", [], []),
        (config_of("BottomUpCocoDataset"), "c.pth", [], []),
        (config_of("MyDataset"), "c.pth", [], ["data set"]),
    ],
)
def test_one_line_for_each_thing_that_is_not_known(
    tmp_path: Path,
    meta: dict[str, Any],
    name: str,
    options: list[str],
    unknown: list[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(tmp_path, {"meta": meta, "state_dict": higher_of_mmpose(17)}, *options, name=name) == 0
    first, *lines = capfd.readouterr().err.splitlines()
    assert first.startswith(f"ae: {tmp_path / name}: higherhrnet_w32 of mmpose, skeleton coco-17, input size ")
    assert len(lines) == len(unknown)
    for line, words in zip(lines, unknown, strict=True):
        assert words in line
        assert "not known" in line


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ({"fc.weight": torch.zeros(3)}, [], "its tensors have the names of none of pose-ae, higherhrnet, mmpose, "),
        ({"fc.weight": torch.zeros(3)}, ["--from", "swahr"], "not a checkpoint of swahr: it has no 'final_layers.0"),
        (
            random_weights(litepose(*NARROW)),
            ["--from", "mmpose"],
            "not a checkpoint of mmpose: its tensors have the names of litepose; leave --from out",
        ),
        (
            random_weights(litepose(*NARROW)),
            ["--skeleton", "aic-14"],
            "a skeleton of 14 keypoints does not fit its 17 keypoint types",
        ),
        (random_weights(litepose(*NARROW)), ["--skeleton", "coco"], "skeleton 'coco' is neither one of coco-17, "),
        (random_weights(litepose(*NARROW)), ["--input_size", "0"], "input_size must be at least 1, not 0"),
        (random_weights(litepose(*NARROW, keypoints=5)), [], "5 keypoint types are neither COCO's nor CrowdPose's"),
        (
            {k: v for k, v in random_weights(litepose(*NARROW)).items() if k != "deconv_bnrelu.1.0.bias"},
            [],
            "these are not the weights of a network of litepose: missing: fusions.1.norm.bias",
        ),
        (
            random_weights(litepose(*NARROW)) | {"stage.3.9.inv.2.weight": torch.zeros(3)},
            [],
            "left over: stage.3.9.inv.2.weight",
        ),
        (
            {f"{'module.' * i}{k}": v for i in (0, 1) for k, v in random_weights(litepose(*NARROW)).items()},
            [],
            "several of its tensors are first.0.0.weight of the network",
        ),
        (
            random_weights(litepose(*NARROW)) | random_weights(litepose(*NARROW, style="module")),
            [],
            "several of its tensors are deconv_refined.0.weight of the network",
        ),
        (
            {k: v.to(torch.int8) for k, v in random_weights(litepose(*NARROW)).items()},
            [],
            "no floats: stem.0.conv.weight torch.int8, ",
        ),
        ({}, ["--from", "movenet", "--input_size", "256"], "movenet is an encoder and has no input_size"),
    ],
)
def test_what_does_not_fit_is_refused_with_one_line(
    tmp_path: Path, content: State, options: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, content, *options) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "model.safetensors").exists()


def test_a_json_is_a_movenet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.json").write_text("{}")
    assert main(["convert", str(tmp_path / "model.json"), "--output", str(tmp_path / "model.safetensors")]) == 1
    assert "not a TensorFlow.js graph model" in capfd.readouterr().err
