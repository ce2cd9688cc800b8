"""Other projects' checkpoints: a file in the published layout becomes a model that computes and decodes the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from associative_embedding.apps.cli.main import main
from associative_embedding.model_files.checkpoint import load_model
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.networks.hrnet import IMAGENET_MEAN, IMAGENET_STD, HigherHRNet, HRNet, HRNetOptions
from associative_embedding.networks.network import Network
from associative_embedding.structures.known_skeletons import COCO_17, CROWDPOSE_14, MPII_16
from associative_embedding.structures.maps import final_maps
from support.malicious import Malicious
from support.published_layouts import mmpose_hourglass
from support.published_weights import fill_by_name, official_shapes, random_weights
from support.tiny import photo

State = dict[str, Tensor]
LEVELS = (6, 8, 10)  # widths of mmpose's small hourglass


def converted(folder: Path, content: Any, project: str, *options: str) -> tuple[Network, ModelInfo]:
    """What ``ae convert`` makes of a checkpoint with this content."""
    path, output = folder / "checkpoint.pth", folder / "model.safetensors"
    torch.save(content, path)
    assert main(["convert", str(path), "--from", project, "--output", str(output), *options]) == 0
    return load_model(output)


def raw(network: Network, image: Tensor) -> Tensor:
    """The last output's channels as published, ``(B, 2 K, h, w)``, of an image in 0..255."""
    with torch.inference_mode():
        maps = network(image)[-1]
    return torch.cat([maps.heatmap, maps.tag.flatten(1, 2)], dim=1)


# --- pose-ae-train


def pose_ae_state(shared: Path) -> State:
    """The golden network, with the published number of outputs: 34 more, that say nothing."""
    shapes = official_shapes(shared, "posenet_small")
    state = {f"model.module.{name}": fill_by_name(name, shape) for name, shape in shapes}
    for name, value in state.items():
        if ".outs." in name:
            state[name] = torch.cat([value, torch.zeros(34, *value.shape[1:])])
        elif "merge_preds" in name and name.endswith("weight"):
            state[name] = torch.cat([value, torch.rand(len(value), 34, 1, 1)], dim=1)
    return state


@pytest.mark.slow
def test_pose_ae_computes_as_published(shared: Path, tmp_path: Path) -> None:
    arrays = np.load(shared / "reference" / "goldens" / "posenet_small.npz")
    content = {"state_dict": pose_ae_state(shared), "optimizer": {"state": {}}, "epoch": 3}
    network, info = converted(tmp_path, content, "pose-ae")
    image = torch.from_numpy(arrays["x"]).permute(0, 3, 1, 2) * 255
    expected = arrays["y"][:, -1]
    np.testing.assert_allclose(raw(network, image), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert info.task.skeleton == COCO_17
    assert info.options["extra_outputs"] == 34
    assert info.options["widths"] == [16, 24, 152, 280, 408]
    assert (info.input_size, info.resize, info.enlarge) == (512, "long", 1)
    decode = info.task.decode_config
    assert (decode.nms, decode.threshold, decode.tag_distance, decode.matching) == (3, 0.1, "rms", "rounded")
    assert info.notes == {"converted_from": "pose-ae"}


# --- HigherHRNet


@pytest.mark.slow
def test_higherhrnet_computes_as_published(shared: Path, tmp_path: Path) -> None:
    """Heatmaps are the mean of both outputs, tags the first one's, enlarged."""
    arrays = np.load(shared / "reference" / "goldens" / "higherhrnet_w32_fillbyname.npz")
    shapes = official_shapes(shared, "higherhrnet_w32")
    network, info = converted(
        tmp_path, {f"1.{name}": fill_by_name(name, shape, gain=1) for name, shape in shapes}, "higherhrnet"
    )
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.inference_mode():
        maps = final_maps(network(torch.from_numpy(arrays["x"]) * std + mean))
    coarse, fine = torch.from_numpy(arrays["y0"]), torch.from_numpy(arrays["y1"])
    coarse = F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
    for ours, theirs in ((maps.heatmap, (coarse[:, :17] + fine) / 2), (maps.tag[:, :, 0], coarse[:, 17:])):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))
    assert (info.backbone, info.options) == ("higherhrnet_w32", {})
    assert (info.input_size, info.resize, info.enlarge) == (512, "short", 2)
    decode = info.task.decode_config
    assert (decode.nms, decode.threshold, decode.tag_distance, decode.matching) == (5, 0.1, "l2", "rounded")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [HRNet, HigherHRNet])
@pytest.mark.parametrize("layout", ["bare", "module", "checkpoint", "mmpose", "mmpose 1.x", "old"])
def test_layouts_of_hrnet_files(tmp_path: Path, kind: type[HRNet], layout: str) -> None:
    torch.manual_seed(0)
    body = kind(14, 14, HRNetOptions(width=4)).eval()
    state, project = body.state_dict(), "mmpose" if "mmpose" in layout else "higherhrnet"
    content: Any = state
    match layout:
        case "module":
            content = {f"module.{name}": value for name, value in state.items()}
        case "checkpoint":
            content = {"epoch": 3, "state_dict": state, "perf": 0.5, "optimizer": {}}
        case "mmpose" | "mmpose 1.x":
            content = {"meta": {"epoch": 3}, "state_dict": mmpose_names(state, layout, kind)}
        case "old":  # of before torch 0.4.1
            content = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    network, info = converted(tmp_path, content, project, "--skeleton", "crowdpose-14")
    assert info.task.skeleton.keypoints == CROWDPOSE_14.keypoints
    assert info.enlarge == network.stride == kind.stride
    assert info.options == {"width": 4}
    found = network.body.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in state.items())


def mmpose_names(state: State, layout: str, kind: type[HRNet]) -> State:
    head = "keypoint_head" if layout == "mmpose" else "head"

    def theirs(name: str) -> str:
        if not name.startswith(("final_layers", "deconv_layers")):
            return f"backbone.{name}"
        return f"{head}.{name if kind is HigherHRNet else name.replace('final_layers.0', 'final_layer')}"

    return {theirs(name): value for name, value in state.items()}


@pytest.mark.slow
def test_width_48_is_recognised(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = HRNet(17, 17, HRNetOptions(width=48)).state_dict()
    state = {name: torch.zeros(value.shape, dtype=value.dtype) for name, value in shapes.items()}
    _, info = converted(tmp_path, state, "higherhrnet")
    assert (info.backbone, info.options) == ("hrnet_w48", {})


# --- mmpose's hourglass


def mmpose_hourglass_state(keypoints: int = 17) -> State:
    """Random weights in the names and shapes of HourglassAENet: two stacks, small."""
    return random_weights(mmpose_hourglass(LEVELS, (4, 5, 5), stacks=2, keypoints=keypoints))


def compute_mmpose_hourglass(state: State, image: Tensor) -> Tensor:
    """The last output, convolution by convolution: conv, batch norm, ReLU."""

    def layer(name: str, x: Tensor, *, stride: int = 1, relu: bool = True) -> Tensor:
        conv, norm = f"backbone.{name}.conv", f"backbone.{name}.bn"
        weight = state[f"{conv}.weight"]
        x = F.conv2d(x, weight, state.get(f"{conv}.bias"), stride, padding=weight.shape[-1] // 2)
        if f"{norm}.weight" in state:
            x = F.batch_norm(
                x, *(state[f"{norm}.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias"))
            )
        return F.relu(x) if relu else x

    def hourglass(name: str, x: Tensor) -> Tensor:
        deeper = f"backbone.{name}.low2.up1.conv.weight" in state
        low = layer(f"{name}.low1", F.max_pool2d(x, 2))
        low = hourglass(f"{name}.low2", low) if deeper else layer(f"{name}.low2", low)
        return layer(f"{name}.up1", x) + F.interpolate(layer(f"{name}.low3", low), scale_factor=2.0)

    x = layer("stem.1", layer("stem.0", image, stride=2))
    x = layer("stem.4", layer("stem.3", F.max_pool2d(x, 2)))
    for stack in (0, 1):
        name = f"hourglass_modules.{stack}"
        features = layer(f"{name}.2", layer(f"{name}.1", hourglass(f"{name}.0", x)))
        output = layer(f"out_convs.{stack}", features, relu=False)
        if not stack:
            x = (
                x
                + layer("remap_out_convs.0", output, relu=False)
                + layer("remap_feature_convs.0", features, relu=False)
            )
    return output


def test_mmpose_hourglass_computes_as_published(tmp_path: Path) -> None:
    """With batch norm between convolution and ReLU."""
    state = mmpose_hourglass_state()
    network, info = converted(tmp_path, {"meta": {}, "state_dict": state}, "mmpose")
    image = torch.randint(0, 256, (1, 3, 64, 96)).float()
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
    expected = compute_mmpose_hourglass(state, (image - mean) / std)
    torch.testing.assert_close(raw(network, image), expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))
    assert info.options["widths"] == list(LEVELS)
    assert (info.resize, info.enlarge) == ("short", 4)


# --- using them, and refusing what they are not


@pytest.mark.slow
@pytest.mark.parametrize("project", ["higherhrnet", "mmpose"])
def test_a_converted_model_predicts(tmp_path: Path, project: str) -> None:
    torch.manual_seed(0)
    state = mmpose_hourglass_state() if project == "mmpose" else HigherHRNet(17, 17, HRNetOptions(width=4)).state_dict()
    for name in ("backbone.out_convs.1.conv.bias", "final_layers.0.bias", "final_layers.1.bias"):
        if name in state:
            state[name][:17] += 0.3  # over the threshold
    converted(tmp_path, state, project)
    cv2.imwrite(str(tmp_path / "photo.png"), photo(60, 90))
    arguments = ["predict", str(tmp_path / "photo.png"), "--model", str(tmp_path / "model.safetensors")]
    arguments += ["--json", str(tmp_path / "found.json"), "--input_size", "64", "--min_score", "0", "--flip"]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())["annotations"]
    assert found
    keypoints = np.array([row["keypoints"] for row in found]).reshape(-1, 3)
    seen = keypoints[keypoints[:, 2] > 0]
    # Published code finds keypoints in the black borders, too: 64 x 128 pixels, of which the image has 64 x 96.
    assert (seen[:, :2] >= [-16, -1]).all()
    assert (seen[:, :2] <= [106, 61]).all()


def test_a_skeleton_can_be_named(tmp_path: Path) -> None:
    _, info = converted(tmp_path, mmpose_hourglass_state(16), "mmpose", "--skeleton", "mpii-16")
    assert info.task.skeleton == MPII_16


def broken(how: str, proof: Path) -> Any:
    state = HRNet(17, 17, HRNetOptions(width=4)).state_dict()
    match how:
        case "malicious":
            return {"state_dict": state, "epoch": Malicious(proof)}
        case "no tensors":
            return {"state_dict": {"epoch": 3}}
        case "a list":
            return [state["conv1.weight"]]
        case "empty":
            return {}
        case "another network":
            return {"fc.weight": torch.zeros(3, 3)}
        case "missing":
            return {name: value for name, value in state.items() if "stage3.2" not in name}
        case "left over":
            return state | {"aux.weight": torch.zeros(3)}
        case "another shape":
            return state | {"conv2.weight": torch.zeros(64, 64, 1, 1)}
        case "a scalar":
            return state | {"final_layers.0.weight": torch.tensor(3.0)}
    return HRNet(16, 16, HRNetOptions(width=4)).state_dict()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("malicious", "not a torch file of tensors and plain values; others could run code"),
        ("no tensors", "neither a state_dict of tensors nor a checkpoint that holds one"),
        ("a list", "neither a state_dict of tensors"),
        ("empty", "neither a state_dict of tensors"),
        ("another network", "not a checkpoint of higherhrnet: it has no 'final_layers.0.weight'"),
        ("missing", "missing: stage3.2.branches.0.0.conv1.weight, "),
        ("left over", "left over: aux.weight"),
        ("another shape", "another shape: conv2.weight (64, 64, 1, 1), not (64, 64, 3, 3)"),
        ("a scalar", "not a checkpoint of higherhrnet: a tensor is of a shape that it never has"),
        ("sixteen", "16 keypoint types are neither COCO's nor CrowdPose's: name the skeleton"),
    ],
)
def test_what_does_not_fit_is_refused_with_one_line(
    tmp_path: Path, how: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path, output, proof = tmp_path / "c.pth", tmp_path / "m.safetensors", tmp_path / "proof"
    torch.save(broken(how, proof), path)
    assert main(["convert", str(path), "--from", "higherhrnet", "--output", str(output)]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"ae: error: {path}: ")
    assert message in line
    assert not proof.exists()
    assert not output.exists()


def test_an_encoder_has_no_skeleton(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lite0.pth"
    path.write_bytes(b"")
    assert main(["convert", str(path), "--from", "efficientnet-lite0", "--skeleton", "coco-17"]) == 1
    assert "is an encoder and has no skeleton" in capfd.readouterr().err
