"""`benchmarks/pixel_loss.py` prints a row for each distance."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.paths import ROOT


@pytest.mark.slow
def test_a_row_for_each_distance() -> None:
    command = [sys.executable, ROOT / "benchmarks" / "pixel_loss.py", "--near", "24", "0", "--seconds", "0"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    header, _, near, every = ([cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines())
    assert header == ["near, map pixels", "ms", "MB"]
    assert (near[0], every[0]) == ("24", "0")
    assert all(int(number) > 0 for row in (near, every) for number in row[1:])
    assert int(near[2]) < int(every[2])  # few pairs are held
