"""What computes the network is chosen by what is installed, and changes no result."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from associative_embedding import load
from associative_embedding.apps.cli.main import main
from associative_embedding.model_files.exported_network import ExportedNetwork
from associative_embedding.model_files.runtime import chosen_runtime, load_network
from associative_embedding.networks.network import Network
from support.tiny import tiny_model

pytestmark = pytest.mark.extra

pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
pytest.importorskip("onnx", reason="needs the extra [onnx]")
CPU = "cpu"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tiny_model(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_the_same_people_whatever_computes(cache: Path) -> None:
    skimage_data = pytest.importorskip("skimage.data", reason="needs scikit-image")
    image = skimage_data.astronaut()
    plain, fast = load("person", runtime="torch", input_size=256), load("person", input_size=256)
    assert isinstance(plain.network, Network)
    assert isinstance(fast.network, ExportedNetwork)
    expected, found = plain(image), fast(image)
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.score, expected.score, atol=1e-3)
    np.testing.assert_allclose(found.tag, expected.tag, atol=1e-3)
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=1e-2)


def test_the_second_look_is_the_same_too(cache: Path) -> None:
    skimage_data = pytest.importorskip("skimage.data", reason="needs scikit-image")
    image = skimage_data.astronaut()
    options: dict[str, Any] = {"refine": "single-person", "input_size": 256, "scales": [1.0]}
    plain, fast = load(runtime="torch", **options), load(runtime="onnx", **options)
    assert fast.refiner is not None
    assert isinstance(fast.refiner.network, ExportedNetwork)
    expected, found = plain(image), fast(image)
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=0.1)  # of hidden keypoints the peaks are flat
    sure = expected.keypoints[:, :, 2] > 0.2
    # Pixels of a photo of 512; without AVX-512 a sum is rounded otherwise, and a wrist is 0.016 away.
    np.testing.assert_allclose(found.keypoints[sure], expected.keypoints[sure], atol=0.05)


def test_auto_is_the_first_that_is_installed(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    installed = {"onnxruntime", "onnx", "openvino"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in installed or None)
    assert chosen_runtime("auto", CPU) == "onnx"
    installed.remove("onnx")
    assert chosen_runtime("auto", CPU) == "openvino"
    installed.clear()
    assert chosen_runtime("auto", CPU) == "torch"
    assert chosen_runtime("onnx", CPU) == "onnx"
    assert chosen_runtime("auto", "cuda:0") == "torch"
    monkeypatch.setenv("AE_RUNTIME", "openvino")
    assert chosen_runtime("auto", CPU) == "openvino"
    assert chosen_runtime("torch", CPU) == "torch"
    with pytest.raises(ValueError, match="--runtime onnx is for the CPU here"):
        chosen_runtime("onnx", "cuda:0")
    monkeypatch.setenv("AE_RUNTIME", "tensorflow")
    with pytest.raises(ValueError, match="runtime 'tensorflow' is none of auto, torch, onnx, openvino"):
        chosen_runtime("auto", CPU)


def test_auto_falls_back_and_a_wish_does_not(cache: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_text("a file, not a folder")
    assert isinstance(load_network(model, CPU, "auto")[0], Network)
    with pytest.raises(OSError, match="cannot write"):
        load_network(model, CPU, "onnx")
    monkeypatch.setenv("AE_CACHE", str(cache.with_name("other")))
    model.write_bytes(b"")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load(model)


def test_the_command(cache: Path, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    photo = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(photo)
    documents: dict[str, Any] = {}
    for name in ("auto", "torch", "onnx"):
        results = tmp_path / f"{name}.json"
        options = ["--model", str(model), "--runtime", name, "--device", "cpu", "--json", str(results)]
        assert main(["predict", str(photo), *options, "--show", "nothing", "--min_score", "0"]) == 0
        documents[name] = json.loads(results.read_text())["annotations"]
        assert bool(list(cache.glob("*.onnx"))) == (name != "torch" or "auto" in documents)
    assert len(documents["torch"]) > 0
    for name in ("auto", "onnx"):
        for found, expected in zip(documents[name], documents["torch"], strict=True):
            np.testing.assert_allclose(found["keypoints"], expected["keypoints"], atol=0.01)
    capfd.readouterr()
    exported = next(cache.glob("*.onnx"))
    assert main(["predict", str(photo), "--model", str(exported), "--runtime", "torch"]) == 1
    assert "was exported for onnx, not for torch" in capfd.readouterr().err
    assert main(["predict", str(photo), "--runtime", "tensorflow"]) == 2
