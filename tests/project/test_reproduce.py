"""Every command of docs/reproduce.md is run as it is written there, on small data of the official structure.

`curl` takes an archive that `support.paper_data` made, by the end of its address; training is two steps of a small
network. Commands follow each other as on the page: an evaluation first trains the models that it names.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from associative_embedding.apps.cli.main import main
from support.paper_data import write_archives
from support.paths import ROOT

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "reproduce.md"
SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = dict(SECTION.findall(PAGE.read_text(encoding="utf-8")))
TABLES = [name for name in SECTIONS if name not in ("Data", "Train")]
MODEL = re.compile(r"runs/[\w-]+(?=/model\.safetensors)")
WRITTEN = re.compile(r"`((?:runs|data)/[^` ]+)`")
FIND = ["--decode", "{threshold: 0.0001}"]  # a network of two steps is sure of nothing


def commands(text: str) -> Iterator[list[str]]:
    for block in re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield words


def trainings(text: str) -> Iterator[list[str]]:
    """The recipe and settings of every training, also of one on several GPUs."""
    for words in commands(text):
        if words[:2] == ["ae", "train"]:
            yield words[2:]
        elif words[0] == "torchrun":
            assert words[1] == "--nproc-per-node"
            assert words[3:6] == ["-m", "associative_embedding", "train"]
            yield words[6:]


def recipe_of(words: list[str]) -> dict[str, object]:
    return yaml.safe_load((ROOT / words[0]).read_text())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the section "Data" was followed."""
    folder = tmp_path_factory.mktemp("reproduce")
    write_archives(folder / "archives")
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in commands(SECTIONS["Data"]):
            fetch(words, folder / "archives")
        yield folder


def fetch(words: list[str], archives: Path) -> None:
    """Runs one line as its program would."""
    match words:
        case ["mkdir", "-p", *folders]:
            for name in folders:
                Path(name).mkdir(parents=True)
        case ["curl", "-L", "-o", path, url]:
            shutil.copy(archives / url.rsplit("/", 1)[1], path)
        case ["unzip", "-q", path, "-d", folder]:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
        case ["tar", "-xf", path, "-C", folder]:
            with tarfile.open(path) as packed:
                packed.extractall(folder, filter="data")
        case ["cp", source, target]:
            shutil.copy(source, target)
        case ["ae", *arguments]:
            assert main(arguments) == 0
        case _:
            raise AssertionError(f"not a command that this page may have: {words}")


def train(words: list[str], *changes: str) -> None:
    """Two steps of a recipe, with a network of the same form and a fraction of its size, and a validation."""
    options = recipe_of(words)["network"]["options"]  # type: ignore[index]
    small = {**options, "widths": [4] * len(options["widths"]), "stem": [4, 4, 4]}
    quick = [
        f"--network.options={small}",
        "--data.input_size=64",
        "--data.validation_size=64",
        "--data.workers=0",
        "--masks.object_size=[1, 64]",
        "--train.steps=2",
        "--train.batch=2",
        "--train.validate_every=2",
        "--train.device=cpu",
    ]
    assert main(["train", *words, *quick, *changes]) == 0


def provide(folder: str) -> None:
    """Trains the model of a run by the page's command for it, unless that was done."""
    if Path(folder, "model.safetensors").is_file():
        return
    (words,) = (w for w in unique_trainings() if recipe_of(w)["output"] == folder)
    start = recipe_of(words)["network"].get("start")  # type: ignore[union-attr]
    if start:
        provide(str(Path(start).parent))
    train(words)


def unique_trainings() -> list[list[str]]:
    """One training for each recipe: the first that the page has."""
    found: dict[str, list[str]] = {}
    for words in trainings(PAGE.read_text(encoding="utf-8")):
        found.setdefault(words[0], words)
    return list(found.values())


def test_the_layout_is_what_the_page_fetches(desk: Path) -> None:
    """Also every file that a recipe of the paper reads is in it."""
    (block,) = re.findall(r"^```text\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    parents: list[str] = []
    paths = []
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        parents = [*parents[:depth], line.strip()]
        paths.append("".join(parents))
    assert [path for path in paths if not path.startswith("runs") and not (desk / path).exists()] == []
    for words in unique_trainings():
        data = yaml.safe_load((ROOT / words[0]).read_text())["data"]
        sources = [*data["sources"], *data["validation"]]
        read = [source.get(key) for source in sources for key in ("annotations", "images", "held_out_ids")]
        assert [name for name in read if name and not (desk / name).exists()] == [], words[0]


@pytest.mark.parametrize("words", list(trainings(SECTIONS["Train"])), ids=" ".join)
def test_a_training_runs(words: list[str], desk: Path, tmp_path: Path) -> None:
    train(words, f"--output={tmp_path / 'run'}")
    assert (tmp_path / "run" / "model.safetensors").is_file()


@pytest.mark.parametrize("section", TABLES)
def test_a_table_is_evaluated(section: str, desk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for folder in sorted(set(MODEL.findall(SECTIONS[section]))):
        provide(folder)
    evaluations = [words for words in commands(SECTIONS[section]) if words[:2] != ["ae", "train"]]
    assert evaluations
    for words in evaluations:
        assert words[:2] == ["ae", "evaluate"]
        find = [] if "VOC" in section else FIND
        assert main([*words[1:], *find]) == 0, f"{words}\n{capfd.readouterr().err}"
    # what the page says that the commands write
    assert [path for path in WRITTEN.findall(SECTIONS[section]) if not (desk / path).exists()] == []


def test_times_are_the_arithmetic_of_the_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    table = import_module("training_cost").table()
    sys.modules.pop("training_cost")
    assert "\n".join(table) in SECTIONS["Train"]
    assert {Path(words[0]).stem for words in unique_trainings()} == {line.split("`")[1] for line in table[2:]}


def test_the_page_can_be_found() -> None:
    assert "docs/reproduce.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "reproduce.md" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
