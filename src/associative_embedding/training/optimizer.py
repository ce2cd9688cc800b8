"""The update of the weights: parameter groups, learning rate, moving average."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from associative_embedding.training.recipe import TrainConfig


def schedule_step(config: TrainConfig, step: int, share: float) -> float:
    """Returns the step of the schedules that belongs to a step of a run with a time budget.

    Args:
        config: its `steps`.
        step: number of steps done.
        share: used share of the budget, in [0, 1]; 0 without one.
    """
    # A run that is too slow for its steps is as far in its schedules as in its budget.
    return max(step, share * config.steps)


def learning_rate(config: TrainConfig, step: float) -> float:
    """Returns the learning rate of a step: a linear warm-up times the schedule; see `schedule_step`."""
    # Computed from the step alone, without a scheduler's state: a resumed run continues with the same rates.
    rise = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    if config.schedule == "constant":
        return config.lr * rise
    if config.schedule == "step":
        return float(config.lr * rise * config.drop_factor ** sum(step >= drop for drop in config.drops))
    # Half a cosine, from `lr` down to `lr * lr_end` (Loshchilov and Hutter, ICLR 2017, equation 5, without restarts).
    progress = min(1.0, step / config.steps)
    return config.lr * rise * (config.lr_end + (1 - config.lr_end) * 0.5 * (1 + math.cos(math.pi * progress)))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of every parameter group: `rate` times the group's factor from ``train.lr_factors``."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def set_training(network: nn.Module) -> None:
    """Switches a network to training mode, except batch norms whose weights are frozen: their statistics stay, too."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train(all(parameter.requires_grad for parameter in module.parameters()))


def parameter_groups(body: nn.Module, config: TrainConfig, frozen: tuple[str, ...]) -> list[dict[str, Any]]:
    """Groups the parameters by learning-rate factor and weight decay, and turns off the gradients of frozen ones.

    Args:
        body: network without its wrapper, so that names in a recipe need no ``body.`` in front.
        config: optimiser, decay and factors.
        frozen: beginnings of the names of frozen parameters.

    Raises:
        ValueError: when a prefix matches no parameter, or no parameter is trained.
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
            # Biases and norms (one dimension) do not decay, as is usual: a smaller offset or scale is no simpler model.
            key = (config.lr_factors.get(prefix, 1.0), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    if not groups:
        raise ValueError("network.frozen freezes every parameter")
    if not any(factor for factor, _ in groups):
        raise ValueError("train.lr_factors are 0 for every parameter: nothing would be learned")
    # torch's Adam adds the decay to the gradient, which its own scaling distorts; only AdamW decays the weights.
    decay = config.weight_decay if config.optimizer == "adamw" else 0.0
    return [
        {"params": params, "factor": factor, "weight_decay": decay if decays else 0.0}
        for (factor, decays), params in groups.items()
    ]


def build_optimizer(body: nn.Module, config: TrainConfig, frozen: tuple[str, ...]) -> torch.optim.Optimizer:
    """Returns Adam or AdamW over the groups of `parameter_groups`, see there."""
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(parameter_groups(body, config, frozen), lr=config.lr)


def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Updates the exponential moving average of the weights and of the statistics of batch norms.

    Args:
        average: network that holds the average.
        network: network that was trained by a step.
        decay: highest share of the old average, 0 to 1.
        step: number of this step, from 0.
    """
    # It rises with the steps (0.1, 2/11, 3/12 ...): a high decay would keep the first weights for thousands of steps.
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for old, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - decay)
            else:
                old.copy_(new)  # counters of batch norms are whole numbers
