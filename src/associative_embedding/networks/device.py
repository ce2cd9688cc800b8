"""The device that runs the network, and the number of threads on a CPU; neither imports torch early."""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from pathlib import Path
from typing import Any

CPU = "cpu"
# What the drivers of GPUs make on Linux: NVIDIA's (the first only once a program has used it), that of its Jetson
# boards, AMD's, and either's under WSL.
GPU_FILES = ("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/nvmap", "/dev/kfd", "/dev/dxg")


def choose_device(name: Any) -> str:
    """Returns the name of a device after a trial computation on it; on the CPU nothing is tried.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1`` ... (or a `torch.device`), or ``auto``: a GPU if there is one, else the CPU.
            Under torchrun ``auto`` gives each process the GPU of its local rank.

    Raises:
        ValueError: when the device does not exist or does not work.
    """
    name = str(name)
    if name == CPU or (name == "auto" and not may_have_gpu()):
        return CPU
    import torch

    if name == "auto":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else CPU
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()  # "meta" and devices without a driver fail here, not in the middle of work
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device {name!r} cannot be used: {str(error).splitlines()[0]}") from None
    return CPU if device.type == CPU else str(device)


def may_have_gpu() -> bool:
    """Returns whether torch was built for GPUs, and this machine has a driver of one; only then torch is asked.

    Where torch is imported already, it knows.
    """
    if "torch" in sys.modules:
        import torch  # waits where another thread is still importing it

        return torch.cuda.is_available()
    found = importlib.util.find_spec("torch")
    if found is None or not found.origin:
        return False
    try:  # a few lines that name the versions torch was built with
        built = runpy.run_path(str(Path(found.origin).with_name("version.py")))
    except Exception:  # another version of torch may have another file
        return True
    if not (built.get("cuda") or built.get("hip")):
        return False
    return not sys.platform.startswith("linux") or any(map(os.path.exists, GPU_FILES))


def thread_count() -> int:
    """Returns the threads of a runtime: as PyTorch where it is imported, so that one setting holds for all of them.

    Else ``OMP_NUM_THREADS``, or the cores that this process may use; two hardware threads of one core count once.
    """
    if "torch" in sys.modules:
        import torch  # see `may_have_gpu`

        return torch.get_num_threads()
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # OpenMP takes one number for each level
    if given.isdecimal() and int(given):
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len({siblings_of(core) for core in os.sched_getaffinity(0)})
    return os.cpu_count() or 1


def siblings_of(core: int) -> str:
    """Returns a text that all hardware threads of one core share; the number where the system is silent."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text("ascii")
    except OSError:
        return str(core)
