"""The state of a training run: all that a run needs to continue as if it had never stopped."""

from __future__ import annotations

import io
import math
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any

import torch

from associative_embedding.io.files import atomic_write
from associative_embedding.model_files.check_network import check_size
from associative_embedding.model_files.checkpoint import read_torch, start_from
from associative_embedding.model_files.find import model_path
from associative_embedding.model_files.model_info import MODEL_FILE
from associative_embedding.networks.network import Network
from associative_embedding.networks.zoo import build_network
from associative_embedding.training.identity import ADVICE, Identity, check_model, check_state
from associative_embedding.training.optimizer import build_optimizer, set_training
from associative_embedding.training.recipe import Recipe

STATE_FILE = "state.pt"  # in the output folder


@dataclass
class TrainingState:
    """Network, optimiser and step of a run.

    Attributes:
        network: in training mode, except its frozen batch norms.
        optimizer: updates the parameters that are not frozen.
        average: network whose weights are the moving average, in eval mode; None without ``train.ema``.
        scaler: scales the loss in mixed precision, so that half-precision gradients do not vanish; else disabled.
        fresh: names of the weights that the file ``network.start`` lacks.
        step: number of steps done.
        seconds: time of the run until this state; 0 without a time budget.
    """

    network: Network
    optimizer: torch.optim.Optimizer
    average: Network | None
    scaler: torch.amp.GradScaler
    fresh: list[str]
    step: int = 0
    seconds: float = 0.0

    @property
    def best(self) -> Network:
        """The network to validate and to save as the model: the average, if there is one."""
        return self.average or self.network


def build_state(recipe: Recipe, channels: int, device: torch.device) -> TrainingState:
    """Returns the state of a run before its first step; the weights depend on the recipe alone.

    Args:
        recipe: its sections network and train.
        channels: C, heatmap channels.
        device: where to train.

    Raises:
        ValueError: for options or a start file that cannot be used.
    """
    config = recipe.network
    build = partial(build_network, config.backbone, channels, config.tag_size, config.options)
    check_size(build)
    torch.manual_seed(recipe.train.seed)  # for the fresh weights; samples have random numbers of their own
    network = build()
    fresh = start_from(network, start_file(config.start)) if config.start else []
    # Channels-last before the average and the optimiser copy or hold the weights.
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = deepcopy(network).eval() if recipe.train.ema else None
    optimizer = build_optimizer(network.body, recipe.train, tuple(config.frozen))
    set_training(network)
    return TrainingState(
        average=average,
        network=network,
        optimizer=optimizer,
        scaler=torch.amp.GradScaler(device.type, enabled=recipe.train.amp and device.type == "cuda"),
        fresh=fresh,
    )


def start_file(name: str) -> Path:
    """Returns the file that ``network.start`` names, see `find.model_path`."""
    try:
        return model_path(name)
    except ValueError as error:
        raise ValueError(f"network.start: {error}") from None


def save_state(output: Path, state: TrainingState, identity: Identity, keep: int) -> None:
    """Writes ``state.pt``, and also ``state-<step>.pt``, of which the last ones are kept.

    A kill at any moment leaves the previous or the new file, never a part of it.

    Args:
        output: folder of the run.
        state: what to write.
        identity: of the run, see `identity_of`.
        keep: number of numbered files; 0 = none is written.
    """
    buffer = io.BytesIO()
    torch.save(
        {
            "step": state.step,
            "network": state.network.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "average": state.average.state_dict() if state.average else None,
            "scaler": state.scaler.state_dict(),
            "identity": identity,
            # Only with a budget: a run without one ends with the same state however long it took.
            **({"seconds": state.seconds} if state.seconds else {}),
        },
        buffer,
    )
    data = buffer.getvalue()
    if keep:
        atomic_write(output / f"state-{state.step:08d}.pt", data)
        # Step numbers are padded with zeros, so that names sort by step.
        for old in sorted(output.glob(f"state-{'[0-9]' * 8}.pt"))[:-keep]:
            old.unlink()
    atomic_write(output / STATE_FILE, data)


def load_state(output: Path, state: TrainingState, identity: Identity, steps: int) -> None:
    """Loads ``state.pt`` from the folder of a run, if it is there.

    Args:
        output: folder of the run.
        state: of the run before its first step; is changed.
        identity: of the run, see `identity_of`.
        steps: number of steps of the run.

    Raises:
        ValueError: when the file cannot be read, or is of another run, or has more steps.
    """
    path, model = output / STATE_FILE, output / MODEL_FILE
    if not path.is_file():
        if model.is_file():
            raise ValueError(
                f"{model}: there is no {STATE_FILE} beside it to continue from; choose another output folder"
            )
        return
    saved = read_state(path, state.network.device)
    check_state(path, saved["identity"], identity)
    check_model(model, identity)
    if saved["step"] > steps:
        raise ValueError(f"{path}: has {saved['step']} steps, more than train.steps = {steps}")
    try:
        state.network.load_state_dict(saved["network"])
        load_optimizer(state.optimizer, saved["optimizer"])
        if state.average is not None:  # a run that turns on `ema` starts its average from the weights
            state.average.load_state_dict(saved["average"] or saved["network"])
    except (RuntimeError, ValueError):  # other parameters are frozen
        raise ValueError(f"{path}: does not fit the recipe's frozen or lr_factors; {ADVICE}") from None
    except (TypeError, LookupError, AttributeError):  # what torch does not expect at all
        raise ValueError(f"{path}: not a training state; remove it") from None
    if saved.get("scaler"):  # empty if mixed precision was off, as on a CPU
        state.scaler.load_state_dict(saved["scaler"])
    state.step = saved["step"]
    seconds = saved.get("seconds", 0.0)
    state.seconds = float(seconds) if isinstance(seconds, (int, float)) and 0 <= seconds < math.inf else 0.0


def read_state(path: Path, device: torch.device) -> dict[str, Any]:
    """Returns the content of a ``state.pt``.

    Raises:
        ValueError: for a file that is damaged or no training state.
    """
    try:
        saved = read_torch(path, device)
    except ValueError as error:
        raise ValueError(f"{error}; remove it") from None
    kinds: dict[str, Any] = {
        "step": int,
        "network": dict,
        "optimizer": dict,
        "average": (dict, NoneType),
        "identity": (dict, str),
    }
    if not isinstance(saved, dict) or not all(isinstance(saved.get(name, ...), kind) for name, kind in kinds.items()):
        raise ValueError(f"{path}: not a training state; remove it")
    return saved


def load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Loads the moments of a saved optimiser, and keeps the decay and factors of this one.

    A recipe may change between two runs, and torch would load the old settings together with the moments.
    """
    settings = [
        {key: value for key, value in group.items() if key not in ("params", "lr")} for group in optimizer.param_groups
    ]
    optimizer.load_state_dict(saved)
    for group, setting in zip(optimizer.param_groups, settings, strict=True):
        group.update(setting)
