"""ONNX files that `ae export` would not write."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from associative_embedding.model_files.exported_network import SHAPE
from associative_embedding.model_files.model_info import KEY
from support.tiny import tiny_info

SHAPES = {"stride": 4, "multiple": 32, "peaks": False}
INPUT = ("B", 3, "H", "W")


def numbers(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def graph_file(
    nodes: list[onnx.NodeProto], *stored: onnx.TensorProto, image: Any = INPUT, shape: Any = SHAPES, **values: Any
) -> bytes:
    """The content of an ONNX file.

    Args:
        nodes: of the graph, from ``image`` to ``heatmap`` and ``tag``.
        stored: its tensors.
        image: shape of the input.
        shape: the metadata about the network; None = none.
        values: of the description that differ from a tiny model's.
    """
    inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, image)]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("heatmap", "tag")]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializer=list(stored))
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("other", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    description = {**json.loads(tiny_info().to_json()), **values}
    for key, text in {KEY: json.dumps(description), SHAPE: json.dumps(shape)}.items():
        if text != "null":
            entry = model.metadata_props.add()
            entry.key, entry.value = key, text
    return bytes(model.SerializeToString())


def maps(*sizes: tuple[int, ...]) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes that give zeros of a size for each output, whatever the image, and their tensors."""
    nodes, stored = [], []
    for name, size in zip(("heatmap", "tag"), sizes, strict=True):
        stored.append(numbers(f"{name} size", *size))
        nodes.append(helper.make_node("ConstantOfShape", [f"{name} size"], [name]))
    return nodes, stored


def zeros(*sizes: tuple[int, ...], **options: Any) -> bytes:
    nodes, stored = maps(*sizes)
    return graph_file(nodes, *stored, **options)


RIGHT = (1, 5, 16, 16), (1, 5, 2, 16, 16)  # of an image of 64 x 64 pixels


def outside() -> bytes:
    """A graph whose tensor is in another file."""
    nodes, stored = maps(*RIGHT)
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "far")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "/etc/passwd", "offset": "0", "length": "16"}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return graph_file(nodes, *stored, tensor)


def untrue() -> bytes:
    """A stored tensor of four bytes that states a terabyte."""
    nodes, stored = maps(*RIGHT)
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "large")
    tensor.dims[:] = [10**6, 10**6]
    return graph_file(nodes, *stored, tensor)


def branched() -> bytes:
    """A graph in a graph."""
    nodes, stored = maps(*RIGHT)
    inner = helper.make_graph(
        [helper.make_node("Identity", ["heatmap"], ["inner"])],
        "inner",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    yes = numpy_helper.from_array(np.array(True), "yes")
    branch = helper.make_node("If", ["yes"], ["either"], then_branch=inner, else_branch=inner)
    return graph_file([*nodes, branch], *stored, yes)


def resized() -> bytes:
    """The image, enlarged by a million."""
    nodes, stored = maps(*RIGHT)
    factors = numpy_helper.from_array(np.array([1, 1, 1000, 1000], np.float32), "factors")
    steps = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Resize", ["floats", "", "factors"], ["enlarged"]),
    ]
    return graph_file([*nodes, *steps], *stored, factors)


def wrong_graphs() -> dict[str, tuple[bytes, str]]:
    """Name -> content of the file, and a part of the message."""
    foreign = helper.make_node("Run", ["image"], ["x"], domain="other")
    nodes, stored = maps(*RIGHT)
    return {
        "outputs of a terabyte": (zeros((10**4, 10**4, 10**4), RIGHT[1]), "values from its smallest input"),
        "an enlarged image": (resized(), "values from its smallest input"),
        "a stored tensor of a terabyte": (untrue(), "values from its smallest input"),
        "values elsewhere": (outside(), "its values are in another file"),
        "a branch": (branched(), "its operator If is none that ae export writes"),
        "a foreign operator": (graph_file([*nodes, foreign], *stored), "its operator Run is none"),
        "two inputs": (graph_file(nodes, *stored, image=None), "its input is not one image"),
        "no image": (zeros(*RIGHT, image=(1, 7, 64, 64)), "its input is not an image of three colours"),
        "stride 0": (zeros(*RIGHT, shape={**SHAPES, "stride": 0}), "stride must be within 1..64, not 0"),
        "stride 1e9": (zeros(*RIGHT, shape={**SHAPES, "stride": 10**9}), "stride must be within 1..64"),
        "a text": (zeros(*RIGHT, shape={**SHAPES, "stride": "4"}), "stride must be within 1..64, not '4'"),
        "multiple": (zeros(*RIGHT, shape={**SHAPES, "multiple": 10**9}), "multiple must be one of 4 within 1..1024"),
        "odd multiple": (zeros(*RIGHT, shape={**SHAPES, "multiple": 33}), "multiple must be one of 4 within 1..1024"),
        "no numbers": (zeros(*RIGHT, shape={}), "it does not state its stride"),
        "a list": (zeros(*RIGHT, shape=[1]), "it does not state its stride"),
        "nothing": (zeros(*RIGHT, shape=None), "it does not state its stride"),
        "input size": (zeros(*RIGHT, input_size=10**9), "input_size must be at most 4096"),
        "garbage": (b"\x08\x08garbage", "not a readable ONNX file"),
    }
