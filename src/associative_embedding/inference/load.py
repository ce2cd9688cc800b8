"""Name or path of a model -> Predictor: which file it is, what computes it, which model looks a second time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.refiner import Refiner
from associative_embedding.model_files.checkpoint import ModelInfo
from associative_embedding.model_files.find import model_path, shipped_models
from associative_embedding.model_files.runtime import Runtime, load_network
from associative_embedding.networks.device import choose_device
from associative_embedding.tasks.pose.task import PoseTask

NO_REFINER = "none"


def load(
    model: str | Path = "person",
    *,
    device: str | torch.device = "cpu",
    input_size: int | None = None,
    scales: Sequence[float] | None = None,
    flip: bool = False,
    zoom: float | None = None,
    tag_scales: Sequence[float] | None = None,
    refine: str | Path | None = None,
    runtime: Runtime = "auto",
) -> Predictor:
    """A ready predictor.

    Args:
        model: name of a shipped model, or the path of a model file, also of one that ``ae export`` wrote, or of a
            folder with a ``model.safetensors``; or ``hf://owner/name`` on the Hugging Face Hub (extra ``[hub]``).
        device: ``cpu``, ``cuda``, ``cuda:1`` ..., or ``auto`` = a GPU if there is one.
        input_size, scales, flip, zoom, tag_scales: see `Predictor`.
        refine: name or path of a single-person model that looks at everybody found a second time; "none" = nobody is
            looked at again; None = the model's own (`ModelInfo.refine`).
        runtime: what computes the network: "torch", "onnx", "openvino", or "auto", see `runtime.load_network`.

    Raises:
        ValueError: for a model, runtime or device that is not there, or a model that cannot be read or cannot refine.
    """
    device = choose_device(device)
    path = model_path(model)
    network, info = load_network(path, device, runtime)
    second = choose_refiner(refine, info)
    refiner = load_refiner(second, info, device, runtime) if second else None
    return Predictor(
        network,
        info,
        input_size=input_size,
        scales=scales,
        flip=flip,
        zoom=zoom,
        tag_scales=tag_scales,
        refiner=refiner,
    )


def choose_refiner(refine: str | Path | None, info: ModelInfo) -> str | Path | None:
    """The model of the second look: the one that is asked for, else the model's own; None = there is none.

    A model file can name a shipped model alone: it is not to say which other files are read.

    Raises:
        ValueError: when the model's own is not shipped.
    """
    if refine is not None:
        return None if str(refine) == NO_REFINER else refine
    if info.refine and info.refine not in shipped_models():
        raise ValueError(
            f"the model wants to be refined by {info.refine!r}, which is not shipped: state refine, or none"
        )
    return info.refine or None


def load_refiner(model: str | Path, info: ModelInfo, device: torch.device, runtime: Runtime = "auto") -> Refiner:
    """
    Args:
        info: of the model that finds the people.
        runtime: see `load`.

    Raises:
        ValueError: for a model that cannot be read, or does not fit the people.
    """
    if not isinstance(info.task, PoseTask):
        raise ValueError(f"only a model of the task pose can be refined, not one of {info.task.name}")
    try:
        return Refiner(*load_network(model_path(model), device, runtime), info.task.skeleton, name=str(model))
    except ValueError as error:
        raise ValueError(f"refine: {error}; {NO_REFINER!r} = no second look") from None
