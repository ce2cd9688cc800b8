"""What a training run must keep to go on as if it had never stopped."""

from __future__ import annotations

import io
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from associative_embedding.io.files import atomic_write
from associative_embedding.model_files.checkpoint import read_torch, start_from
from associative_embedding.model_files.find import model_path
from associative_embedding.networks.network import Network
from associative_embedding.networks.zoo import build_network
from associative_embedding.training.optimizer import build_optimizer, set_training
from associative_embedding.training.recipe import Recipe

NAME = "state.pt"


@dataclass
class TrainingState:
    """
    Attributes:
        network: in training mode, as far as it is not frozen.
        optimizer: of its parameters.
        average: the moving average of its weights, or None.
        scaler: of mixed precision's gradients; disabled, it does nothing.
        fresh: the names of weights that ``network.start`` did not have.
        step: steps done.
    """

    network: Network
    optimizer: torch.optim.Optimizer
    average: Network | None
    scaler: torch.amp.GradScaler
    fresh: list[str]
    step: int = 0

    @property
    def best(self) -> Network:
        """What is validated and shipped."""
        return self.average or self.network


def build_state(recipe: Recipe, channels: int, device: torch.device) -> TrainingState:
    """A run before its first step; the weights depend on the recipe alone.

    Args:
        channels: C, heatmap channels.
    """
    config = recipe.network
    torch.manual_seed(recipe.train.seed)
    network = build_network(config.backbone, channels, config.tag_size, config.options)
    fresh = start_from(network, start_file(config.start)) if config.start else []
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
    """The file of `network.start`: a shipped model's name or a path."""
    try:
        return model_path(name)
    except ValueError as error:
        raise ValueError(f"network.start: {error}") from None


def save_state(output: Path, state: TrainingState, recipe: Recipe) -> None:
    """Write ``state.pt`` atomically: a kill at any moment leaves the previous or the new one, whole.

    The last ``train.keep`` states stay as ``state-<step>.pt`` too.
    """
    buffer = io.BytesIO()
    torch.save(
        {
            "step": state.step,
            "network": state.network.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "average": state.average.state_dict() if state.average else None,
            "scaler": state.scaler.state_dict(),
            "identity": identity(recipe),
        },
        buffer,
    )
    data = buffer.getvalue()
    if recipe.train.keep:
        atomic_write(output / f"state-{state.step:08d}.pt", data)
        for old in sorted(output.glob("state-*.pt"))[: -recipe.train.keep]:
            old.unlink()
    atomic_write(output / NAME, data)


def load_state(output: Path, state: TrainingState, recipe: Recipe, device: torch.device) -> None:
    """Continue from the ``state.pt`` of a run's folder, if it has one.

    Raises:
        ValueError: when the file cannot be read or is of another network.
    """
    path = output / NAME
    if not path.is_file():
        return
    saved = read_state(path, device)
    if saved.get("identity") != identity(recipe):
        raise ValueError(f"{path}: is of another network or seed; choose another output folder, or remove it")
    if saved["step"] > recipe.train.steps:
        raise ValueError(f"{path}: has {saved['step']} steps, more than train.steps = {recipe.train.steps}")
    try:
        state.network.load_state_dict(saved["network"])
        load_optimizer(state.optimizer, saved["optimizer"])
        if state.average is not None:
            state.average.load_state_dict(saved["average"] or saved["network"])
    except (RuntimeError, ValueError):  # another skeleton, or other parameters are frozen
        raise ValueError(
            f"{path}: does not fit the recipe's skeleton, frozen or lr_factors; choose another output folder"
        ) from None
    if saved.get("scaler"):
        state.scaler.load_state_dict(saved["scaler"])
    state.step = saved["step"]


def read_state(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        saved = read_torch(path, device)
    except ValueError as error:
        raise ValueError(f"{error}; remove it") from None
    if not isinstance(saved, dict) or not {"step", "network", "optimizer", "average", "identity"} <= saved.keys():
        raise ValueError(f"{path}: not a training state; remove it")
    return saved


def load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """The moments of the saved optimizer, with the settings of this one: a recipe may change between two runs."""
    settings = [
        {key: value for key, value in group.items() if key not in ("params", "lr")} for group in optimizer.param_groups
    ]
    optimizer.load_state_dict(saved)
    for group, setting in zip(optimizer.param_groups, settings, strict=True):
        group.update(setting)


def identity(recipe: Recipe) -> str:
    """What must not change between a run and its continuation."""
    network = asdict(recipe.network)
    return repr((network["backbone"], network["tag_size"], sorted(network["options"].items()), recipe.train.seed))
