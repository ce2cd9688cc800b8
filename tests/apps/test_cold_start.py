"""Images and films need no torch once the graph is in the cache: its import takes longer than a photo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from support.tiny import photo
from support.video_files import write

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


def test_masks_need_no_more_than_parts_of_scipy(cache: Path, image: Path, tmp_path: Path) -> None:
    arguments = ("predict", image, "--model", "nuclei", "--output", tmp_path)
    imported(cache, COMMAND, *arguments)
    found = imported(cache, COMMAND, *arguments)
    assert set(found) <= {"scipy.ndimage", "scipy.spatial", "tifffile"}  # the last writes the label image


@pytest.mark.parametrize("options", [(), ("--track",)])
def test_a_film_imports_no_torch(cache: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    pytest.importorskip("av", reason="needs PyAV, the extra [video]")
    film = write(tmp_path / "film.mp4", frames=3)
    arguments = ("predict", film, "--model", "person-fast", "--output", tmp_path / "out", *options)
    imported(cache, COMMAND, *arguments)
    assert imported(cache, COMMAND, *arguments) == []


@pytest.mark.parametrize("model", ["person", "single-person"])
def test_python_imports_no_torch(cache: Path, image: Path, model: str) -> None:
    imported(cache, PYTHON, model, image)
    assert imported(cache, PYTHON, model, image) == []


def test_a_graph_that_is_not_there_needs_torch(image: Path, tmp_path: Path) -> None:
    """The tests above can fail."""
    assert "torch" in imported(tmp_path, PYTHON, "person-fast", image)
