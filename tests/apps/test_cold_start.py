"""A photo needs no torch once the graph of the network is in the cache: its import takes longer than all the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from support.tiny import photo

SLOW_IMPORTS = ("torch", "onnx", "scipy.optimize", "scipy.ndimage", "scipy.spatial", "tifffile", "matplotlib", "pandas")
TELL = f"import json; print(json.dumps([name for name in {SLOW_IMPORTS} if name in sys.modules]))"
COMMAND = f"""
import sys
from associative_embedding.apps.cli.main import main
status = main(sys.argv[1:])
{TELL}
sys.exit(status)
"""
PYTHON = f"""
import sys
import associative_embedding as ae
model = ae.load(sys.argv[1])
print(len(model(sys.argv[2])), len(list(model.stream([sys.argv[2]]))))
{TELL}
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def imported(cache: Path, code: str, *arguments: object) -> list[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "AE_RUNTIME": "onnx", "AE_CACHE": str(cache)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    return list(json.loads(result.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    Image.fromarray(photo(96, 128)).save(path)
    return path


@pytest.mark.parametrize("model", ["person", "person-fast"])
def test_the_command_imports_no_torch(cache: Path, image: Path, tmp_path: Path, model: str) -> None:
    arguments = ("predict", image, "--model", model, "--output", tmp_path)
    imported(cache, COMMAND, *arguments)  # fills the cache, unless another test did
    assert imported(cache, COMMAND, *arguments) == []


@pytest.mark.parametrize("model", ["person", "single-person"])
def test_python_imports_no_torch(cache: Path, image: Path, model: str) -> None:
    imported(cache, PYTHON, model, image)
    assert imported(cache, PYTHON, model, image) == []


def test_a_graph_that_is_not_there_needs_torch(image: Path, tmp_path: Path) -> None:
    """The tests above can fail."""
    assert "torch" in imported(tmp_path, PYTHON, "person-fast", image)
