"""Exported graphs without paddings of their own before convolutions: the same bits, and what must stay stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from associative_embedding.model_files.export import MapsGraph, to_onnx
from associative_embedding.model_files.exported_network import OPSET
from associative_embedding.model_files.fold_padding import constant, fold_padding
from associative_embedding.networks.zoo import build_network
from associative_embedding.structures.arrays import Array

pytestmark = pytest.mark.extra
onnx = pytest.importorskip("onnx", reason="needs the extra [onnx]")


def run(document: Any, image: Array) -> list[Array]:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
    session = onnxruntime.InferenceSession(document.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(values) for values in session.run(None, {"image": image})]


def paddings(document: Any) -> list[str]:
    return [node.name for node in document.graph.node if node.op_type == "Pad"]


@pytest.mark.parametrize(("backbone", "left"), [("mobilenet_v2", 0), ("efficientnet_lite0", 0), ("litepose_xs", 0)])
def test_networks_with_padding_of_tensorflow_give_the_same_bits_without_it(backbone: str, left: int) -> None:
    torch.manual_seed(0)
    network = build_network(backbone, 3, 1, {}).eval()
    document = onnx.load_model_from_string(to_onnx(MapsGraph(network), network, False))
    before = len(paddings(document))
    image = np.random.default_rng(0).integers(0, 255, (2, 3, 64, 128), dtype=np.uint8)
    expected = run(document, image)
    fold_padding(document.graph)
    onnx.checker.check_model(document)
    assert len(paddings(document)) == left
    assert before > 0 or backbone == "litepose_xs"  # which pads both sides alike
    for got, want in zip(run(document, image), expected, strict=True):
        assert np.array_equal(got, want)


def graph_of(pads: list[int] | None, *, readers: int = 1, value: float | None = None) -> Any:
    """``image`` -> padded -> one or more convolutions; without `pads`, they are the second input of the graph."""
    helper, kind = onnx.helper, onnx.TensorProto
    inputs = [helper.make_tensor_value_info("image", kind.FLOAT, [1, 1, 4, 4])]
    weights = [helper.make_tensor("weight", kind.FLOAT, [1, 1, 3, 3], [float(i) for i in range(9)])]
    names = ["image", "pads"]
    if pads is None:
        inputs.append(helper.make_tensor_value_info("pads", kind.INT64, [8]))
    else:
        weights.append(helper.make_tensor("pads", kind.INT64, [8], pads))
    if value is not None:
        names.append("value")
        weights.append(helper.make_tensor("value", kind.FLOAT, [], [value]))
    nodes = [helper.make_node("Pad", names, ["padded"])]
    nodes += [helper.make_node("Conv", ["padded", "weight"], [f"out{i}"], pads=[1, 0, 0, 0]) for i in range(readers)]
    outputs = [helper.make_tensor_value_info(f"out{i}", kind.FLOAT, None) for i in range(readers)]
    graph = helper.make_graph(nodes, "padded", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def test_padding_is_added_to_that_of_the_convolution() -> None:
    document, image = graph_of([0, 0, 0, 2, 0, 0, 1, 1]), np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    expected = run(document, image)
    fold_padding(document.graph)
    (node,) = document.graph.node
    assert list(node.attribute[0].ints) == [1, 2, 1, 1]
    assert np.array_equal(run(document, image), expected)


@pytest.mark.parametrize(
    "document",
    [
        graph_of(None),
        graph_of([0, 0, 0, 0, 0, 0, 1, 1], readers=2),
        graph_of([0, 0, 0, 0, 0, 0, 1, 1], value=1.0),
        graph_of([0, 0, 0, 0, 0, 0, -1, 1]),
        graph_of([0, 1, 0, 0, 0, 0, 1, 1]),
    ],
    ids=["no constant", "two readers", "not zeros", "crops", "channels"],
)
def test_other_paddings_stay(document: Any) -> None:
    fold_padding(document.graph)
    assert paddings(document)


def test_a_tensor_that_depends_on_the_image_is_no_constant() -> None:
    document = graph_of([0, 0, 0, 0, 0, 0, 1, 1])
    assert constant(document.graph, "padded") is None
    assert constant(document.graph, "pads").tolist() == [0, 0, 0, 0, 0, 0, 1, 1]  # type: ignore[union-attr]
