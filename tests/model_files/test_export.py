"""Exported networks give what the network gives, and are run by the same code all around."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from associative_embedding import load
from associative_embedding.apps.cli.main import main
from associative_embedding.detection.peak_table import SCORE
from associative_embedding.detection.peaks_in_graph import find_peaks
from associative_embedding.model_files.checkpoint import load_model, save_model
from associative_embedding.model_files.export import export_model
from associative_embedding.model_files.exported_network import ExportedNetwork, load_exported
from associative_embedding.structures.maps import Peaks, final_maps
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.segmentation.settings import MaskDecodeConfig
from associative_embedding.tasks.segmentation.task import SegmentationTask
from support.published_weights import random_weights
from support.tiny import FIGURE, HOURGLASS, TINY_DECODE, tiny_info, tiny_model, tiny_network

pytestmark = pytest.mark.extra

SIZES = [(1, 64, 96), (3, 96, 64)]
POSITION = {"backbone": "mobilenet_v2", "tag_size": 2, "options": {"position": 2}}


def image_of(batch: int, height: int, width: int) -> torch.Tensor:
    rng = np.random.default_rng(height)
    return torch.from_numpy(rng.integers(0, 256, (batch, 3, height, width), dtype=np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of poses, exported with and without peaks; one with a position in its tags; one of masks."""
    pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
    folder = tmp_path_factory.mktemp("export")
    poses = {"task": PoseTask(FIGURE, replace(TINY_DECODE, nms=3, top_k=6)), "input_size": 96}
    tiny_model(folder / "poses.safetensors", **poses)
    tiny_model(folder / "masks.safetensors", task=SegmentationTask(("a", "b"), MaskDecodeConfig(threshold=0.1)))
    tiny_model(folder / "position.safetensors", **{**poses, **POSITION})
    chosen: list[tuple[str, list[str]]] = [("poses", []), ("masks", []), ("position", []), ("poses", ["--with-peaks"])]
    for name, options in chosen:
        target = folder / f"{name}{'-peaks' if options else ''}.onnx"
        assert main(["export", str(folder / f"{name}.safetensors"), "--output", str(target), *options]) == 0
    return folder


@pytest.mark.parametrize("name", ["poses", "masks", "position"])
@pytest.mark.parametrize("size", SIZES)
def test_the_graph_gives_the_networks_maps(name: str, size: tuple[int, int, int], folder: Path) -> None:
    network, info = load_model(folder / f"{name}.safetensors")
    exported, described = load_exported(folder / f"{name}.onnx", "cpu")
    assert described == info
    with torch.inference_mode():
        expected = final_maps(network(image_of(*size)))
    found = exported.predict(image_of(*size).numpy())
    assert isinstance(found, list)
    np.testing.assert_allclose(found[0].heatmap, expected.heatmap, atol=1e-3)
    np.testing.assert_allclose(found[0].tag, expected.tag, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("litepose_xs", {}),
        ("mobilenet_v2_deconv", {"widths": [16, 16, 16]}),
        ("resnet50", {"widths": [16, 16, 16]}),
        ("hourglass", {**HOURGLASS, "norm_first": True}),
    ],
)
def test_the_graph_of_a_published_network_gives_its_maps(
    backbone: str, options: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
    path, target = tmp_path / "model.safetensors", tmp_path / "model.onnx"
    info = tiny_info(backbone, options=options)
    network = info.build().eval()
    shapes = [(name, list(value.shape)) for name, value in network.state_dict().items()]
    network.load_state_dict(random_weights(shapes))
    save_model(path, network, info)
    assert main(["export", str(path), "--output", str(target)]) == 0
    exported, _ = load_exported(target, "cpu")
    for size in SIZES:
        with torch.inference_mode():
            expected = final_maps(network(image_of(*size)))
        found = exported.predict(image_of(*size).numpy())
        assert isinstance(found, list)
        for ours, theirs in ((found[0].heatmap, expected.heatmap), (found[0].tag, expected.tag)):
            torch.testing.assert_close(torch.from_numpy(ours), theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


@pytest.mark.parametrize("size", SIZES)
def test_the_graph_with_peaks_gives_the_networks_peaks(size: tuple[int, int, int], folder: Path) -> None:
    network, _ = load_model(folder / "poses.safetensors")
    exported, _ = load_exported(folder / "poses-peaks.onnx", "cpu")
    with torch.inference_mode():
        maps = final_maps(network(image_of(*size)))
    found = exported.predict(image_of(*size).numpy())
    assert isinstance(found, Peaks)
    assert found.size == tuple(maps.heatmap.shape[1:])
    expected = find_peaks(maps.heatmap, maps.tag, nms=3, top_k=6)
    np.testing.assert_allclose(found.table[..., SCORE], expected[..., SCORE], atol=1e-3)
    assert found.table.nbytes < 20_000  # a few kilobytes


def test_the_same_people_come_out(folder: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    expected = load(folder / "poses.safetensors")(photo, min_score=0)
    assert len(expected)
    found = load(folder / "poses.onnx")(photo, min_score=0)
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=0.05)
    unfilled = load(folder / "poses.safetensors").with_decode(fill=False)(photo, min_score=0)
    peaks = load(folder / "poses-peaks.onnx")(photo, min_score=0)
    np.testing.assert_allclose(peaks.keypoints, unfilled.keypoints, atol=0.05)
    masks = load(folder / "masks.safetensors")(photo, min_score=0), load(folder / "masks.onnx")(photo, min_score=0)
    assert masks[0].masks is not None
    assert masks[1].masks is not None
    assert np.mean(masks[0].masks.labels() != masks[1].masks.labels()) < 0.01


def test_the_command_predicts_with_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 64, 3), 90, np.uint8))
    command = ["predict", str(tmp_path / "a.png"), "--output", str(tmp_path / "out"), "--model"]
    assert main([*command, str(folder / "poses.onnx"), "--scales", "1", "0.5", "--flip"]) == 0
    assert main([*command, str(folder / "poses-peaks.onnx")]) == 0
    assert main([*command, str(folder / "poses-peaks.onnx"), "--flip"]) == 1
    assert main([*command, str(folder / "poses-peaks.onnx"), "--show", "tags"]) == 1
    assert "exported with peaks" in capsys.readouterr().err
    sidecar = json.loads((folder / "poses.json").read_text())
    assert sidecar["associative_embedding"]["skeleton"]["keypoints"] == list(FIGURE.keypoints)
    assert sidecar["network"]["stride"] == 4


def test_the_same_through_openvino(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra [openvino]")
    target = tmp_path / "poses.xml"
    source = str(folder / "poses.safetensors")
    assert main(["export", source, "--format", "openvino", "--output", str(target)]) == 0
    exported, info = load_exported(target, "cpu")
    assert info == load_model(folder / "poses.safetensors")[1]
    reference, _ = load_exported(folder / "poses.onnx", "cpu")
    for size in SIZES:
        found, expected = (run.predict(image_of(*size).numpy()) for run in (exported, reference))
        assert isinstance(found, list)
        assert isinstance(expected, list)
        np.testing.assert_allclose(found[0].heatmap, expected[0].heatmap, atol=1e-3)
        np.testing.assert_allclose(found[0].tag, expected[0].tag, atol=1e-3)
    (tmp_path / "broken.xml").write_text("<no/>")
    with pytest.raises(ValueError, match=r"broken\.xml: not a readable OpenVINO model"):
        load_exported(tmp_path / "broken.xml", "cpu")


def test_values_that_are_not_finite_are_an_error() -> None:
    def broken(image: Any) -> list[Any]:
        return [np.zeros((1, 5, 10), np.float32), np.array([np.nan], np.float32)]

    network = ExportedNetwork(broken, stride=4, multiple=32, channels=5, gives_peaks=True, device="cpu")
    peaks = network.predict(image_of(1, 32, 32).numpy())
    assert isinstance(peaks, Peaks)
    from associative_embedding.structures.geometry import letterbox

    with pytest.raises(ValueError, match="NaN or infinity"):
        PoseTask(FIGURE, DecodeConfig()).decode_peaks(peaks, letterbox((32, 32), 32, multiple=32, stride=4))


@pytest.mark.parametrize(("form", "value"), [("onnx", 1e36), ("onnx", torch.inf), ("openvino", 1e36)])
def test_a_graph_with_peaks_tells_large_maps_from_infinite_ones(form: str, value: float, tmp_path: Path) -> None:
    """The sum of these tags is more than the largest number of single precision, 3.4e38."""
    pytest.importorskip(form, reason=f"needs the extra [{form}]")
    info = tiny_info("mobilenet_v2")
    network = tiny_network(info)
    with torch.no_grad():
        network.body.tag_head[-1].bias.fill_(value)
    model, target = tmp_path / "large.safetensors", tmp_path / f"large.{'onnx' if form == 'onnx' else 'xml'}"
    save_model(model, network, info)
    assert main(["export", str(model), "--with_peaks", "--format", form, "--output", str(target)]) == 0
    photo = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    predictor = load(target)
    if value < torch.inf:
        assert len(predictor(photo, min_score=0)) > 0
        assert len(load(model)(photo, min_score=0)) > 0
    else:
        with pytest.raises(ValueError, match="NaN or infinity"):
            predictor(photo)


def test_what_cannot_be_exported_or_read(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.onnx").write_text("no graph")
    masks = str(folder / "masks.safetensors")
    for command, message in (
        (["export", masks, "--with-peaks", "--output", str(tmp_path / "a.onnx")], "leave --with-peaks out"),
        (["export", masks, "--output", str(tmp_path / "a.bin")], "ends in .onnx"),
        (["export", "single-person", "--with-peaks"], "leave --with-peaks out"),
        (["export", "nobody"], "neither a shipped model"),
        (["predict", "x.jpg", "--model", str(tmp_path / "text.onnx")], ""),
    ):
        assert main(command) == 1
        assert message in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"text\.onnx: not a readable ONNX file"):
        load(tmp_path / "text.onnx")
    with pytest.raises(ValueError, match="neither a shipped model"):
        load(tmp_path / "missing.onnx")
    import onnx

    other = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["a"], ["b"])],
            "g",
            [onnx.helper.make_tensor_value_info("a", 1, [1])],
            [onnx.helper.make_tensor_value_info("b", 1, [1])],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=9,
    )
    (tmp_path / "other.onnx").write_bytes(other.SerializeToString())
    with pytest.raises(ValueError, match="not a model that ae export wrote"):
        load(tmp_path / "other.onnx")


LIMITED = """
import resource, sys
import numpy as np
from pathlib import Path
from associative_embedding.model_files.exported_network import load_exported
network, _ = load_exported(Path(sys.argv[1]), "cpu")
small, large = (np.zeros((1, 3, side, side), np.uint8) for side in (64, 12800))
network.predict(small)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
try:
    network.predict(large)
except MemoryError as error:
    print("MemoryError:", error)
network.predict(small)
print("the next one")
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_too_little_memory_is_an_error_of_python_and_the_next_image_runs(tmp_path: Path, suffix: str) -> None:
    if not Path("/proc/self/statm").is_file():
        pytest.skip("needs Linux")
    pytest.importorskip("openvino", reason="needs the extra [openvino]")
    tiny_model(tmp_path / "m.safetensors")
    export_model(tmp_path / "m.safetensors", str(tmp_path / f"m{suffix}"), "onnx" if suffix == ".onnx" else "openvino")
    command = [sys.executable, "-c", LIMITED, str(tmp_path / f"m{suffix}")]
    done = subprocess.run(command, capture_output=True, text=True)
    first, last = done.stdout.splitlines()
    assert first.startswith("MemoryError: ")
    assert last == "the next one"
    assert done.stderr == ""
