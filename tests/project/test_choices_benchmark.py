"""`benchmarks/choices.py` makes the table and the picture of docs/which-model.md from its numbers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from support.paths import ROOT
from support.tiny import photo

pytestmark = [pytest.mark.slow, pytest.mark.extra]
PAGE = (ROOT / "docs" / "which-model.md").read_text(encoding="utf-8")


def test_table_and_picture(tmp_path: Path) -> None:
    """The settings of the page are those of the script, in its order; equal numbers give equal pictures."""
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    settings = re.findall(r"^\| `(person[^`]*)` \| 0", PAGE, re.MULTILINE)
    rows = {
        name: {"ms": [10.0 + i, 20.0 + i, 90.0], "all_ms": [30.0, 40.0 + i, 90.0], "ap": 0.5, "ar": 0.6}
        for i, name in enumerate(settings)
    }
    (tmp_path / "numbers.json").write_text(json.dumps({name: {**row, "results": []} for name, row in rows.items()}))
    script = ROOT / "benchmarks" / "choices.py"
    pictures = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for picture in pictures:
        command = [sys.executable, script, "--again", tmp_path / "numbers.json", "--plot", picture]
        printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    lines = printed.splitlines()
    assert lines[0] == "| 3 images | AP | AR | ms | mean | time | everybody, ms |"
    assert [line.split("`")[1] for line in lines[2:]] == settings
    assert lines[2] == "| `person` | 0.500 | 0.600 | 20 | 40 | 1.00 | 40 |"
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_times_are_of_the_models_of_the_readme(tmp_path: Path) -> None:
    """One table has the rows of README's table of models, in its order."""
    for name in ("photos", "cells"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), photo())
    script = ROOT / "benchmarks" / "choices.py"
    command = [sys.executable, script, "--time", "--images", tmp_path / "photos", "--cells", tmp_path / "cells"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    rows = re.findall(r"^\| `([^`]+)` \| (\d+) \|$", printed, re.MULTILINE)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name, _ in rows] == re.findall(r"^\| `([^`]+)` .* ms \|", readme, re.MULTILINE)
    assert all(int(ms) > 0 for _, ms in rows)
