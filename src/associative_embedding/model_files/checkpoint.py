"""Model files: safetensors, with everything needed to use the weights in one json string of their metadata.

Nothing is ever unpickled from a model file. Training states, which only the trainer reads, are torch files loaded with
``weights_only=True``.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from associative_embedding.io.files import atomic_write
from associative_embedding.networks.network import Network
from associative_embedding.networks.zoo import build_network
from associative_embedding.tasks.all_tasks import TASKS
from associative_embedding.tasks.task import Task

KEY = "associative_embedding"
FORMAT = 1
MODEL_FILE = "model.safetensors"  # in a folder of a training run, or of a model on a hub


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of its weights.

    Attributes:
        backbone, tag_size, options: of the network (see `models.zoo.build_network`).
        task: what the maps mean, and the decode settings that suit the weights.
        input_size: side of the network's input at which it works best, pixels.
        scales: of the input size, used together when predicting; see `predict.Predictor`.
        zoom: input pixels per image pixel at which it works best; 0 = images are fitted into `input_size`.
        resize: the image's side that becomes the input size, "long" or "short" (as HigherHRNet).
        enlarge: how many times larger maps are made (bilinear) before they are decoded, as HigherHRNet does; a divisor
            of the network's stride.
        refine: name of the shipped single-person model that looks at everybody found a second time; "" = none does.
        notes: free text for people, e.g. steps trained.
    """

    backbone: str
    task: Task
    input_size: int
    scales: tuple[float, ...] = (1.0,)
    zoom: float = 0.0
    tag_size: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    resize: Literal["long", "short"] = "long"
    enlarge: int = 1
    refine: str = ""

    def build(self) -> Network:
        """The network with fresh weights."""
        return build_network(self.backbone, self.task.channels, self.tag_size, self.options)

    def to_json(self) -> str:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values |= {**self.task.describe(), "task": self.task.name}
        return json.dumps({"format": FORMAT, **values}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelInfo:
        """
        Raises:
            ValueError: when it is not what `to_json` writes.
        """
        values = json.loads(text)
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            raise ValueError(f"it is not of format {FORMAT}; another version of associative-embedding wrote it")
        name = values.pop("task", "pose")
        if name not in TASKS:
            raise ValueError(f"its task {name!r} is not known")
        check_values(values, name)
        own = {f.name for f in dataclasses.fields(cls)}
        task = TASKS[name].from_description({key: values.pop(key) for key in list(values) if key not in own})
        return cls(**{**values, "task": task, "scales": tuple(values.get("scales", (1.0,)))})


def check_values(values: dict[str, Any], task: str) -> None:
    """
    Args:
        task: its name; one person needs no tags.

    Raises:
        ValueError: for a value of another type than `ModelInfo` says.
    """
    for key, least in (("input_size", 1), ("enlarge", 1), ("tag_size", 0 if task == "single-person" else 1)):
        if type(values.get(key, 1)) is not int or values.get(key, 1) < least:
            raise ValueError(f"{key} must be a positive integer{' or 0' * (not least)}, not {values[key]!r}")
    scales = values.get("scales", [1.0])
    if not isinstance(scales, list) or not scales or not all(type(s) in (int, float) and 0 < s < 100 for s in scales):
        raise ValueError(f"scales must be a list of positive numbers, not {scales!r}")
    zoom = values.get("zoom", 0.0)
    if type(zoom) not in (int, float) or not 0 <= zoom < 100:
        raise ValueError(f"zoom must be a number of at least 0, not {zoom!r}")
    if values.get("resize", "long") not in ("long", "short"):
        raise ValueError(f"resize must be 'long' or 'short', not {values['resize']!r}")
    for key, kind, what in (
        ("backbone", str, "a text"),
        ("refine", str, "a text"),
        ("options", dict, "a mapping"),
        ("notes", dict, "a mapping"),
    ):
        if not isinstance(values.get(key, kind()), kind):
            raise ValueError(f"{key} must be {what}, not {values[key]!r}")
    if not isinstance(values["decode"], dict):
        raise ValueError(f"decode must be a mapping, not {values['decode']!r}")


def save_model(path: str | Path, network: Network, info: ModelInfo, *, half: bool = False) -> None:
    """Write a model file atomically.

    Args:
        half: weights in half precision (half the size; they are computed with in single precision all the same).
    """
    state = {
        name: (value.half() if half and value.is_floating_point() else value).contiguous().cpu()
        for name, value in network.state_dict().items()
    }
    atomic_write(path, safetensors.torch.save(state, metadata={KEY: info.to_json()}))


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], ModelInfo | None]:
    """The tensors of a safetensors file in single precision, and what it says of them (None: not a model of ours).

    Raises:
        ValueError: when the file is missing, no safetensors file, truncated, or of another format version.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such model file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error})") from None
    try:
        info = ModelInfo.from_json(text) if text is not None else None
    except KeyError as error:
        raise ValueError(f"{path}: its description cannot be read: it has no {error}") from None
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its description cannot be read: {error}") from None
    return {name: v.float() if v.is_floating_point() else v for name, v in state.items()}, info


def read_torch(path: str | Path, device: str | torch.device = "cpu") -> Any:
    """A torch file of tensors and plain values; nothing in it is run.

    Raises:
        ValueError: for anything else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols, for files that are refused
            return torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError:  # torch's own text recommends to run it all the same
        raise ValueError(f"{path}: not a torch file of tensors and plain values; others could run code") from None
    except Exception as error:  # a broken file raises nearly anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path}: not a readable torch file ({reason})") from None


def load_model(path: str | Path, device: str | torch.device = "cpu") -> tuple[Network, ModelInfo]:
    """The network of a model file, ready to predict (eval mode, channels-last).

    Raises:
        ValueError: when the file cannot be read, or its weights do not fit its description.
    """
    state, info = read_weights(path)
    if info is None:
        raise ValueError(f"{path}: a safetensors file, but not a model of associative-embedding")
    try:
        network = info.build()
        network.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        detail = " ".join(str(error).split())
        raise ValueError(f"{path}: the weights do not fit their description: {detail[:300]}") from None
    return network.eval().to(device, memory_format=torch.channels_last), info  # type: ignore[call-overload, no-any-return]


def start_from(network: Network, path: str | Path) -> list[str]:
    """Load what fits of a model file (or a bare state of a body) into a network.

    Returns:
        the names of parameters that the file did not have or has in another shape, which keep their fresh values.

    Raises:
        ValueError: when nothing fits, or the encoder is of another shape: the rest would be worth nothing.
    """
    state, info = read_weights(path)
    if info is None:
        state = {f"body.{name}": value for name, value in state.items()}
    own = network.state_dict()
    other = [n for n, v in state.items() if n.startswith("body.encoder.") and n in own and own[n].shape != v.shape]
    if other:
        known = "" if info is None else f" is of the backbone {info.backbone}, and"
        raise ValueError(
            f"{path}:{known} has an encoder of other shapes than this network; set network.backbone to its"
        )
    fitting = {name: v for name, v in state.items() if name in own and own[name].shape == v.shape}
    if not fitting:
        raise ValueError(f"{path}: none of its {len(state)} weights fits this network")
    network.load_state_dict(fitting, strict=False)
    return sorted(own.keys() - fitting.keys())
