"""Reads and writes model files: safetensors, whose metadata describe the model in one json string.

No model file is ever unpickled, since a pickle can run code. Training states, which only the trainer reads, are torch
files loaded with ``weights_only=True``.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from associative_embedding.io.console import one_line
from associative_embedding.io.files import atomic_write
from associative_embedding.model_files.check_network import check_shapes
from associative_embedding.model_files.check_torch import TooLargeError, check_packed, check_tensors
from associative_embedding.model_files.model_info import KEY, ModelInfo
from associative_embedding.model_files.stand_ins import STAND_INS
from associative_embedding.networks.network import Network

MAX_HEADER = 8 * 2**20  # bytes of the names, shapes and metadata in a file; our largest network has 230 kB


def save_model(path: str | Path, network: Network, info: ModelInfo, *, half: bool = False) -> None:
    """Writes a model file atomically.

    Args:
        path: the file, ``.safetensors``.
        network: its weights are saved.
        info: its description.
        half: save weights in half precision, half the size. They are converted to single precision when they are read.

    Raises:
        OSError: see `atomic_write`.
    """
    state = {
        name: (value.half() if half and value.is_floating_point() else value).contiguous().cpu()
        for name, value in network.state_dict().items()
    }
    atomic_write(path, safetensors.torch.save(state, metadata={KEY: info.to_json()}))


def describe_anew(source: str | Path, target: str | Path, info: ModelInfo) -> None:
    """Writes a model file with the tensors of another one, in their precision, and a new description.

    Raises:
        ValueError: when the source is missing or no safetensors file.
        OSError: see `atomic_write`.
    """
    with open_weights(source) as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    atomic_write(target, safetensors.torch.save(state, metadata={KEY: info.to_json()}))


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], ModelInfo | None]:
    """Reads a safetensors file.

    Returns:
        the tensors by name, floats in single precision; and the description, None if the file has none.

    Raises:
        ValueError: when the file is missing, truncated, no safetensors file, or has a description of another format.
    """
    with open_weights(path) as file:
        info = description_of(path, file)
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    return {name: v.float() if v.is_floating_point() else v for name, v in state.items()}, info


def read_description(path: str | Path) -> ModelInfo | None:
    """Returns the description of a safetensors file without reading its tensors; None if it has none.

    Raises:
        ValueError: see `read_weights`.
    """
    with open_weights(path) as file:
        return description_of(path, file)


def description_of(path: str | Path, file: Any) -> ModelInfo | None:
    """Returns the description of an open safetensors file; None if it has none.

    Raises:
        ValueError: for one that is of another format, or of another network than the file's tensors.
    """
    info = parse_description(path, (file.metadata() or {}).get(KEY))
    if info is not None:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # not a dict
        try:
            check_shapes(info.build, shapes)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{path}: the weights do not fit their description: {one_line(error)[:300]}") from None
    return info


@contextmanager
def open_weights(path: str | Path) -> Iterator[Any]:
    """Opens a safetensors file.

    Raises:
        ValueError: when the file is missing, truncated or no safetensors file.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such model file")
    try:
        with open(path, "rb") as start:
            if (header := int.from_bytes(start.read(8), "little")) > MAX_HEADER:
                raise safetensors.SafetensorError(f"a header of {header} bytes; at most {MAX_HEADER} are read")
        with safetensors.safe_open(path, framework="pt") as file:
            yield file
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a readable safetensors file ({one_line(error)[:300]})") from None


def parse_description(path: str | Path, text: str | None) -> ModelInfo | None:
    """Returns the description in a file's metadata; None for a file without one.

    Raises:
        ValueError: for a text that is not of this format.
    """
    try:
        return ModelInfo.from_json(text) if text is not None else None
    except KeyError as error:
        raise ValueError(f"{path}: its description cannot be read: it has no {error}") from None
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its description cannot be read: {error}") from None


def read_torch(path: str | Path, device: str | torch.device = "cpu") -> Any:
    """Reads a torch file of tensors, plain values and what `stand_ins` lists, without running code from it.

    Raises:
        ValueError: for any other file, and for tensors that are too large for the file, see `check_torch`.
    """
    try:
        check_packed(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals(STAND_INS):
            warnings.simplefilter("ignore")  # torch warns about pickle protocols, also for files that it then refuses
            content = torch.load(path, map_location=device, weights_only=True)
        check_tensors(path, content)
        return content
    except TooLargeError:
        raise
    except pickle.UnpicklingError as error:  # torch's own text recommends to load it with weights_only=False
        raise ValueError(
            f"{path}: not a torch file of tensors and plain values; others could run code{foreign_name(error)}. If you "
            "trust it, save its weights alone where it was made: torch.save(checkpoint['state_dict'], path)"
        ) from None
    except Exception as error:  # a damaged file raises errors of nearly any type
        raise ValueError(f"{path}: not a readable torch file ({one_line(error)[:200]})") from None


def foreign_name(error: Exception) -> str:
    """Returns " (NAME)" for an error of torch that tells which function or class a file asks for, else ""."""
    found = re.search(r"(?:GLOBAL|import of module) ([\w.]{1,100})", str(error))
    return f" ({found[1]})" if found else ""


def load_model(path: str | Path, device: str | torch.device = "cpu") -> tuple[Network, ModelInfo]:
    """Returns the network of a model file, ready to predict (in eval mode), and its description.

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
        raise ValueError(f"{path}: the weights do not fit their description: {one_line(error)[:300]}") from None
    # Channels-last, as the input (`Network.forward`): convolutions then need no copies.
    return network.eval().to(device, memory_format=torch.channels_last), info  # type: ignore[call-overload, no-any-return]


def start_from(network: Network, path: str | Path) -> list[str]:
    """Copies all weights that fit from a file into a network, before it is trained.

    Args:
        network: is changed in place.
        path: a model file, or a safetensors file with weights of the network's body alone (``ae convert``).

    Returns:
        the names of parameters that keep their fresh values: the file has none of this name and shape.

    Raises:
        ValueError: when hardly anything fits, see `check_fit`.
    """
    state, info = read_weights(path)
    if info is None:
        state = {f"body.{name}": value for name, value in state.items()}
    own = network.state_dict()
    fitting = {name: v for name, v in state.items() if name in own and own[name].shape == v.shape}
    try:
        check_fit(own.keys(), state.keys(), fitting.keys())
    except ValueError as error:
        known = "" if info is None else f" is of the backbone {info.backbone}, and"
        raise ValueError(f"{path}:{known} {error}") from None
    network.load_state_dict(fitting, strict=False)
    return sorted(own.keys() - fitting.keys())


def check_fit(own: Set[str], given: Set[str], fitting: Set[str]) -> None:
    """Checks that a network starts with enough of a file's weights; the rest is trained from random values.

    All of an encoder must fit: pyramids and heads are useless behind a fresh one, however many of them fit. Networks
    without an encoder may differ in the number of stacks, so half of the smaller side must fit.

    Args:
        own: names of the network's tensors.
        given: names of the file's tensors.
        fitting: the names of equal shape in both.

    Raises:
        ValueError: with the numbers; the message lacks the file's name.
    """
    if not fitting:
        raise ValueError(f"none of its {len(given)} weights fits this network; set network.backbone to the file's")
    fresh = f"{len(own) - len(fitting)} of {len(own)} tensors do not fit"
    encoder = {name for name in own if name.startswith("body.encoder.")}
    if encoder - fitting:
        raise ValueError(
            f"has an encoder of other shapes than this network ({fresh}); set network.backbone to the file's"
        )
    if not encoder and 2 * len(fitting) < min(len(own), len(given)):
        raise ValueError(f"hardly fits this network ({fresh}); set network.backbone and its options to the file's")
