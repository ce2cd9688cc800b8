"""`benchmarks/nuclei.py` scores a model and a threshold with watershed on each kind of image."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from associative_embedding.structures.masks import Masks
from support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.extra]
KINDS = ["fluorescence", "fluorescence", "bright"]  # of the three images
DISCS = [(24, 24), (24, 43), (70, 70)]  # centres; the first two touch


def write_images(folder: Path) -> Path:
    """Draws three discs of radius 10 in each image: bright on black, or dark on white."""
    labels = np.zeros((96, 96), np.int32)
    for number, centre in enumerate(DISCS, 1):
        cv2.circle(labels, centre, 10, number, -1)
    runs = Masks.from_labels(labels).to_rle()
    document: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "nucleus"}]}
    for image_id, kind in enumerate(KINDS, 1):
        inside, outside = (40, 240) if kind == "bright" else (200, 10)
        cv2.imwrite(str(folder / f"{image_id}.png"), np.where(labels > 0, inside, outside))
        document["images"].append(
            {"id": image_id, "file_name": f"{image_id}.png", "width": 96, "height": 96, "kind": kind}
        )
        document["annotations"] += [
            {"id": 10 * image_id + i, "image_id": image_id, "category_id": 1, "iscrowd": 0, "segmentation": run}
            for i, run in enumerate(runs)
        ]
    path = folder / "annotations.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "benchmarks" / "nuclei.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_each_kind_has_a_row_of_the_model_and_of_the_threshold(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="needs scikit-image")
    done = run("--annotations", str(write_images(tmp_path)), "--images", str(tmp_path))
    assert done.returncode == 0, done.stderr
    header, _, *lines = done.stdout.splitlines()
    columns = [cell.strip() for cell in header.strip("|").split("|")]
    rows = {cells[0]: cells[1:] for cells in ([c.strip() for c in line.strip("|").split("|")] for line in lines)}
    assert columns[1:8] == ["images", "objects", "found", "AP50", "mean AP", "AJI", "PQ"]
    assert list(rows) == [
        f"{k}: {m}" for k in ("noise", "all", "fluorescence", "bright") for m in ("nuclei", "Otsu + watershed")
    ]
    for kind, images in (("all", "3"), ("fluorescence", "2"), ("bright", "1")):
        threshold = rows[f"{kind}: Otsu + watershed"]
        objects = str(3 * int(images))
        assert threshold[:4] == [images, objects, objects, "1.000"]  # it separates the two discs that touch
        assert all(0 <= float(number) <= 1 for number in rows[f"{kind}: nuclei"][3:])
    assert rows["noise: nuclei"][:2] == ["4", "0"]


def test_a_model_of_keypoints_is_refused_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="needs scikit-image")
    path = write_images(tmp_path)
    done = run("--model", "person-fast", "--annotations", str(path), "--images", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "person-fast finds keypoints, not masks: give --model a model that finds masks\n"
