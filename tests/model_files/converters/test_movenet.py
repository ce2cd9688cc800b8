"""Foreign weights: a synthetic file in the published layout comes out as the state of our network."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional as F

from associative_embedding.apps.cli.main import main
from associative_embedding.model_files.checkpoint import start_from
from associative_embedding.model_files.converters.convert import convert
from associative_embedding.model_files.converters.movenet import ENCODER, LAYERS, balanced, encoder_layers
from associative_embedding.networks.mobilenet_v2 import MobileNetV2, widened
from associative_embedding.networks.zoo import build_network
from associative_embedding.structures.arrays import Array


def movenet_weights(backbone: str = "mobilenet_v2", number: int = 4) -> dict[str, Array]:
    """Random weights under the graph's names, in TensorFlow's layouts, with the shapes of our network.

    Args:
        number: of the heatmap head among all heads; what the graph's layers are called depends on it.
    """
    body = build_network(backbone, 17, 1, {}).body
    rng = np.random.default_rng(0)

    def draw(shape: tuple[int, ...]) -> Array:
        return (rng.normal(size=shape) / math.sqrt(max(1, math.prod(shape[:-1])))).astype(np.float16).astype(np.float32)

    def tensorflow(weight: torch.Tensor, *, depthwise: bool) -> tuple[int, ...]:
        out, into, height, width = weight.shape
        return (height, width, out, into) if depthwise else (height, width, into, out)

    weights: dict[str, Array] = {}
    for ours, theirs in encoder_layers().items():
        layer = body.encoder.get_submodule(ours)
        kind = "depthwise" if theirs.endswith("depthwise") else "Conv2D"
        name = f"StatefulPartitionedCall/{ENCODER}{theirs}/{kind}"
        weights[f"{name}_weights"] = draw(tensorflow(layer.weight, depthwise=kind == "depthwise"))
        weights[f"{name}_bn_offset"] = draw(tuple(layer.bias.shape))
    for ours, theirs in LAYERS.items():
        layer = body.get_submodule(ours)
        name = f"StatefulPartitionedCall/{theirs.replace('*', str(number))}"
        if isinstance(layer, nn.Conv2d):
            weights[f"{name}/Conv2D/ReadVariableOp"] = draw(tensorflow(layer.weight, depthwise=False))
            weights[f"{name}/BiasAdd/ReadVariableOp"] = draw(tuple(layer.bias.shape))
            continue
        inner, pyramid = f"{name}/separable_conv2d", ours.startswith("heatmap_pyramid")
        weights[f"{inner}/ReadVariableOp"] = draw(tensorflow(layer[0].weight, depthwise=True))
        point = draw(tensorflow(layer[1].weight, depthwise=False))
        weights[f"{inner}_weights" if pyramid else f"{inner}/ReadVariableOp_1"] = point
        weights[f"{inner}_bn_offset" if pyramid else f"{name}/BiasAdd/ReadVariableOp"] = draw(
            tuple(layer[1].bias.shape)
        )
    another = "StatefulPartitionedCall/kpt_offset_0/conv2d_9"
    weights |= {f"{another}/Conv2D/ReadVariableOp": draw((3,)), f"{another}/BiasAdd/ReadVariableOp": draw((3,))}
    return weights


def write_tfjs(folder: Path, weights: dict[str, Array], shards: int = 2) -> Path:
    """A TensorFlow.js graph model in half precision, its bytes cut into shards anywhere."""
    entries = [
        {"name": name, "shape": list(value.shape), "dtype": "float32", "quantization": {"dtype": "float16"}}
        for name, value in weights.items()
    ]
    data = b"".join(value.astype(np.float16).tobytes() for value in weights.values())
    names = [f"movenet-{i}.bin" for i in range(shards)]
    size = math.ceil(len(data) / shards)
    for i, name in enumerate(names):
        (folder / name).write_bytes(data[i * size : (i + 1) * size])
    path = folder / "movenet.json"
    path.write_text(json.dumps({"format": "graph-model", "weightsManifest": [{"paths": names, "weights": entries}]}))
    return path


@pytest.fixture
def movenet(tmp_path: Path) -> Path:
    return write_tfjs(tmp_path, movenet_weights())


def test_movenet_fills_the_encoder_and_the_heatmap_branch(movenet: Path, tmp_path: Path) -> None:
    assert (
        main(["convert", str(movenet), "--from", "movenet", "--output", str(tmp_path / "new" / "m.safetensors")]) == 0
    )
    network = build_network("mobilenet_v2", 17, 2, {"position": 2})
    fresh = start_from(network, tmp_path / "new" / "m.safetensors")
    assert fresh
    assert all(name.startswith(("body.tag_pyramid", "body.tag_head")) for name in fresh)


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "number"), [("mobilenet_v2_150", 6), ("mobilenet_v2_175", 4)])
def test_the_wider_movenets_fill_wider_encoders(tmp_path: Path, backbone: str, number: int) -> None:
    """MultiPose, whose heatmap head comes after those of its boxes, and Thunder."""
    output = convert(str(write_tfjs(tmp_path, movenet_weights(backbone, number))), "movenet", str(tmp_path / "m.st"))
    fresh = start_from(build_network(backbone, 17, 2, {}), output)
    assert all(name.startswith(("body.tag_pyramid", "body.tag_head")) for name in fresh)


@torch.inference_mode()
def test_balanced_weights_compute_the_same_and_are_equally_large() -> None:
    rng = np.random.default_rng(0)
    depthwise = rng.normal(size=(5, 1, 3, 3)).astype(np.float32) * 2
    pointwise = rng.normal(size=(7, 5, 1, 1)).astype(np.float32) * np.float32([1e-4, 1e-3, 1, 9, 0])[:, None, None]
    x = torch.from_numpy(rng.normal(size=(1, 5, 8, 9)).astype(np.float32))

    def separable(first: Array, second: Array) -> torch.Tensor:
        return F.conv2d(F.conv2d(x, torch.from_numpy(first), groups=5), torch.from_numpy(second))

    first, second = balanced(depthwise, pointwise)
    torch.testing.assert_close(separable(first, second), separable(depthwise, pointwise))
    sizes = np.sqrt(np.square(first).mean(axis=(1, 2, 3))), np.sqrt(np.square(second).mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(sizes[0][:4], sizes[1][:4], rtol=1e-5)
    assert np.array_equal(first[4], depthwise[4])  # a channel that nothing uses
    assert (second[:, 4] == 0).all()


@torch.inference_mode()
def test_the_heatmaps_of_a_movenet_are_those_of_its_unbalanced_weights(movenet: Path) -> None:
    network = build_network("mobilenet_v2", 17, 0, {}).eval()
    start_from(network, convert(str(movenet), "movenet", str(movenet.with_suffix(".st"))))
    plain = build_network("mobilenet_v2", 17, 0, {}).eval()
    state = network.state_dict()
    weights = {name.removeprefix("StatefulPartitionedCall/"): value for name, value in movenet_weights().items()}
    for ours, theirs in LAYERS.items():
        if f"{theirs.replace('*', '4')}/separable_conv2d/ReadVariableOp" in weights:
            inner = f"{theirs.replace('*', '4')}/separable_conv2d"
            point = weights.get(f"{inner}_weights", weights.get(f"{inner}/ReadVariableOp_1"))
            assert point is not None
            state[f"body.{ours}.0.weight"] = torch.from_numpy(weights[f"{inner}/ReadVariableOp"].transpose(2, 3, 0, 1))
            state[f"body.{ours}.1.weight"] = torch.from_numpy(point.transpose(3, 2, 0, 1))
    plain.load_state_dict(state)
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    assert not torch.equal(plain.body.heatmap_head[0][1].weight, network.body.heatmap_head[0][1].weight)
    torch.testing.assert_close(network(image)[0].heatmap, plain(image)[0].heatmap, rtol=1e-3, atol=1e-5)


def test_a_width_rounds_channels_to_eights() -> None:
    """Section 4 of MobileNetV2, as its reference does; the shapes are those of MoveNet MultiPose and Thunder."""
    assert MobileNetV2(1.5).channels == (24, 40, 48, 96, 1280)
    assert MobileNetV2(1.75).channels == (32, 40, 56, 112, 1280)
    assert [widened(c, 0.1) for c in (16, 320)] == [8, 32]


@torch.inference_mode()
def test_movenet_layers_compute_what_tensorflow_would(movenet: Path) -> None:
    """A layer of each kind against a convolution written out from the original arrays."""
    state = safetensors.torch.load_file(convert(str(movenet), "movenet", str(movenet.with_suffix(".st"))))
    weights = {name.removeprefix("StatefulPartitionedCall/"): value for name, value in movenet_weights().items()}
    x = torch.rand(1, 3, 5, 6)
    dense = weights[f"{ENCODER}Conv1/Conv2D_weights"]
    ours = F.conv2d(x, state["encoder.stem.0.weight"])
    patch = x[0, :, 1:4, 2:5].permute(1, 2, 0).numpy()  # height, width, in
    np.testing.assert_allclose(ours[0, :, 1, 2], np.einsum("hwi,hwio->o", patch, dense), rtol=1e-4, atol=1e-5)
    depth = weights[f"{ENCODER}expanded_conv_depthwise/depthwise_weights"]
    x = torch.rand(1, 32, 5, 6)
    ours = F.conv2d(x, state["encoder.blocks.0.depthwise.0.weight"], groups=32)
    patch = x[0, :, 1:4, 2:5].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours[0, :, 1, 2], np.einsum("hwi,hwi->i", patch, depth[..., 0]), rtol=1e-4, atol=1e-5)


def break_movenet(path: Path, how: str) -> None:
    document = json.loads(path.read_text())
    (group,) = document["weightsManifest"]
    shard = path.parent / "movenet-1.bin"
    match how:
        case "truncated":
            shard.write_bytes(shard.read_bytes()[:-100])
        case "too long":
            shard.write_bytes(shard.read_bytes() + b"123")
        case "missing":
            shard.unlink()
        case "not json":
            path.write_bytes(shard.read_bytes())
        case "other json":
            path.write_text('{"images": []}')
        case "other model":
            group["weights"] = [{**entry, "name": entry["name"].replace("block_3", "b3")} for entry in group["weights"]]
            path.write_text(json.dumps(document))
        case "no shape":
            del group["weights"][0]["shape"]
            path.write_text(json.dumps(document))
        case "repeated":
            group["paths"] = [f"{i}/{name}" for i in range(100_000) for name in group["paths"]]
            path.write_text(json.dumps(document))
        case "negative":
            group["weights"][0]["shape"] = [-1]
            path.write_text(json.dumps(document))
        case "terabytes":
            group["weights"][0]["shape"] = [10**6, 10**6]
            path.write_text(json.dumps(document))
        case "quantised":
            group["weights"][0]["quantization"] = {"dtype": "uint8", "scale": 0.1, "min": 0}
            path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "its weights are truncated at"),
        ("too long", "3 bytes of weights are left over"),
        ("missing", "movenet-1.bin are missing"),
        ("not json", "not a TensorFlow.js graph model"),
        ("other json", "not a TensorFlow.js graph model"),
        ("other model", "is this a MoveNet?"),
        ("no shape", "not a TensorFlow.js graph model"),
        ("repeated", "its weights name a file twice"),
        ("negative", "has the shape [-1]"),
        ("terabytes", "its weights are truncated at"),
        ("quantised", "is stored as uint8, which is not supported"),
    ],
)
def test_a_broken_movenet_is_refused_with_one_line(
    movenet: Path, how: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    break_movenet(movenet, how)
    output = movenet.parent / "out.safetensors"
    assert main(["convert", str(movenet), "--from", "movenet", "--output", str(output)]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"ae: error: {movenet}: ")
    assert message in line
    assert not output.exists()


def test_the_default_output_lies_in_this_folder(movenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert convert(str(movenet), "movenet") == Path("movenet.safetensors")
    assert (tmp_path / "here" / "movenet.safetensors").is_file()
