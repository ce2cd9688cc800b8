"""`benchmarks/second_look.py` counts what is lost and saved by fewer second looks, for docs/refinement.md."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.extra]


def test_both_ways_are_counted(tmp_path: Path) -> None:
    skimage_data = pytest.importorskip("skimage.data", reason="needs scikit-image")
    cv2.imwrite(str(tmp_path / "a.png"), skimage_data.astronaut()[..., ::-1])
    person = {"id": 1, "name": "person", "keypoints": ["nose"], "skeleton": []}
    row = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [224, 121, 2], "num_keypoints": 1, "iscrowd": 0}
    row |= {"bbox": [66, 66, 300, 400], "area": 60_000}
    images = [{"id": 1, "file_name": "a.png", "width": 512, "height": 512}]
    annotations = {"images": images, "annotations": [row], "categories": [person]}
    (tmp_path / "a.json").write_text(json.dumps(annotations))
    script = ROOT / "benchmarks" / "second_look.py"
    command = [sys.executable, script, "--annotations", tmp_path / "a.json", "--images", tmp_path]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    head, _, everybody, rule = ([cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines())
    assert head == ["1 photos", "looked at", "shown", "same", "time"]
    assert everybody[2:] == ["1", "", "1.00"]
    assert int(everybody[1]) >= int(rule[1]) >= 1
    assert rule[2:4] == ["1", "1"]  # one woman, with the same keypoints
