"""Which device computes."""

from __future__ import annotations

import os

import torch


def choose_device(name: str | torch.device) -> torch.device:
    """A device that works.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1`` ..., or ``auto`` = a GPU if there is one (under torchrun
            each process its own).

    Raises:
        ValueError: when the device is not there.
    """
    if name == "auto":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()  # "meta" and devices without a driver fail here
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device {str(name)!r} cannot be used: {str(error).splitlines()[0]}") from None
    return device
