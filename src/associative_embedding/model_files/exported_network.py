"""Runs networks that ``ae export`` wrote, by ONNX Runtime or OpenVINO in place of PyTorch.

Only the network is replaced: geometry, decoding and drawing are the same as for a model file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from associative_embedding.detection.peak_table import CHANNEL, COLUMNS, X, Y
from associative_embedding.io.console import one_line
from associative_embedding.io.memory_errors import lacks_memory
from associative_embedding.io.optional_packages import need
from associative_embedding.model_files.check_graph import GraphError, check_onnx, check_openvino
from associative_embedding.model_files.model_info import KEY, ModelInfo
from associative_embedding.networks.device import CPU, thread_count
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.map_values import as_array
from associative_embedding.structures.maps import Maps, Peaks

Format = Literal["onnx", "openvino"]
FORMATS: dict[str, Format] = {".onnx": "onnx", ".xml": "openvino"}  # by suffix
SUFFIX = {form: suffix for suffix, form in FORMATS.items()}
OPSET = 17  # version of the ONNX operators
GRAPHS = 2  # counts the changes of the graphs that `export` writes, so that a cache makes them anew
SHAPE = "network"  # key of the metadata about the network, beside the description of the model
FATAL_ONLY = 4  # level of ONNX Runtime's log: an error is raised, and need not be printed too

Run = Callable[[Array], list[Array]]


class ExportedNetwork:
    """Replaces `networks.network.Network` in a `Predictor`.

    Args:
        run: ``(B, 3, H, W)`` uint8 RGB -> heatmap ``(B, C, h, w)`` and, if the network has tags, tag
            ``(B, C, D, h, w)``, and for the conventions of published code a finer heatmap, if the network has one; or
            the table of peaks and the sum of the maps, see `Peaks`.
        stride: input pixels per map pixel.
        multiple: both sides of the input are multiples of it.
        channels: C, heatmap channels.
        gives_peaks: `run` returns peaks, not maps.
        device: where the graph runs; its results are arrays.
    """

    def __init__(
        self, run: Run, *, stride: int, multiple: int, channels: int, gives_peaks: bool, device: str = CPU
    ) -> None:
        self.run, self.device = run, device
        self.stride, self.multiple, self.channels, self.gives_peaks = stride, multiple, channels, gives_peaks

    def predict(self, image: Array) -> list[Maps] | Peaks:
        """Runs the network on a batch.

        Args:
            image: ``(B, 3, H, W)`` uint8 RGB.

        Returns:
            the maps to decode, one `Maps`; or all outputs of the network; or the peaks.
        """
        first, *others = (as_array(np.asarray(value)) for value in self.run(image))
        self.check(image, first, *others)
        if not self.gives_peaks:
            # Behind the first heatmap come its tags, if there are any, and behind these a finer heatmap without.
            heatmaps, tags = [first, *others[1:]], others[:1]
            tags += map(no_tags, heatmaps[len(tags) :])
            return [Maps(heatmap, tag) for heatmap, tag in zip(heatmaps, tags, strict=True)]
        height, width = (side // self.stride for side in image.shape[-2:])
        return Peaks(first, others[0], (self.channels, height, width))

    def check(self, image: Array, first: Array, *others: Array) -> None:
        """Checks that the outputs have the shapes that the file states, and that peaks lie in the map.

        Raises:
            ValueError: if they are not; their places would be wrong.
        """
        batch, (height, width) = image.shape[0], (side // self.stride for side in image.shape[-2:])
        if self.gives_peaks:
            fits = len(others) == 1 and first.ndim == 3 and first.shape[0] == batch and others[0].shape == (batch,)
            fits = fits and first.shape[1] % self.channels == 0 and first.shape[2] > COLUMNS
            most = np.array([self.channels, height, width]) - 1
            places = first[..., [CHANNEL, Y, X]] if fits else most
            fits = fits and bool(((places >= 0) & (places <= most)).all())
        else:
            # With the conventions of published code there is a finer heatmap behind the first one and its tags.
            coarse, finest = first.shape, (others[1] if len(others) == 2 else first).shape
            fits = finest == (batch, self.channels, height, width) and len(others) <= 2
            fits = fits and len(coarse) == 4 and coarse[:2] == finest[:2]
            fits = fits and min(coarse) > 0 and finest[2] * coarse[3] == finest[3] * coarse[2]
            fits = fits and all(
                value.ndim == 5 and (*value.shape[:2], *value.shape[3:]) == tuple(coarse) for value in others[:1]
            )
        if not fits:
            shapes = ", ".join(" x ".join(map(str, value.shape)) for value in (first, *others))
            raise ValueError(f"the exported network gives {shapes:.200}, not the {self.channels} maps that it states")


def no_tags(heatmap: Array) -> Array:
    """Returns the tags of a heatmap ``(B, C, h, w)`` that has none: D = 0."""
    return np.zeros((*heatmap.shape[:2], 0, *heatmap.shape[2:]), np.float32)


def is_exported(path: Path) -> bool:
    """Returns whether a file is an exported network, by its suffix."""
    return path.suffix.lower() in FORMATS


def load_exported(
    path: Path, device: str, files: Mapping[str, bytes] | None = None
) -> tuple[ExportedNetwork, ModelInfo]:
    """Returns the network of an exported file, and the description of its model.

    Args:
        path: an ``.onnx`` file, or an OpenVINO ``.xml`` file with its ``.bin`` beside it.
        device: ONNX Runtime uses a GPU if its build has CUDA.
        files: what these files contain, by suffix; None = it is read from them.

    Raises:
        ValueError: one line, for a file that ``ae export`` did not write, or a missing extra.
    """
    if files is None and not path.is_file():
        raise ValueError(f"{path}: no such model file")
    open_graph = {"onnx": open_onnx, "openvino": open_openvino}[FORMATS[path.suffix.lower()]]
    run, metadata = open_graph(path, device, files)
    try:
        info, shape = ModelInfo.from_json(metadata[KEY]), json.loads(metadata[SHAPE])
        network = ExportedNetwork(
            run,
            stride=shape["stride"],
            multiple=shape["multiple"],
            channels=info.task.channels,
            gives_peaks=shape["peaks"],
            device=device,
        )
    except KeyError as error:
        raise ValueError(f"{path}: not a model that ae export wrote (it has no {error})") from None
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its description cannot be read: {one_line(error)}") from None
    return network, info


def open_onnx(path: Path, device: str, files: Mapping[str, bytes] | None) -> tuple[Run, dict[str, str]]:
    """Returns a function that runs an ONNX graph, and the metadata of its file; see `load_exported`."""
    # Otherwise newer versions send events about each use to Microsoft, and write an identifier of the machine.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    onnxruntime = need("onnxruntime", "onnx", f"{path}:")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = thread_count()
    # Its threads would wait by counting, on cores that another process may need, see `associative_embedding.__init__`.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = FATAL_ONLY
    wanted = (
        ["CUDAExecutionProvider", "CPUExecutionProvider"] if device.startswith("cuda") else ["CPUExecutionProvider"]
    )
    providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        if files is None:  # this user made the graphs in the cache
            check_onnx(need("onnx", "onnx", f"{path}:"), path, SHAPE)
        content = str(path) if files is None else files[path.suffix]
        # Without its fallback: it would print a second message on the standard output.
        session = onnxruntime.InferenceSession(content, options, providers=providers, enable_fallback=0)
        session._model_bytes = None  # it would keep the file in memory for the fallback
    except GraphError as error:
        raise ValueError(f"{path}: not a model that ae export wrote ({error})") from None
    except Exception as error:  # onnxruntime's errors have no common base class
        raise ValueError(f"{path}: not a readable ONNX file ({first_line(error)})") from None
    name = session.get_inputs()[0].name
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    return with_plain_errors(lambda image: session.run(None, {name: image}), path), metadata


def open_openvino(path: Path, device: str, files: Mapping[str, bytes] | None) -> tuple[Run, dict[str, str]]:
    """Returns a function that runs an OpenVINO model on the CPU, and the metadata of its file; see `load_exported`."""
    openvino = need("openvino", "openvino", f"{path}:")
    try:
        core = openvino.Core()
        model = core.read_model(str(path)) if files is None else core.read_model(files[".xml"], files[".bin"])
        metadata = {key: metadata_text(model, key) for key in (KEY, SHAPE) if model.has_rt_info(key)}
        if files is None:
            check_openvino(model, path, metadata.get(SHAPE))
        # f32: on some CPUs OpenVINO would otherwise compute in bfloat16, which changes the results.
        threads = {"INFERENCE_NUM_THREADS": thread_count(), "INFERENCE_PRECISION_HINT": "f32"}
        request: Any = core.compile_model(model, "CPU", threads).create_infer_request()
    except GraphError as error:
        raise ValueError(f"{path}: not a model that ae export wrote ({error})") from None
    except Exception as error:  # RuntimeErrors and errors of its own
        raise ValueError(f"{path}: not a readable OpenVINO model ({first_line(error)})") from None

    def run(image: Array) -> list[Array]:
        nonlocal request
        # A network that failed once, for lack of memory, fails for small images too: then it is compiled again.
        used = request or core.compile_model(model, "CPU", threads).create_infer_request()
        request = None
        # Copies: the next image may overwrite the arrays of the request.
        outputs = [np.array(value) for value in used.infer({0: image}).values()]
        request = used
        return outputs

    return with_plain_errors(run, path), metadata


def with_plain_errors(run: Run, path: Path) -> Run:
    """Returns a function that runs a network, and raises errors of Python in place of the runtime's own.

    They are MemoryError, and RuntimeError with the path for all others.
    """

    def run_plainly(image: Array) -> list[Array]:
        try:
            return run(image)
        except Exception as error:  # onnxruntime's errors have no common base class
            reason = first_line(error)
            if lacks_memory(error):
                raise MemoryError(reason) from None
            size = "x".join(map(str, image.shape[:1:-1]))
            raise RuntimeError(f"{path}: does not run on an input of {size} pixels ({reason})") from None

    return run_plainly


def metadata_text(model: Any, key: str) -> str:
    """Returns one entry of an OpenVINO model's metadata; only some versions wrap it in an object with a value."""
    value = model.get_rt_info(key)
    return str(getattr(value, "value", value))


def first_line(error: BaseException) -> str:
    """Returns the first line of an error that gives a reason; the errors of these runtimes can have many."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return next((line for line in lines if not line.startswith("Exception from ")), lines[0])[:200]
