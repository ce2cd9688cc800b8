"""What several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# exporting every small model that a test makes would take longer than the test; tests/model_files/test_runtime.py does without this
os.environ["AE_RUNTIME"] = "torch"

from support.paths import ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and published values, beside the checkout (or where AE_SHARED says)."""
    path = Path(os.environ.get("AE_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        pytest.skip("needs the shared folder with real data and published values (set AE_SHARED)")
    return path
