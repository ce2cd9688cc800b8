"""Every code block of the README and of the site is run, and the site is built, with warnings as errors.

Python blocks of a page share one namespace. Lines of ``bash`` blocks that begin with ``ae`` are run, or, where they
never end or need another machine, parsed; lines that begin otherwise must be of a program that is known to be there
(`OTHERS`). A ``yaml`` block whose first line is a comment with a file's name is that file, and must be a recipe.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

import associative_embedding
from associative_embedding.apps.cli.main import main, parse
from associative_embedding.data.synthetic.figures import write_synthetic_dataset
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.training.recipe_file import check_recipe
from support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.extra]

OWN_TEST = "docs/reproduce.md"  # tests/project/test_reproduce.py runs its commands on data of their structure
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
PAGES.remove(OWN_TEST)
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LANGUAGES = {"python", "bash", "yaml", "text", "json"}
OTHERS = {"make", "pip", "torchrun", "curl", "ray", "docker"}
PARSED = ("serve", "://", "../shared", "data/coco/", "s3:", "--engine ray")  # never end, or need what is not here
QUICK = ["--train.steps=2", "--train.batch=2", "--train.validate_every=0", "--train.device=cpu", "--data.workers=0"]


def blocks(page: str) -> Iterator[tuple[str, str]]:
    for found in BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")):
        yield found[1], found[2]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the pages speak of, as the current one."""
    skimage_data = pytest.importorskip("skimage.data", reason="needs scikit-image")
    astronaut = cv2.resize(skimage_data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)
    for name in ("photo.jpg", "a.jpg", "b.jpg", "holiday/c.jpg", "more/d.jpg", "more/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(astronaut).save(tmp_path / name)
    slide = np.zeros((128, 128, 3), np.uint8)
    for x, y in ((30, 30), (80, 40), (60, 90)):
        cv2.circle(slide, (x, y), 12, (200, 200, 200), -1)
    Image.fromarray(slide).save(tmp_path / "slide.png")
    write_synthetic_dataset(tmp_path / "my", COCO_17, 24, size=(64, 64))  # of which image 23 is held out
    shutil.copy(ROOT / "src" / "associative_embedding" / "weights" / "person.safetensors", tmp_path / "my.safetensors")
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    write_cells(tmp_path / "cells", slide)
    write_film(tmp_path / "film.mp4", astronaut)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_cells(folder: Path, slide: np.ndarray) -> None:
    (folder / "images").mkdir(parents=True)
    Image.fromarray(slide).save(folder / "images" / "1.png")
    box = [18, 18, 24, 24]
    corners = [[18, 18, 42, 18, 42, 42, 18, 42]]
    nucleus = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "segmentation": corners,
        "bbox": box,
        "area": 576,
        "iscrowd": 0,
    }
    document = {
        "images": [{"id": 1, "file_name": "1.png", "height": 128, "width": 128}],
        "annotations": [nucleus],
        "categories": [{"id": 1, "name": "nucleus"}],
    }
    (folder / "annotations.json").write_text(json.dumps(document))
    labels = np.zeros(slide.shape[:2], np.uint8)
    labels[18:42, 18:42] = 1
    (folder / "masks").mkdir()
    Image.fromarray(labels).save(folder / "masks" / "1.png")


def write_film(path: Path, image: np.ndarray) -> None:
    pytest.importorskip("av", reason="needs the extra [video]")
    from associative_embedding.io.write_videos import VideoWriter

    with VideoWriter(path, 10.0) as writer:
        for number in range(4):
            writer.add(np.roll(image, 2 * number, axis=1), number / 10)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_runs(page: str, desk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, object] = {"__name__": page}
    for language, text in blocks(page):
        assert language in LANGUAGES, f"a block of the language {language!r}"
        if language == "python":
            exec(compile(text, page, "exec"), namespace)
        elif language == "bash":
            for line in text.replace("\\\n", " ").splitlines():
                run_line(line, capfd)
        elif language == "yaml" and (name := re.match(r"# (\S+\.yaml)\n", text)):
            Path(name[1]).write_text(text)
            check_recipe(name[1])


def test_the_readme_finds_somebody(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its Python, at most a dozen lines, prints where somebody's wrist is."""
    (text,) = (text for language, text in blocks("README.md") if language == "python")
    assert len(text.splitlines()) <= 12
    exec(compile(text, "README.md", "exec"), {"__name__": "README.md"})
    assert "person 0: left wrist at" in capsys.readouterr().out
    assert json.loads((desk / "found.json").read_text())["annotations"]
    assert (desk / "found.jpg").stat().st_size > 1000


def run_line(line: str, capfd: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line, comments=True)
    if not words or words[0] in OTHERS:
        return
    words[0] = words[0].removeprefix(".venv/bin/")
    assert words[0] == "ae", f"neither ae nor one of {', '.join(sorted(OTHERS))}: {line}"
    if words[1] == "train":
        train(words[2:])
    elif any(mark in line for mark in PARSED):
        parse(words[1:])
    else:
        status = main(words[1:])
        assert status == 0, f"{line}\n{capfd.readouterr().err}"


def train(words: list[str]) -> None:
    """Two steps of what is written; a recipe whose data are not here is checked."""
    if words[0] != "--data" and "../shared" in Path(words[0]).read_text():
        check_recipe(words[0])
    else:
        assert main(["train", *words, *QUICK]) == 0


@pytest.mark.parametrize("folder", [".", "examples"])
def test_the_notebook_runs(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code cells, one after the other, on the files of a clone; it is in the repository as it was run."""
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs matplotlib")
    shown: list[int] = []
    monkeypatch.setattr(pyplot, "show", lambda: (shown.append(1), pyplot.close()))
    pyplot.switch_backend("agg")
    monkeypatch.chdir(ROOT / folder)
    notebook = json.loads((ROOT / "examples" / "method.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    namespace: dict[str, Any] = {}
    for cell in cells:
        before = len(shown)
        exec(compile("".join(cell["source"]), "method.ipynb", "exec"), namespace)
        pictures = [output for output in cell["outputs"] if "image/png" in output.get("data", {})]
        assert len(pictures) == len(shown) - before
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    # figures 4, 5 and 7 of one photograph: five people, and a mode of the tags for each
    assert (len(namespace["people"]), len(namespace["modes"]), len(shown)) == (5, 5, 6)
    assert "examples" not in "".join(str(cell["outputs"]) for cell in cells)  # no path of a machine


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra [docs]")
    pytest.importorskip("mkdocstrings", reason="needs the extra [docs]")
    pytest.importorskip("latex2mathml", reason="needs the extra [docs]")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    reference = (tmp_path / "reference.html").read_text()
    public = [f"associative_embedding.{home}.{name}" for name, home in associative_embedding._HOME.items()]
    assert [name for name in public if f'id="{name}"' not in reference] == []
    pages = "".join(path.read_text() for path in tmp_path.glob("*.html"))
    sources = re.findall(r'(?:src|href)="(https?://[^"]+\.(?:js|css|woff2?))"', pages)
    assert not sources, "the site loads from elsewhere"
    for page in ("method", "reference"):  # formulas are MathML, which needs no script
        text = (tmp_path / f"{page}.html").read_text()
        assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in text
        assert "arithmatex" not in text


def test_each_page_of_users_has_a_picture() -> None:
    """The pages for maintainers are apart from the others, and each other page shows something."""
    navigation = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader=yaml.SafeLoader)["nav"]
    sections = {
        name: [page for entry in pages for page in entry.values()]
        for part in navigation
        for name, pages in part.items()
    }
    listed = [page for pages in sections.values() for page in pages]
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    maintainers = sections.pop("For maintainers")
    assert {"architecture.md", "decisions.md", "performance.md", "training-notes.md"} <= set(maintainers)
    pages = [page for pages in sections.values() for page in pages]
    texts = {page: (ROOT / "docs" / page).read_text(encoding="utf-8") for page in pages}
    assert [page for page, text in texts.items() if not re.search(r"!\[[^]]+\]\(images/", text)] == []


def test_the_readme_fits_on_a_few_screens() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > 100] == []
