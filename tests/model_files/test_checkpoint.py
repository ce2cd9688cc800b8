"""Model files: what goes in comes out, and whatever else comes in is refused with one line."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from associative_embedding.inference.load import load
from associative_embedding.model_files.checkpoint import load_model, read_torch, read_weights, save_model, start_from
from associative_embedding.model_files.model_info import KEY, ModelInfo
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from support.malicious import Malicious
from support.tiny import HOURGLASS, tiny_info, tiny_network


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, tiny_network(tiny_info()), tiny_info())
    return path


@torch.inference_mode()
def test_a_model_comes_back_as_it_was(file: Path) -> None:
    network, info = load_model(file)
    image = torch.randint(0, 256, (1, 3, 64, 32), dtype=torch.uint8)
    assert info == tiny_info()
    assert not network.training
    torch.testing.assert_close(network(image)[-1].tag, tiny_network(info)(image)[-1].tag)


def test_half_precision_is_half_the_size_and_nearly_the_same(file: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.safetensors"
    network, info = load_model(file)
    save_model(half, network, info, half=True)
    assert half.stat().st_size < 0.7 * file.stat().st_size
    for name, value in load_model(half)[0].state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, network.state_dict()[name], rtol=1e-3, atol=1e-6)


def test_the_description_comes_back_whole() -> None:
    skeleton = Skeleton.build(
        "fly",
        ["head", "wingL", "wingR"],
        [("head", "wingL")],
        oks_sigmas=[0.1, 0.2, 0.2],
        group_order=["wingL", "head", "wingR"],
    )
    info = ModelInfo(
        backbone="hourglass",
        task=PoseTask(skeleton, DecodeConfig(threshold=0.3, score="found", fill=False)),
        input_size=192,
        scales=(1.0, 0.5),
        tag_size=4,
        options={"widths": [8, 8]},
        resize="short",
        enlarge=2,
        notes={"steps": 3, "data": "drawn"},
    )
    assert ModelInfo.from_json(info.to_json()) == info
    assert info.task.skeleton.flip_pairs == (("wingL", "wingR"),)


def test_a_description_without_scales_has_one_and_so_on() -> None:
    """Files of before there were any."""
    values = json.loads(tiny_info().to_json())
    for name in ("scales", "resize", "enlarge"):
        del values[name]
    info = ModelInfo.from_json(json.dumps(values))
    assert (info.scales, info.resize, info.enlarge) == ((1.0,), "long", 1)


@pytest.mark.parametrize("setting", ["tag_distance", "matching", "assignment", "fill_rule"])
def test_a_description_without_a_later_decode_setting_has_its_default(setting: str) -> None:
    values = json.loads(tiny_info().to_json())
    del values["decode"][setting]
    assert ModelInfo.from_json(json.dumps(values)) == tiny_info()
    with pytest.raises(ValueError, match=f"decode.{setting} must be one of"):
        ModelInfo.from_json(json.dumps(values | {"decode": values["decode"] | {setting: "x"}}))


def test_weights_of_another_shape_start_anew(file: Path) -> None:
    network = tiny_network(tiny_info(tag_size=1), seed=5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fresh = start_from(network, file)
    old, _ = read_weights(file)
    assert fresh
    assert all(name.startswith(("body.outputs", "body.merge_outputs")) for name in fresh)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name] if name in fresh else old[name]), name


def test_a_bare_state_starts_a_body(tmp_path: Path) -> None:
    network = tiny_network(tiny_info())
    part = {name: value + 1 for name, value in network.body.state_dict().items() if name.startswith("stem")}
    safetensors.torch.save_file(part, tmp_path / "stem.safetensors")
    start_from(network, tmp_path / "stem.safetensors")
    assert all(torch.equal(network.body.state_dict()[name], value) for name, value in part.items())


@pytest.mark.parametrize("other", ["mobilenet_v2_150", "efficientnet_lite0"])
def test_an_encoder_of_another_backbone_is_an_error(tmp_path: Path, other: str) -> None:
    """Heads and pyramids fit, so that training would begin nearly anew without a word."""
    info = tiny_info(backbone=other, options={})
    save_model(tmp_path / "other.safetensors", tiny_network(info), info)
    own = tiny_network(tiny_info(backbone="mobilenet_v2", options={}))
    message = (
        rf"is of the backbone {other}, and has an encoder of other shapes .* \(\d+ of {len(own.state_dict())} tensors"
    )
    with pytest.raises(ValueError, match=message):
        start_from(own, tmp_path / "other.safetensors")


def test_a_part_of_an_encoder_is_an_error(tmp_path: Path) -> None:
    network = tiny_network(tiny_info(backbone="mobilenet_v2"))
    encoder = {name: v for name, v in network.body.state_dict().items() if name.startswith("encoder.")}
    safetensors.torch.save_file(encoder, tmp_path / "whole.safetensors")
    assert not [name for name in start_from(network, tmp_path / "whole.safetensors") if ".encoder." in name]
    safetensors.torch.save_file(dict(list(encoder.items())[1:]), tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match=r"part\.safetensors: has an encoder of other shapes than this network"):
        start_from(network, tmp_path / "part.safetensors")


def test_stacks_may_differ_and_widths_may_not(tmp_path: Path) -> None:
    one, three = ({**HOURGLASS, "stacks": stacks} for stacks in (1, 3))
    for first, second, anew in ((three, one, False), (one, three, True)):
        info = tiny_info(options=first)
        save_model(tmp_path / "a.safetensors", tiny_network(info), info)
        assert bool(start_from(tiny_network(tiny_info(options=second)), tmp_path / "a.safetensors")) == anew
    wide = tiny_network(tiny_info(options={**HOURGLASS, "widths": [12, 12, 12]}))
    with pytest.raises(
        ValueError, match=r"of the backbone hourglass, and hardly fits this network \(\d+ of \d+ tensors"
    ):
        start_from(wide, tmp_path / "a.safetensors")


def test_nothing_that_fits_is_an_error(tmp_path: Path) -> None:
    safetensors.torch.save_file({"other": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="none of its 1 weights fits this network"):
        start_from(tiny_network(tiny_info()), tmp_path / "other.safetensors")


def with_description(file: Path, text: str | None, drop: str = "") -> bytes:
    state = {name: value for name, value in safetensors.torch.load_file(file).items() if not drop or drop not in name}
    return safetensors.torch.save(state, metadata=None if text is None else {KEY: text})


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(tiny_info().to_json()), **values})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda f: f.read_bytes()[:5000], "not a readable safetensors file"),
        (lambda f: b"", "not a readable safetensors file"),
        (lambda f: b"\xff" * 3000, "not a readable safetensors file"),
        (lambda f: pickle.dumps({"a": 1}), "not a readable safetensors file"),
        (lambda f: with_description(f, None), "not a model of associative-embedding"),
        (lambda f: with_description(f, "{"), "description cannot be read"),
        (lambda f: with_description(f, "[]"), "not of format 1"),
        (lambda f: with_description(f, changed(format=2)), "not of format 1; another version"),
        (lambda f: with_description(f, changed(backbone="vgg")), "unknown backbone 'vgg'"),
        (lambda f: with_description(f, changed(skeleton=3)), "description cannot be read"),
        (lambda f: with_description(f, changed(input_size="big")), "input_size must be a positive integer, not 'big'"),
        (lambda f: with_description(f, changed(input_size=0)), "input_size must be a positive integer, not 0"),
        (lambda f: with_description(f, changed(tag_size=True)), "tag_size must be a positive integer, not True"),
        (lambda f: with_description(f, changed(enlarge=0)), "enlarge must be a positive integer, not 0"),
        (lambda f: with_description(f, changed(resize="wide")), "resize must be 'long' or 'short', not 'wide'"),
        (lambda f: with_description(f, changed(scales=["a"])), "scales must be a list of positive numbers"),
        (lambda f: with_description(f, changed(scales=1)), "scales must be a list of positive numbers"),
        (lambda f: with_description(f, changed(scales=[0])), "scales must be a list of positive numbers"),
        (lambda f: with_description(f, changed(decode=[1])), "decode must be a mapping"),
        (lambda f: with_description(f, changed(options=[1])), "a mapping"),
        (lambda f: with_description(f, changed(task="dance")), "task 'dance' is not known"),
        (lambda f: with_description(f, changed(decode={"nms": 4})), "decode.nms must be odd"),
        (lambda f: with_description(f, changed(decode={"nms": 3.5})), "decode.nms must be a whole number"),
        (lambda f: with_description(f, changed(tag_size=7)), "do not fit their description"),
        (lambda f: with_description(f, tiny_info().to_json(), drop="stem"), "do not fit their description"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_model_is_refused_with_one_line(
    file: Path, tmp_path: Path, content: Any, message: str
) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content(file))
    with pytest.raises(ValueError, match=message) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_description_without_a_skeleton_says_so(file: Path, tmp_path: Path) -> None:
    values = json.loads(tiny_info().to_json())
    del values["skeleton"]
    (tmp_path / "bad.safetensors").write_bytes(with_description(file, json.dumps(values)))
    with pytest.raises(ValueError, match="it has no 'skeleton'"):
        load_model(tmp_path / "bad.safetensors")


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"'persn' is neither a shipped model \(.*person.*\) nor a file"):
        load("persn")


def test_nothing_in_a_torch_file_is_run(tmp_path: Path) -> None:
    proof, path = tmp_path / "proof", tmp_path / "bad.pt"
    torch.save({"a": Malicious(proof)}, path)
    with pytest.raises(ValueError, match="others could run code") as caught:
        read_torch(path)
    assert "\n" not in str(caught.value)
    path.write_bytes(pickle.dumps(Malicious(proof)))
    with pytest.raises(ValueError, match=r"bad\.pt: not a"):
        read_torch(path)
    assert not proof.exists()
