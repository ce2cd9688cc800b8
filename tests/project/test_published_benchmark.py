"""`benchmarks/published.py` times the cases of peers.md, and the people of its maps are found."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.paths import ROOT

HEADER = ["decoding, ms", "people", "fastest", "median", "in scans", "published", "times as fast"]


@pytest.mark.slow
def test_decoding_finds_the_people_that_were_drawn() -> None:
    command = [sys.executable, ROOT / "benchmarks" / "published.py", "--only", "decode", "--rounds", "1"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in printed.split("\n") if line)
    assert header == HEADER
    own = {row[0]: int(row[1]) for row in rows if row[0].endswith("our own")}
    assert len(own) == 8
    for name, found in own.items():
        assert abs(found - int(name.split()[0])) <= 1  # a noise peak, or two people in one place
    published = [row for row in rows if row[5] != "-"]
    assert len(published) == 16
    assert all(float(row[2]) > 0 and int(row[6]) >= 1 for row in published)
