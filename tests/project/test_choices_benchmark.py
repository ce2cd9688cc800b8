"""`benchmarks/choices.py` makes the table and the picture of docs/which-model.md from its numbers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.extra]
PAGE = (ROOT / "docs" / "which-model.md").read_text(encoding="utf-8")


def test_table_and_picture(tmp_path: Path) -> None:
    """The settings of the page are those of the script, in its order; equal numbers give equal pictures."""
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    settings = re.findall(r"^\| `(person[^`]*)` \| 0", PAGE, re.MULTILINE)
    rows = {name: {"ms": [10.0 + i, 20.0 + i, 90.0], "ap": 0.5, "ar": 0.6} for i, name in enumerate(settings)}
    (tmp_path / "numbers.json").write_text(json.dumps({name: {**row, "results": []} for name, row in rows.items()}))
    script = ROOT / "benchmarks" / "choices.py"
    pictures = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for picture in pictures:
        command = [sys.executable, script, "--again", tmp_path / "numbers.json", "--plot", picture]
        printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    lines = printed.splitlines()
    assert lines[0] == "| 3 images | AP | AR | ms | time |"
    assert [line.split("`")[1] for line in lines[2:]] == settings
    assert lines[2] == "| `person` | 0.500 | 0.600 | 20 | 1.00 |"
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
