"""ONNX Runtime runs what it is given, and does nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.tiny import tiny_model

pytestmark = pytest.mark.extra

RUN = """
import sys, numpy, associative_embedding as ae
ae.load(sys.argv[1], runtime="onnx")(numpy.zeros((64, 64, 3), numpy.uint8))
"""


@pytest.mark.slow
def test_nothing_is_sent_to_the_makers_of_onnx_runtime(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "AE_CACHE": str(tmp_path / "graphs")}
    model = tiny_model(tmp_path / "tiny.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", RUN, model], env={**environment, **places}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert not list(home.iterdir())  # before it sends anything, it writes an identifier and a data base
