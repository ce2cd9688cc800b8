"""Fixtures for training."""

from __future__ import annotations

from pathlib import Path

import pytest

from associative_embedding.data.settings import SourceConfig
from associative_embedding.training.train import train
from support.tiny import tiny_data, tiny_recipe


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    """Six synthetic images of 64 x 64 pixels, the size of ``tiny_recipe``. Tests must not change the files."""
    return tiny_data(tmp_path_factory.mktemp("train"))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, source: SourceConfig) -> Path:
    """The folder of a run of 12 steps without a stop, to compare interrupted runs with."""
    return train(tiny_recipe(tmp_path_factory.mktemp("whole"), source)).parent
