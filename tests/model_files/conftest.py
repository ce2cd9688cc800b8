"""Fixtures of the tests of model files."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an empty cache of graphs, which does not exist yet; nothing says which runtime auto is."""
    monkeypatch.delenv("AE_RUNTIME")
    monkeypatch.setenv("AE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
