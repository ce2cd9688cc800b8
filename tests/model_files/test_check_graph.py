"""Exported graphs of others: what is not as `ae export` writes it is one line, before it is compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from associative_embedding.model_files.export import export_model
from associative_embedding.model_files.exported_network import ExportedNetwork, load_exported
from support.memory import measured
from support.tiny import tiny_model

pytestmark = pytest.mark.extra

READ = """
import torch
from pathlib import Path
from associative_embedding.model_files.exported_network import load_exported
for path in map(Path, sys.argv[1:]):
    try:
        load_exported(path, "cpu")
    except ValueError as error:
        print(error)
"""


@pytest.mark.slow
def test_graphs_that_ask_for_gigabytes_or_lie_are_one_line(tmp_path: Path) -> None:
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    from support.graphs import RIGHT, wrong_graphs, zeros

    (tmp_path / "good.onnx").write_bytes(zeros(*RIGHT))
    graphs = wrong_graphs()
    for name, (content, _) in graphs.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
    idle = measured(READ, tmp_path / "good.onnx")
    assert idle.output == ""
    done = measured(READ, *(tmp_path / f"{name}.onnx" for name in graphs))
    lines = done.output.splitlines()
    assert len(lines) == len(graphs), done.errors
    for line, (name, (_, message)) in zip(lines, graphs.items(), strict=True):
        assert line.startswith(f"{tmp_path / name}.onnx: ")
        assert message in line
    assert done.megabytes < idle.megabytes + 200


def gives(*shapes: tuple[int, ...]) -> Any:
    return lambda image: [np.zeros(shape, np.float32) for shape in shapes]


@pytest.mark.parametrize(
    ("shapes", "peaks"),
    [
        ([(1, 5, 16, 16)], False),  # of another stride
        ([(1, 6, 8, 8)], False),
        ([(2, 5, 8, 8)], False),
        ([(5, 8, 8)], False),
        ([(1, 5, 8, 8), (1, 5, 2, 8, 4)], False),
        ([(1, 5, 8, 8), (1, 4, 2, 8, 8)], False),
        ([(1, 5, 8, 8), (1, 5, 8, 8)], False),
        ([(1, 5, 8, 8), (1, 5, 1, 8, 8), (1, 4, 16, 16)], False),
        ([(1, 10, 6), (1,)], True),
        ([(1, 9, 8), (1,)], True),
        ([(1, 10, 8)], True),
        ([(1, 10, 8), (2,)], True),
    ],
)
def test_outputs_of_other_shapes_are_an_error(shapes: list[tuple[int, ...]], peaks: bool) -> None:
    network = ExportedNetwork(gives(*shapes), stride=4, multiple=32, channels=5, gives_peaks=peaks)
    with pytest.raises(ValueError, match=r"the exported network gives .* not the 5 maps that it states"):
        network.predict(np.zeros((1, 3, 32, 32), np.uint8))


@pytest.mark.parametrize("place", [(5, 1, 1), (-1, 1, 1), (1, 8, 1), (1, 1, -2), (1e9, 1, 1), (float("nan"), 1, 1)])
def test_peaks_outside_of_the_map_are_an_error(place: tuple[float, ...]) -> None:
    table = np.zeros((1, 10, 8), np.float32)
    table[0, 3, :3] = place
    run = lambda image: [table, np.zeros(1, np.float32)]  # noqa: E731
    network = ExportedNetwork(run, stride=4, multiple=32, channels=5, gives_peaks=True)
    with pytest.raises(ValueError, match="not the 5 maps that it states"):
        network.predict(np.zeros((1, 3, 32, 32), np.uint8))


@pytest.mark.slow
def test_openvino_files_that_lie_are_one_line(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    model = tiny_model(tmp_path / "a.safetensors", backbone="mobilenet_v2")
    export_model(Path(model), str(tmp_path / "a.xml"), "openvino")
    text = (tmp_path / "a.xml").read_text()
    changes = {
        "stride": (r"&quot;stride&quot;: 4", r"&quot;stride&quot;: 0", "stride must be within 1..64, not 0"),
        "multiple": (r"&quot;multiple&quot;: 32", r"&quot;multiple&quot;: 10000000", "multiple must be one of 4"),
        "input": ('shape="?,3,?,?"', 'shape="?,300000,?,?"', "not a readable OpenVINO model"),
        "padding": ('pads_begin="1, 1"', 'pads_begin="1000000, 1000000"', "values from its smallest input"),
        "constant": ('shape="1, 3, 1, 1"', 'shape="1000000, 1000000"', "not a readable OpenVINO model"),
        "cut": (text[len(text) // 2 :], "", "not a readable OpenVINO model"),
    }
    paths = []
    for name, (old, new, _) in changes.items():
        assert old in text
        paths.append(tmp_path / f"{name}.xml")
        paths[-1].write_text(text.replace(old, new, 1))
        paths[-1].with_suffix(".bin").write_bytes((tmp_path / "a.bin").read_bytes())
    lines = measured(READ, tmp_path / "a.xml", *paths).output.splitlines()
    assert len(lines) == len(changes)
    for line, path, (_, _, message) in zip(lines, paths, changes.values(), strict=True):
        assert line.startswith(f"{path}: ")
        assert message in line


def test_the_graphs_that_we_export_pass(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model = tiny_model(tmp_path / "a.safetensors", backbone="mobilenet_v2")
    export_model(Path(model), str(tmp_path / "a.onnx"), "onnx", with_peaks=True)
    network, _ = load_exported(tmp_path / "a.onnx", "cpu")
    network.predict(np.zeros((2, 3, 64, 32), np.uint8))
