"""The device that runs a network, and the number of threads: chosen without torch as torch would choose them."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from associative_embedding.inference.load import load
from associative_embedding.networks import device
from associative_embedding.networks.device import choose_device, may_have_gpu, siblings_of, thread_count
from support.tiny import FIGURE

CPU_BUILD = "from typing import Optional\ncuda: Optional[str] = None\nhip: Optional[str] = None\n"
CUDA_BUILD = CPU_BUILD + "cuda = '12.8'\n"
HIP_BUILD = CPU_BUILD + "hip = '6.4'\n"


def test_devices(model: str) -> None:
    assert load(model).device == load(model, device="auto").device
    assert load(model, device="auto").device.split(":")[0] in ("cpu", "cuda")
    for name in ("cuda:99", "toaster"):
        with pytest.raises(ValueError, match=f"device '{name}' cannot be used") as caught:
            load(model, device=name)
        assert "\n" not in str(caught.value)
    assert load(model).info.task.skeleton == FIGURE


def test_devices_have_texts() -> None:
    for name in ("cpu", "cpu:0", torch.device("cpu")):
        assert choose_device(name) == "cpu"
    with pytest.raises(ValueError, match="device 'meta' cannot be used"):
        choose_device("meta")


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if torch was not imported; an import of it fails."""
    import_module = builtins.__import__

    def refuse(name: str, *arguments: Any) -> Any:
        assert name != "torch"
        return import_module(name, *arguments)

    monkeypatch.setattr(device, "sys", SimpleNamespace(modules={}, platform="linux"))
    monkeypatch.setattr(builtins, "__import__", refuse)


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, version: str | None, files: tuple[Path, ...] = ()) -> None:
    """Makes a torch with the text of a version.py, and the files that drivers make."""
    spec = ModuleSpec("torch", None, origin=str(folder / "torch" / "__init__.py"))
    (folder / "torch").mkdir()
    if version is not None:
        (folder / "torch" / "version.py").write_text(version)
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: spec if name == "torch" else None)
    monkeypatch.setattr(device, "GPU_FILES", tuple(map(str, files)))


@pytest.mark.usefixtures("no_torch")
@pytest.mark.parametrize(
    ("version", "driver", "expected"),
    [
        (CPU_BUILD, True, False),
        (CUDA_BUILD, False, False),
        (CUDA_BUILD, True, True),
        (HIP_BUILD, True, True),
        ("cuda = '12.8'\n", True, True),
        ("", True, False),
        # What is not understood is left to torch.
        (None, False, True),
        ("cuda = (", False, True),
        ("from torch_of_somebody import cuda", False, True),
    ],
)
def test_a_gpu_needs_a_build_and_a_driver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str | None, driver: bool, expected: bool
) -> None:
    file = tmp_path / "nvidiactl"
    if driver:
        file.touch()
    install(monkeypatch, tmp_path, version, (tmp_path / "kfd", file))
    assert may_have_gpu() == expected
    if not expected:
        assert choose_device("auto") == "cpu"


@pytest.mark.usefixtures("no_torch")
def test_other_systems_have_no_files_of_drivers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, CUDA_BUILD)
    monkeypatch.setattr(device.sys, "platform", "win32")
    assert may_have_gpu()


@pytest.mark.usefixtures("no_torch")
def test_without_torch_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: None)
    assert choose_device("auto") == "cpu"


def test_torch_is_asked_where_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for available in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert may_have_gpu() == available
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert thread_count() == 7


@pytest.mark.usefixtures("no_torch")
@pytest.mark.parametrize(
    ("given", "expected"),
    [("3", 3), (" 2 ", 2), ("4,2", 4), ("0", 5), ("-1", 5), ("many", 5), ("", 5), ("\u00b2", 5), (None, 5)],
)
def test_the_threads_are_those_of_openmp(monkeypatch: pytest.MonkeyPatch, given: str | None, expected: int) -> None:
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda process: set(range(5)), raising=False)
    monkeypatch.setattr(device, "siblings_of", str)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert thread_count() == expected


@pytest.mark.usefixtures("no_torch")
def test_two_hardware_threads_are_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda process: {0, 1, 4, 6}, raising=False)
    monkeypatch.setattr(device, "siblings_of", lambda core: f"{core % 4},{core % 4 + 4}\n")
    assert thread_count() == 3  # 0 and 4 are one
    monkeypatch.delattr(device.os, "sched_getaffinity")
    monkeypatch.setattr(device.os, "cpu_count", lambda: None)
    assert thread_count() == 1


def test_a_core_that_the_system_does_not_describe() -> None:
    assert siblings_of(10**6) == "1000000"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux keeps a process to some cores")
def test_a_process_of_one_core_has_one_thread() -> None:
    code = (
        "import os, sys; os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1]); "
        "from associative_embedding.networks.device import thread_count; own = thread_count(); "
        "assert 'torch' not in sys.modules; import torch; print(own, thread_count())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert result.stdout.split() == ["1", "1"]
