"""Model files: safetensors, with everything needed to use the weights in one json string of their metadata.

Nothing is ever unpickled from a model file. Training states, which only the trainer reads, are torch files loaded with
``weights_only=True``.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from associative_embedding.config import DecodeConfig
from associative_embedding.models.network import Network
from associative_embedding.models.zoo import build_network
from associative_embedding.output import atomic_write
from associative_embedding.skeleton import Skeleton

KEY = "associative_embedding"
FORMAT = 1


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of its weights.

    Attributes:
        backbone, tag_size, options: of the network (see `models.zoo.build_network`).
        skeleton: of the people it finds.
        input_size: long side of the network's input at which it works best, pixels.
        decode: thresholds that suit it.
        task: "pose".
        notes: free text for people, e.g. steps trained.
    """

    backbone: str
    skeleton: Skeleton
    input_size: int
    tag_size: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    task: str = "pose"
    notes: dict[str, Any] = field(default_factory=dict)

    def build(self) -> Network:
        return build_network(self.backbone, len(self.skeleton), self.tag_size, self.options)

    def to_json(self) -> str:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["skeleton"] = self.skeleton.to_category()
        values["decode"] = dataclasses.asdict(self.decode)
        return json.dumps({"format": FORMAT, **values}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelInfo:
        values = json.loads(text)
        if values.pop("format") != FORMAT:
            raise ValueError("it is of another format version; update associative-embedding")
        values["skeleton"] = Skeleton.from_category(values["skeleton"])
        values["decode"] = DecodeConfig(**values["decode"])
        return cls(**values)


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
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its description cannot be read: {error}") from None
    return {name: v.float() if v.is_floating_point() else v for name, v in state.items()}, info


def load_model(path: str | Path, device: str | torch.device = "cpu") -> tuple[Network, ModelInfo]:
    """The network of a model file, ready to predict (eval mode, channels-last).

    Raises:
        ValueError: when the file cannot be read, or its weights do not fit its description.
    """
    state, info = read_weights(path)
    if info is None:
        raise ValueError(f"{path}: a safetensors file, but not a model of associative-embedding")
    network = info.build()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise ValueError(f"{path}: the weights do not fit their description: {detail[:300]}") from None
    return network.eval().to(device, memory_format=torch.channels_last), info  # type: ignore[call-overload, no-any-return]


def start_from(network: Network, path: str | Path) -> list[str]:
    """Load what fits of a model file (or a bare state of a body) into a network.

    Returns:
        the names of parameters that the file did not have or has in another shape, which keep their fresh values.

    Raises:
        ValueError: when nothing fits.
    """
    state, info = read_weights(path)
    if info is None:
        state = {f"body.{name}": value for name, value in state.items()}
    own = network.state_dict()
    fitting = {name: v for name, v in state.items() if name in own and own[name].shape == v.shape}
    if not fitting:
        raise ValueError(f"{path}: none of its {len(state)} weights fits this network")
    network.load_state_dict(fitting, strict=False)
    return sorted(own.keys() - fitting.keys())
