"""``ae export``: a model's network as an ONNX graph or for OpenVINO, with all that its user must know in the file."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor, nn

from associative_embedding.detection.peaks_in_graph import peak_table
from associative_embedding.io.files import atomic_write, write_json
from associative_embedding.io.optional_packages import need
from associative_embedding.model_files.checkpoint import KEY, ModelInfo, load_model
from associative_embedding.model_files.exported_network import SHAPE
from associative_embedding.networks.network import Network, final_maps
from associative_embedding.tasks.pose.task import PoseTask

Format = Literal["onnx", "openvino"]
OPSET = 17
TILES = 4  # multiples of the network's smallest input in the example that is traced


class MapsGraph(nn.Module):
    """Image -> heatmap ``(B, C, h, w)`` and tag ``(B, C, D, h, w)`` that are decoded."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps = final_maps(self.network(image))
        return maps.heatmap, maps.tag


class HeatmapGraph(MapsGraph):
    """Image -> heatmap ``(B, C, h, w)`` alone, of a network without tags."""

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.network(image)[-1].heatmap,)


class PeaksGraph(MapsGraph):
    """Image -> table of peaks ``(B, C top_k, 6 + D)`` and the sum of the maps ``(B,)``; see `detect.peak_table`."""

    def __init__(self, network: Network, nms: int, top_k: int) -> None:
        super().__init__(network)
        self.nms, self.top_k = nms, top_k

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        heatmap, tag = super().forward(image)
        total = heatmap.flatten(1).sum(dim=1) + tag.flatten(1).sum(dim=1)
        return peak_table(heatmap, tag, nms=self.nms, top_k=self.top_k), total


def export_model(model: Path, target: str | None, form: Format, *, with_peaks: bool = False) -> list[Path]:
    """Write the exported network and a sidecar ``.json`` with what it means.

    The graph takes ``image``, ``(B, 3, H, W)`` uint8 RGB of any batch and size (multiples of the network's own), and
    normalises it itself.

    Args:
        model: a model file.
        target: file to write; None = the model's name in this folder.
        form: "onnx" gives ``.onnx``, "openvino" ``.xml`` and ``.bin``.
        with_peaks: maximum filter, top k and tag look-up are part of the graph, for poses.

    Returns:
        the files written.

    Raises:
        ValueError: for a model that cannot be exported so, or a missing extra.
        OSError: when it cannot be written.
    """
    converter = need("openvino", "openvino", "exporting") if form == "openvino" else None
    if converter is None:
        need("onnx", "onnx", "exporting")
    network, info = load_model(model)
    if with_peaks and (not isinstance(info.task, PoseTask) or info.enlarge > 1 or not info.tag_size):
        raise ValueError(f"{model}: peaks are of poses at the maps' own size; leave --with-peaks out")
    suffix = ".xml" if form == "openvino" else ".onnx"
    path = Path(target or model.with_suffix(suffix).name)
    if path.suffix.lower() != suffix:
        raise ValueError(f"{path}: the format {form} is written to a file that ends in {suffix}")
    notes = describe(network, info, with_peaks)
    graph = graph_of(network, info, with_peaks)
    with tempfile.TemporaryDirectory() as folder:
        onnx_file = Path(folder) / "model.onnx"
        to_onnx(graph, network, onnx_file, with_peaks)
        files = (
            write_onnx(onnx_file, path, notes)
            if converter is None
            else write_openvino(converter, onnx_file, path, notes)
        )
    sidecar = path.with_suffix(".json")
    write_json(sidecar, {key: json.loads(text) for key, text in notes.items()})
    return [*files, sidecar]


def graph_of(network: Network, info: ModelInfo, with_peaks: bool) -> MapsGraph:
    if not with_peaks:
        return MapsGraph(network) if info.tag_size else HeatmapGraph(network)
    assert isinstance(info.task, PoseTask)
    config = info.task.decode_config
    return PeaksGraph(network, config.nms, config.top_k)


def describe(network: Network, info: ModelInfo, with_peaks: bool) -> dict[str, str]:
    """Skeleton or classes, decode settings, input size and normalisation (inside the graph), as json texts."""
    shape = {
        "stride": network.stride,
        "multiple": network.multiple,
        "peaks": with_peaks,
        "input": "image (B, 3, H, W) uint8 RGB; the graph normalises",
    }
    return {KEY: info.to_json(), SHAPE: json.dumps(shape)}


def to_onnx(graph: MapsGraph, network: Network, path: Path, with_peaks: bool) -> None:
    """Write the graph as an ONNX file, for any batch and size.

    By torch's tracing exporter: it is there in all versions of torch from 2.4 on and takes seconds; the newer one, by
    `torch.export`, takes minutes for the same graph (docs/performance.md).
    """
    side = TILES * network.multiple
    example = torch.zeros(2, 3, side, side + network.multiple, dtype=torch.uint8)
    names = ["peaks", "total"] if with_peaks else ["heatmap", "tag"][: 1 if isinstance(graph, HeatmapGraph) else 2]
    axes = {"image": {0: "batch", 2: "rows", 3: "columns"}, **{name: {0: "batch"} for name in names}}
    if not with_peaks:
        axes["heatmap"] |= {2: "map_rows", 3: "map_columns"}
    if "tag" in names:
        axes["tag"] |= {3: "map_rows", 4: "map_columns"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.eval(),
            (example,),
            str(path),
            dynamo=False,
            input_names=["image"],
            output_names=names,
            dynamic_axes=axes,
            opset_version=OPSET,
        )


def write_onnx(source: Path, path: Path, notes: dict[str, str]) -> list[Path]:
    onnx = need("onnx", "onnx", "exporting")
    document = onnx.load(str(source))
    for key, text in notes.items():
        entry = document.metadata_props.add()
        entry.key, entry.value = key, text
    atomic_write(path, document.SerializeToString())
    return [path]


def write_openvino(converter: ModuleType, source: Path, path: Path, notes: dict[str, str]) -> list[Path]:
    model = converter.convert_model(str(source))
    for key, text in notes.items():
        model.set_rt_info(text, key)
    made = source.with_name("openvino.xml")
    converter.save_model(model, str(made), compress_to_fp16=False)
    weights = path.with_suffix(".bin")
    atomic_write(weights, made.with_suffix(".bin").read_bytes())
    atomic_write(path, made.read_bytes())
    return [path, weights]
