"""Code fits beside the navigation in a window of 1280 pixels; narrower ones wrap it (docs/assets/site.css)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.paths import ROOT

WIDEST = 130  # characters, measured in Chromium
BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_code_fits_the_page(page: Path) -> None:
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert [line for block in blocks for line in block.splitlines() if len(line) > WIDEST] == []
