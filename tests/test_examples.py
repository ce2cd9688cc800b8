"""Scripts of examples/ that make what ships, or numbers of the documents."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import safetensors.torch
import torch

from associative_embedding.checkpoint import save_model
from conftest import ROOT
from tiny import tiny_data, tiny_info, tiny_model, tiny_network


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, str(ROOT / "examples" / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


@pytest.mark.parametrize("only", [(), ("body.encoder", "body.heatmap")])
def test_the_mean_of_some_weights(only: tuple[str, ...], tmp_path: Path) -> None:
    """The others are the last model's."""
    info = tiny_info(backbone="mobilenet_v2")
    files = [tmp_path / f"{seed}.safetensors" for seed in range(2)]
    for seed, file in enumerate(files):
        save_model(file, tiny_network(info, seed), info)
    run("average_models.py", *files, tmp_path / "mean.safetensors", *(["--only", *only] if only else []))
    first, last, mean = (safetensors.torch.load_file(f) for f in (*files, tmp_path / "mean.safetensors"))
    assert mean.keys() == last.keys()
    for name, value in mean.items():
        expected = (first[name] + last[name]) / 2 if name.startswith(only or "") else last[name]
        torch.testing.assert_close(value, expected, msg=name)


def test_the_sheet_of_failures(tmp_path: Path) -> None:
    """An untrained model misses all of the people who are large enough."""
    source = tiny_data(tmp_path, images=3, size=(128, 160), people=(2, 2))
    model = tiny_model(tmp_path / "m.safetensors", backbone="mobilenet_v2", input_size=96)
    files = ["--annotations", source.annotations, "--images", source.images, "--output", tmp_path / "sheet.png"]
    assert run("failures.py", "--model", model, *files, "--size", 1000).strip() == "0 of 0 people missed"
    assert run("failures.py", "--model", model, *files, "--size", 0).strip() == "6 of 6 people missed"
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (2 * 400, 4 * 400, 3)
