"""Fixtures for every folder: real data, and small data and models that are made once in a process of tests.

The package is imported inside of the fixtures: the tests of one room run also where a room above it does not import.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.paths import ROOT

if TYPE_CHECKING:
    from associative_embedding.data.settings import SourceConfig

# Exporting every small model that a test makes would take longer than the test.
# tests/model_files/test_runtime.py removes the variable.
os.environ["AE_RUNTIME"] = "torch"
# Several threads of a small network wait for each other more than they compute, on a busy machine for minutes; and the
# last bit of a sum depends on their number. Set before PyTorch is imported; processes that tests start have it, too.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> Iterator[None]:
    """Python's handler of Ctrl-C, also where the tests were started with SIGINT ignored.

    A shell without job control starts background jobs like that, and Python then leaves the signal ignored: tests of
    interrupts would wait for nothing. Processes that a test starts have the signal's default again.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def remarks_of_one_test() -> None:
    """A remark is printed once in a process, which is a command elsewhere and many tests here."""
    from associative_embedding.io.console import remark

    remark.cache_clear()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and published values, beside the checkout or at AE_SHARED."""
    path = Path(os.environ.get("AE_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        pytest.skip("needs the shared folder with real data and published values (set AE_SHARED)")
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model file of a small network with random weights that finds poses in images of 96 pixels."""
    from support.tiny import tiny_model

    return tiny_model(tmp_path_factory.mktemp("model") / "model.safetensors", backbone="mobilenet_v2", input_size=96)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    """Five synthetic images of 128 x 160 pixels with two or three figures each. Tests must not change the files."""
    from support.tiny import tiny_data

    return tiny_data(tmp_path_factory.mktemp("source"), images=5, size=(128, 160), people=(2, 3))


@pytest.fixture(scope="session")
def videos_json(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The COCO json of two drawn videos of six frames each; the frames are in ``images`` beside it."""
    from associative_embedding.data.synthetic.videos import write_moving_dataset
    from support.tiny import FIGURE

    return str(write_moving_dataset(tmp_path_factory.mktemp("moving"), FIGURE, 2, 6, size=(64, 96), people=(2, 2)))


@pytest.fixture
def video(tmp_path: Path) -> str:
    """An mp4 of 20 frames, 10 per second; see support/video_files.py."""
    from support.video_files import write

    return write(tmp_path / "a.mp4")
