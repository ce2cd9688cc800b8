"""A few changed inputs for each reader, and the service: benchmarks/fuzz.py reads as many as there is time for."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("av", reason="needs the extra [video]")
pytest.importorskip("h5py", reason="needs the extra [sleap]")
pytest.importorskip("onnx", reason="needs the extra [onnx]")
pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("httpx", reason="needs httpx")

from support.fuzz_targets import TARGETS
from support.fuzzing import FindError, Target, check, inputs, work
from support.paths import ROOT

pytestmark = [pytest.mark.extra, pytest.mark.slow]

# A damaged HDF5 file can hold the library for ever, in which it cannot be interrupted: only the valid one.
RUNS = {"sleap": 1, "requests": 14, "recipe": 25}


@pytest.mark.parametrize("name", TARGETS)
def test_some_inputs(name: str) -> None:
    target = TARGETS[name]
    for data in islice(inputs(target, seed=7), RUNS.get(name, 40)):
        check(target, data)


def test_the_same_seed_gives_the_same_inputs() -> None:
    target = Target(len, lambda: [b'{"a": 1}\n"b"', b"x" * 40], text=True)
    first, again, other = (list(islice(inputs(target, seed), 200)) for seed in (1, 1, 2))
    assert first == again != other
    assert first[:2] == target.seeds()
    assert len(set(first)) > 100


def test_what_is_a_find(tmp_path: Path) -> None:
    def read(data: bytes) -> None:
        if data.startswith(b"k"):
            raise KeyError("x")
        if data.startswith(b"v"):
            raise ValueError("two\nlines" if data.endswith(b"n") else "one line")

    target = Target(read, lambda: [b"k"])
    check(target, b"v")
    for data, message in ((b"k", "KeyError"), (b"vn", "several lines")):
        with pytest.raises(FindError, match=message):
            check(target, data)
    assert work(target, 0, 0.05, tmp_path) > 0
    assert (tmp_path / "find-KeyError-x-").read_bytes() == b"k"
    assert (tmp_path / "current").exists()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the worker by Linux's /proc")
def test_a_worker_ends_with_the_script_that_started_it() -> None:
    """Otherwise one that hangs keeps a core busy for ever after `timeout` has stopped the script."""
    script = subprocess.Popen([sys.executable, str(ROOT / "benchmarks/fuzz.py"), "losses", "--seconds", "60"])
    children = Path(f"/proc/{script.pid}/task/{script.pid}/children")
    end = time.monotonic() + 60
    while not (workers := children.read_text().split()) and time.monotonic() < end:
        time.sleep(0.1)
    script.terminate()
    assert script.wait(timeout=30) == 1
    assert workers
    assert not Path(f"/proc/{workers[0]}").exists()
