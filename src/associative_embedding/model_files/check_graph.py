"""Checks an exported graph of unknown origin before a runtime compiles it.

A graph of a kilobyte can state a tensor of any size, and the runtime would compute it, some already while it compiles.
Only shapes that the file itself determines are found here; a file from a stranger is still safer as a model file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

MAX_VALUES = 2**27  # of all tensors that a graph makes from its smallest input; our largest network has a 50th
MAX_STRIDE, MAX_MULTIPLE = 64, 1024  # pixels
COMMON = ("", "ai.onnx")  # domains of ONNX's own operators


class GraphError(ValueError):
    """A graph that `ae export` does not write; the message lacks the file's name."""


def smallest_side(text: str | None) -> int:
    """Returns the side of the smallest input, pixels.

    Args:
        text: the metadata about the network, json.

    Raises:
        GraphError: for a stride or a multiple that no network has, or a word in place of true or false.
    """
    try:
        shape = json.loads(text or "{}")
        stride, multiple, peaks = (shape[key] for key in ("stride", "multiple", "peaks"))
    except (KeyError, TypeError, ValueError, RecursionError):
        raise GraphError("it does not state its stride and its multiple") from None
    if type(stride) is not int or not 1 <= stride <= MAX_STRIDE:
        raise GraphError(f"stride must be within 1..{MAX_STRIDE}, not {stride!r:.60}")
    if type(multiple) is not int or not 1 <= multiple <= MAX_MULTIPLE or multiple % stride:
        raise GraphError(f"multiple must be one of {stride} within 1..{MAX_MULTIPLE}, not {multiple!r:.60}")
    if not isinstance(peaks, bool):
        raise GraphError(f"peaks must be true or false, not {peaks!r:.60}")
    return multiple


def check_onnx(onnx: Any, path: Path, key: str) -> None:
    """Checks the operators and the sizes of an ONNX file.

    Args:
        onnx: the package.
        path: the file.
        key: of the metadata about the network.

    Raises:
        GraphError: for what `ae export` does not write: operators of others, inner graphs, values in other files, an
            input other than an image; or for tensors that are too large.
    """
    document = onnx.load(str(path), load_external_data=False)
    side = smallest_side({entry.key: entry.value for entry in document.metadata_props}.get(key))
    graph = document.graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if len(inputs) != 1 or len(inputs[0].type.tensor_type.shape.dim) != 4 or document.functions:
        raise GraphError("its input is not one image, or it has functions of its own")
    for tensor in tensors_of(graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise GraphError("its values are in another file")
        if len(tensor.raw_data) > 1024:
            tensor.ClearField("raw_data")  # shapes do not depend on weights, and the copy of them would take memory
    for number, (dim, value) in enumerate(zip(inputs[0].type.tensor_type.shape.dim, (1, 3, side, side), strict=True)):
        if number not in (0, 2, 3) and dim.dim_value not in (0, value):
            raise GraphError("its input is not an image of three colours")
        dim.dim_value = value
    inferred = onnx.shape_inference.infer_shapes(document, data_prop=True).graph
    values = [*inferred.value_info, *inferred.output]
    shapes = [[dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values]
    check_total([*shapes, *(list(tensor.dims) for tensor in graph.initializer)], path)


def tensors_of(graph: Any) -> Iterator[Any]:
    """Yields the stored tensors of an ONNX graph.

    Raises:
        GraphError: for operators that are not ONNX's own, or have a graph of their own.
    """
    yield from graph.initializer
    for node in graph.node:
        if node.domain not in COMMON or any(part.HasField("g") or part.graphs for part in node.attribute):
            raise GraphError(f"its operator {node.op_type:.60} is none that ae export writes")
        for part in node.attribute:
            yield from part.tensors
            if part.HasField("t"):
                yield part.t
    if graph.sparse_initializer:
        raise GraphError("it has sparse tensors")


def check_openvino(model: Any, path: Path, text: str | None) -> None:
    """Checks the sizes of an OpenVINO model that is read and not compiled.

    Args:
        model: the model.
        path: its file.
        text: the metadata about the network, json.

    Raises:
        GraphError: for an input that is no image, or tensors that are too large.
    """
    if len(model.inputs) != 1 or model.inputs[0].get_partial_shape().rank.get_length() != 4:
        raise GraphError("its input is not one image")
    side = smallest_side(text)
    small = model.clone()
    small.reshape([1, 3, side, side])
    shapes = [output.get_partial_shape() for node in small.get_ops() for output in node.outputs()]
    check_total(
        [[dim.get_length() for dim in shape if dim.is_static] for shape in shapes if shape.rank.is_static], path
    )


def check_total(shapes: Sequence[Sequence[int]], path: Path) -> None:
    """Checks the number of values of all tensors; a side that is not known counts as 1.

    Raises:
        GraphError: if they are too many.
    """
    total = sum(math.prod(side for side in shape if side > 0) for shape in shapes)
    if total > MAX_VALUES + path.with_suffix(".bin" if path.suffix == ".xml" else path.suffix).stat().st_size:
        raise GraphError(f"it makes {total:.3g} values from its smallest input, which is too many")
