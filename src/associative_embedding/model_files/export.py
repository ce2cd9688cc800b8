"""Exports a model's network as an ONNX graph or for OpenVINO; the file also describes the model (``ae export``)."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from associative_embedding.detection.peaks_in_graph import find_peaks
from associative_embedding.io.files import atomic_write, write_json
from associative_embedding.io.optional_packages import need
from associative_embedding.io.outputs import check_output, own_form, own_mark
from associative_embedding.io.temporary_files import scratch_folder
from associative_embedding.model_files.checkpoint import load_model
from associative_embedding.model_files.exported_network import OPSET, SHAPE, SUFFIX, Format
from associative_embedding.model_files.fold_padding import fold_padding
from associative_embedding.model_files.model_info import KEY, ModelInfo
from associative_embedding.networks.network import Network
from associative_embedding.structures.maps import final_maps
from associative_embedding.tasks.pose.task import PoseTask

NORMALISED = "the graph normalises"  # in the metadata of every exported file, which it shows to be ours
EXAMPLE_SIDE = 4  # side of the traced example, in multiples of the network's smallest input


class MapsGraph(nn.Module):
    """Image -> the maps to decode, heatmap ``(B, C, h, w)`` and tag ``(B, C, D, h, w)``."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns heatmap and tag of an image ``(B, 3, H, W)`` uint8 RGB."""
        maps = final_maps(self.network(image))
        return maps.heatmap, maps.tag


class HeatmapGraph(MapsGraph):
    """Image -> heatmap ``(B, C, h, w)``, for a network without tags: not every runtime has arrays of size 0."""

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns the heatmap of an image ``(B, 3, H, W)`` uint8 RGB."""
        return (self.network(image)[-1].heatmap,)


class OutputsGraph(MapsGraph):
    """Image -> heatmap and tag of the coarse output, and heatmap of the fine one, for published code's own merging."""

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns two heatmaps and a tag of an image ``(B, 3, H, W)`` uint8 RGB."""
        coarse, fine = self.network(image)
        return coarse.heatmap, coarse.tag, fine.heatmap


SMALL = 2.0**-60  # the sum of any number of finite values times this is finite in single precision


class PeaksGraph(MapsGraph):
    """Image -> table of peaks ``(B, C top_k, 6 + D)`` and small sum of the maps ``(B,)``; see `structures.maps.Peaks`.

    Args:
        network: with tags.
        nms: side of the maximum filter's window, map pixels, odd.
        top_k: peaks of each keypoint type.
    """

    def __init__(self, network: Network, nms: int, top_k: int) -> None:
        super().__init__(network)
        self.nms, self.top_k = nms, top_k

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns the table and the sum of an image ``(B, 3, H, W)`` uint8 RGB."""
        heatmap, tag = super().forward(image)
        # The maps do not leave the graph. If one value is not finite, the sum is not finite, and decoding stops.
        total = (heatmap * SMALL).flatten(1).sum(dim=1) + (tag * SMALL).flatten(1).sum(dim=1)
        return find_peaks(heatmap, tag, nms=self.nms, top_k=self.top_k), total


def export_model(model: Path, target: str | None, form: Format, *, with_peaks: bool = False) -> list[Path]:
    """Writes an exported network, and beside it a ``.json`` with its description.

    The graph takes ``image``, ``(B, 3, H, W)`` uint8 RGB, of any batch and size (multiples of `Network.multiple`), and
    normalises it itself.

    Args:
        model: a model file.
        target: file to write; None = the name of the model file with another suffix, in the current folder.
        form: "onnx" writes ``.onnx``, "openvino" writes ``.xml`` and ``.bin``.
        with_peaks: the maximum filter, the top k and the tag look-up are part of the graph; for poses only.

    Returns:
        the files written.

    Raises:
        ValueError: for a model that cannot be exported in this way, a target with another suffix, a missing extra,
            or a file that somebody else wrote.
        OSError: when a file cannot be written.
    """
    # Before the model is read: a missing package is an error at once.
    need(form, form, "exporting")
    path = Path(target or model.with_suffix(SUFFIX[form]).name)
    if path.suffix.lower() != SUFFIX[form]:
        raise ValueError(f"{path}: the format {form} is written to a file that ends in {SUFFIX[form]}")
    check_files(path, form, model)
    network, info = load_model(model)
    resized = info.enlarge > 1 or info.conventions is not None
    if with_peaks and (not isinstance(info.task, PoseTask) or resized or not info.tag_size):
        raise ValueError(f"{model}: peaks are of poses at the maps' own size; leave --with-peaks out")
    files = exported_files(network, info, form, with_peaks=with_peaks)
    written = {path.with_suffix(suffix) if suffix != SUFFIX[form] else path: data for suffix, data in files.items()}
    # The file that is opened comes last, so there is no moment without its weights.
    for file in reversed(written):
        atomic_write(file, written[file])
    sidecar = path.with_suffix(".json")
    metadata = graph_metadata(network, info, with_peaks)
    write_json(sidecar, {key: json.loads(text) for key, text in metadata.items()})
    return [*written, sidecar]


def exported_files(network: Network, info: ModelInfo, form: Format, *, with_peaks: bool = False) -> dict[str, bytes]:
    """Returns the files of an exported network by their suffix; the file that is opened is the first.

    Raises:
        ValueError: for a missing extra.
        OSError: when a temporary file cannot be written.
    """
    metadata = graph_metadata(network, info, with_peaks)
    graph = to_onnx(graph_of(network, info, with_peaks), network, with_peaks)
    return {"onnx": onnx_files, "openvino": openvino_files}[form](graph, metadata)


def check_files(path: Path, form: Format, model: Path) -> None:
    """Checks that an export replaces only the files of an earlier one.

    Args:
        path: the file to write; others have its name with another suffix.
        form: its format.
        model: the model file.

    Raises:
        ValueError: see `check_output`.
    """
    own = own_mark(NORMALISED.encode())
    check_output(path, own, [model])
    check_output(path.with_suffix(".json"), own_form(rf'\{{"{KEY}": ', rb"\}\n"), [model])
    if form == "openvino":
        # Weights have no place for a mark: they belong to the .xml beside them.
        check_output(path.with_suffix(".bin"), lambda _: path.is_file() and own(path), [model])


def graph_of(network: Network, info: ModelInfo, with_peaks: bool) -> MapsGraph:
    """Returns the module to export."""
    if info.conventions and len(network.strides) > 1:
        return OutputsGraph(network)
    if not with_peaks:
        return MapsGraph(network) if info.tag_size else HeatmapGraph(network)
    assert isinstance(info.task, PoseTask)
    config = info.task.decode_config
    return PeaksGraph(network, config.nms, config.top_k)


def graph_metadata(network: Network, info: ModelInfo, with_peaks: bool) -> dict[str, str]:
    """Returns the metadata of an exported file, json texts by key.

    `KEY` has the description of the model, as in a model file; `SHAPE` has what a runtime needs of the network.
    """
    shape = {
        "stride": network.stride,
        "multiple": network.multiple,
        "peaks": with_peaks,
        "input": f"image (B, 3, H, W) uint8 RGB; {NORMALISED}",
    }
    return {KEY: info.to_json(), SHAPE: json.dumps(shape)}


def to_onnx(graph: MapsGraph, network: Network, with_peaks: bool) -> bytes:
    """Returns the graph as an ONNX file, for any batch and size.

    Uses torch's tracing exporter: all versions of torch from 2.4 have it, and it takes seconds. The newer exporter, by
    `torch.export`, takes minutes for the same graph (docs/performance.md).
    """
    side = EXAMPLE_SIDE * network.multiple
    # A batch of 2 and two different sides: the trace must not be specialised to one image or to squares.
    example = torch.zeros(2, 3, side, side + network.multiple, dtype=torch.uint8)
    counts = {HeatmapGraph: 1, OutputsGraph: 3}
    names = ["peaks", "total"] if with_peaks else ["heatmap", "tag", "fine"][: counts.get(type(graph), 2)]
    axes = {"image": {0: "batch", 2: "rows", 3: "columns"}, **{name: {0: "batch"} for name in names}}
    if not with_peaks:
        axes["heatmap"] |= {2: "map_rows", 3: "map_columns"}
    if "fine" in names:
        axes["fine"] |= {2: "fine_rows", 3: "fine_columns"}
    if "tag" in names:
        axes["tag"] |= {3: "map_rows", 4: "map_columns"}
    with scratch_folder() as folder, warnings.catch_warnings():
        path = folder / "graph.onnx"
        warnings.simplefilter("ignore")  # the tracer warns about every check of a shape, and that it is deprecated
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
        return path.read_bytes()


def onnx_files(graph: bytes, metadata: dict[str, str]) -> dict[str, bytes]:
    """Returns an ONNX file with the metadata."""
    onnx = need("onnx", "onnx", "exporting")
    document = onnx.load_model_from_string(graph)
    fold_padding(document.graph)
    for key, text in metadata.items():
        entry = document.metadata_props.add()
        entry.key, entry.value = key, text
    return {".onnx": document.SerializeToString()}


def openvino_files(graph: bytes, metadata: dict[str, str]) -> dict[str, bytes]:
    """Returns an ONNX file converted for OpenVINO, with the metadata."""
    openvino = need("openvino", "openvino", "exporting")
    with scratch_folder() as folder:
        source = folder / "graph.onnx"
        source.write_bytes(graph)
        model = openvino.convert_model(str(source))
        for key, text in metadata.items():
            model.set_rt_info(text, key)
        converted = folder / "openvino.xml"
        openvino.save_model(model, str(converted), compress_to_fp16=False)  # half precision would change the results
        return {suffix: converted.with_suffix(suffix).read_bytes() for suffix in (".xml", ".bin")}
