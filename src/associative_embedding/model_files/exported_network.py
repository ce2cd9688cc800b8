"""Networks that ``ae export`` wrote, run by ONNX Runtime or OpenVINO in place of PyTorch; all around them stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from associative_embedding.io.optional_packages import need
from associative_embedding.model_files.checkpoint import KEY, ModelInfo
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.maps import Maps, Peaks

SUFFIXES = {".onnx": "onnx", ".xml": "openvino"}
SHAPE = "network"  # key of what the runtime must know beside the model's description
Run = Callable[[Array], list[Array]]


class ExportedNetwork:
    """Stands in for `models.network.Network` in a `Predictor`.

    Args:
        run: ``(B, 3, H, W)`` uint8 RGB -> heatmap ``(B, C, h, w)`` and, if it has tags, tag ``(B, C, D, h, w)``; or the
            table of peaks and the sum of the maps, see `Peaks`.
        stride, multiple, channels, gives_peaks: as `Network` has them.
        device: of the results.
    """

    def __init__(
        self, run: Run, *, stride: int, multiple: int, channels: int, gives_peaks: bool, device: torch.device
    ) -> None:
        self.run, self.device = run, device
        self.stride, self.multiple, self.channels, self.gives_peaks = stride, multiple, channels, gives_peaks

    def __call__(self, image: Tensor) -> list[Maps] | Peaks:
        """
        Args:
            image: ``(B, 3, H, W)`` uint8 RGB.
        """
        first, *others = (torch.from_numpy(np.asarray(value)) for value in self.run(image.cpu().numpy()))
        second = others[0] if others else first.new_zeros((*first.shape[:2], 0, *first.shape[2:]))
        if not self.gives_peaks:
            return [Maps(first.to(self.device), second.to(self.device))]
        height, width = (side // self.stride for side in image.shape[-2:])
        return Peaks(first, second, (self.channels, height, width))


def is_exported(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def load_exported(path: Path, device: torch.device) -> tuple[ExportedNetwork, ModelInfo]:
    """
    Args:
        path: an ``.onnx``, or an OpenVINO ``.xml`` with its ``.bin`` beside it.
        device: a GPU is used by ONNX Runtime if its build has CUDA.

    Raises:
        ValueError: one line, for a file that ``ae export`` did not write, or a missing extra.
    """
    kind = SUFFIXES[path.suffix.lower()]
    if not path.is_file():
        raise ValueError(f"{path}: no such model file")
    run, notes = {"onnx": onnx_runtime, "openvino": openvino_runtime}[kind](path, device)
    try:
        info, shape = ModelInfo.from_json(notes[KEY]), json.loads(notes[SHAPE])
        network = ExportedNetwork(
            run,
            stride=int(shape["stride"]),
            multiple=int(shape["multiple"]),
            channels=info.task.channels,
            gives_peaks=bool(shape["peaks"]),
            device=device,
        )
    except KeyError as error:
        raise ValueError(f"{path}: not a model that ae export wrote (it has no {error})") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its description cannot be read: {error}") from None
    return network, info


def onnx_runtime(path: Path, device: torch.device) -> tuple[Run, dict[str, str]]:
    """A function that runs the graph, and its metadata."""
    onnxruntime = need("onnxruntime", "onnx", f"{path}:")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    wanted = ["CUDAExecutionProvider", "CPUExecutionProvider"] if device.type == "cuda" else ["CPUExecutionProvider"]
    known = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=known)
    except Exception as error:  # its own classes, which have no common base
        raise ValueError(f"{path}: not a readable ONNX file ({first_line(error)})") from None
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image}), dict(session.get_modelmeta().custom_metadata_map)


def openvino_runtime(path: Path, device: torch.device) -> tuple[Run, dict[str, str]]:
    """The same by OpenVINO, which always computes on the CPU here."""
    openvino = need("openvino", "openvino", f"{path}:")
    try:
        core = openvino.Core()
        model = core.read_model(str(path))
        threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
        request = core.compile_model(model, "CPU", threads).create_infer_request()
    except Exception as error:
        raise ValueError(f"{path}: not a readable OpenVINO model ({first_line(error)})") from None
    notes = {key: text_of(model, key) for key in (KEY, SHAPE) if model.has_rt_info(key)}
    return lambda image: [np.array(value) for value in request.infer({0: image}).values()], notes


def text_of(model: Any, key: str) -> str:
    value = model.get_rt_info(key)
    return str(getattr(value, "value", value))


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
