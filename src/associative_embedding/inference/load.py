"""Name or path of a model -> predictor."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from associative_embedding.inference.options import Options
from associative_embedding.inference.pipeline import MIN_SIDE
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.refiner import NO_REFINER, Refiner
from associative_embedding.io.console import remark, remark_file
from associative_embedding.model_files.check_description import MAX_CROP
from associative_embedding.model_files.find import model_path, shipped_models
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.model_files.runtime import load_network
from associative_embedding.networks.device import choose_device
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.single_person.task import SinglePersonTask

LARGE = 4.0  # times the input size, from which an image is large


def load(model: str | Path = "person", options: Options | None = None, **changes: Any) -> Predictor:
    """Loads a model, ready to run.

        model = ae.load("person", flip=True, device="cuda")

    Args:
        model: name of a shipped model; path of a model file, of a file that ``ae export`` wrote, or of a folder with a
            ``model.safetensors``; or ``hf://owner/name`` on the Hugging Face Hub (extra ``[hub]``).
        options: how to run it; default: as the model file states, on a GPU if there is one.
        changes: fields of `Options`, which replace the fields of `options`: input_size, scales, flip, zoom, tag_scales,
            refine, refine_rule, refine_views, refine_size, device, runtime, offline, decode.

    Raises:
        ValueError: when the model, runtime or device does not exist, or the model cannot be read or refined.
        TypeError: for a keyword that is no option.
    """
    names = [field.name for field in fields(Options)]
    if unknown := ", ".join(sorted(changes.keys() - set(names))):
        raise TypeError(f"load has no option {unknown}; it has {', '.join(names)}. min_score is given with each image")
    options = replace(options or Options(), **changes)
    device = choose_device(options.device)
    network, info = load_network(model_path(model, offline=options.offline), device, options.runtime)
    # The refiner runs on the same device and runtime: crops of one image would otherwise wait for each other.
    second = choose_refiner(options.refine, info)
    of_refiner = ("refine_rule", "refine_views", "refine_size")
    stated = next((name for name in of_refiner if getattr(options, name) is not None), "")
    if stated and not second:
        why = "nobody is refined; leave it out" if options.refine else "this model has no refiner; name one with refine"
        raise ValueError(f"{stated}: {why}")
    refiner = load_refiner(second, info, replace(options, device=device)) if second else None
    return Predictor(network, info, options, refiner=refiner)


def remark_one_person(predictor: Predictor) -> None:
    """Prints what a single-person model does with a whole image; nothing for other models."""
    if isinstance(predictor.task, SinglePersonTask):
        remark("this model takes each image for a crop of one person; a model of the task pose finds all people")


def remark_large(predictor: Predictor, size: tuple[int, int], name: str) -> None:
    """Prints that small people are missed in an image that is made much smaller for the network.

    Args:
        size: (H, W) of the image.
        name: of the image.
    """
    side, input_size = max(size), predictor.input_size
    if isinstance(predictor.task, PoseTask) and not predictor.zoom and side > LARGE * input_size:
        remark_file(
            name,
            f"{side} pixels wide or high, and read at {input_size}: small people are missed; --input_size "
            f"{2 * input_size} finds more of them, in about four times the time",
        )


def choose_refiner(refine: str | Path | None, info: ModelInfo) -> str | Path | None:
    """Returns the single-person model to refine people with, or None.

    A model file may name only a shipped model: a file from elsewhere must not choose which other files are read.

    Args:
        refine: name or path; "none" = no refiner; None = the model's own (`ModelInfo.refine`).

    Raises:
        ValueError: when the model's own is not shipped.
    """
    if refine is not None:
        return None if str(refine) == NO_REFINER else refine
    if info.refine and info.refine not in shipped_models():
        raise ValueError(
            f"the model names {info.refine!r} as its refiner, which is not shipped: state a model for refine, or 'none'"
        )
    return info.refine or None


def load_refiner(
    model: str | Path,
    info: ModelInfo,
    options: Options,
) -> Refiner:
    """Loads the single-person model that refines the people of another model.

    Args:
        info: describes the model that finds the people.
        options: the device, as `choose_device` returns it, the runtime, and the rule, views and size of the refinement.

    Raises:
        ValueError: when it cannot be read, or has other keypoints than the people.
    """
    if not isinstance(info.task, PoseTask):
        raise ValueError(f"only a model of the task pose can be refined, not one of {info.task.name}")
    # The message names the way out: the model that the user asked for may be fine without its refiner.
    try:
        network, own = load_network(model_path(model), options.device, options.runtime)
        if options.refine_rule and isinstance(own.task, SinglePersonTask):
            config = replace(own.task.decode_config, rule=options.refine_rule)
            own = replace(own, task=replace(own.task, decode_config=config))
        own = replace(own, input_size=crop_size(info, options) or own.input_size)
        return Refiner(network, own, info.task.skeleton, views=options.refine_views or "one", name=str(model))
    except ValueError as error:
        raise ValueError(f"refine: {error}; {NO_REFINER!r} = no refinement") from None


def crop_size(info: ModelInfo, options: Options) -> int:
    """Returns the longer side of the refiner's crops, pixels, that options or model file state; 0 = neither does.

    The model file's is for the refiner that it names itself.

    Raises:
        ValueError: for a size out of range.
    """
    if options.refine_size is None:
        return info.refine_size if options.refine is None else 0
    if not MIN_SIDE <= options.refine_size <= MAX_CROP:
        raise ValueError(f"refine_size {options.refine_size} is not within {MIN_SIDE}..{MAX_CROP} pixels")
    return options.refine_size
