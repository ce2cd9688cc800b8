"""The choice of the device that runs the network."""

from __future__ import annotations

import os

import torch


def choose_device(name: str | torch.device) -> torch.device:
    """Returns a device after a trial computation on it.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1`` ..., or ``auto``: a GPU if there is one, else the CPU. Under torchrun
            ``auto`` gives each process the GPU of its local rank.

    Raises:
        ValueError: when the device does not exist or does not work.
    """
    if name == "auto":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()  # "meta" and devices without a driver fail here, not in the middle of work
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device {str(name)!r} cannot be used: {str(error).splitlines()[0]}") from None
    return device
