"""How weights change: parameter groups, learning rate, moving average."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from associative_embedding.training.recipe import TrainConfig


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then the schedule; a pure function of the step."""
    rise = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    if config.schedule == "constant":
        return config.lr * rise
    if config.schedule == "step":
        return float(config.lr * rise * config.drop_factor ** sum(step >= drop for drop in config.drops))
    progress = min(1.0, step / config.steps)
    return config.lr * rise * (config.lr_end + (1 - config.lr_end) * 0.5 * (1 + math.cos(math.pi * progress)))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Every parameter group gets `rate` times its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def set_training(network: nn.Module) -> None:
    """Training mode, but batch norms whose weights are frozen keep their statistics, too."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train(all(parameter.requires_grad for parameter in module.parameters()))


def parameter_groups(body: nn.Module, config: TrainConfig, frozen: tuple[str, ...]) -> list[dict[str, Any]]:
    """Parameters by learning-rate factor and decay; frozen ones get no gradient. Biases and norms do not decay.

    Raises:
        ValueError: when a prefix matches no parameter, or all are frozen.
    """
    names = [name for name, _ in body.named_parameters()]
    for prefix in (*frozen, *config.lr_factors):
        if not any(name.startswith(prefix) for name in names):
            heads = ", ".join(sorted({name.split(".")[0] for name in names}))
            raise ValueError(f"no parameter of the network starts with {prefix!r}; there are {heads}")
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in body.named_parameters():
        parameter.requires_grad_(not name.startswith(frozen) if frozen else True)
        if parameter.requires_grad:
            prefix = max((p for p in config.lr_factors if name.startswith(p)), key=len, default="")
            key = (config.lr_factors.get(prefix, 1.0), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    if not groups:
        raise ValueError("network.frozen freezes every parameter")
    decay = config.weight_decay if config.optimizer == "adamw" else 0.0
    return [
        {"params": params, "factor": factor, "weight_decay": decay if decays else 0.0}
        for (factor, decays), params in groups.items()
    ]


def build_optimizer(body: nn.Module, config: TrainConfig, frozen: tuple[str, ...]) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(parameter_groups(body, config, frozen), lr=config.lr)


def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of the weights; the decay rises with the steps so that early weights are forgotten."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for old, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - decay)
            else:
                old.copy_(new)
