"""Fixtures for training."""

from __future__ import annotations

import pytest

from associative_embedding.data.settings import SourceConfig
from support.tiny import tiny_data


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    """Six synthetic images of 64 x 64 pixels, the size of ``tiny_recipe``. Tests must not change the files."""
    return tiny_data(tmp_path_factory.mktemp("train"))
