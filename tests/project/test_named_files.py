"""Paths and commands that the pages, the model cards, the recipes and the scripts name exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from associative_embedding.apps.cli.main import option_names, parse
from associative_embedding.apps.cli.start_arguments import has_data
from associative_embedding.apps.errors import UsageError
from support.paths import ROOT

FOLDERS = "recipes|experiments|benchmarks|examples|docs|src|tests"
PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "experiments").rglob("*.md"),
    *(ROOT / "src").rglob("*.md"),
]
COMMENTED = [
    path for folder in FOLDERS.split("|") for end in ("py", "yaml") for path in (ROOT / folder).rglob(f"*.{end}")
]
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
PLACEHOLDERS = re.compile(r"\.\.\.|[|$]|\b[A-Z]{3,}\b")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(text: str) -> Iterator[list[str]]:
    """Yields the words of each command for `ae` or `python`, in bash blocks and in running text."""
    lines = [line for language, block in BLOCK.findall(text) if language == "bash" for line in joined(block)]
    lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", BLOCK.sub("", text))]
    for line in lines:
        if re.match(r"(\.venv/bin/)?(ae|python) ", line) and not PLACEHOLDERS.search(line):
            yield shlex.split(line, comments=True)


def joined(block: str) -> list[str]:
    return block.replace("\\\n", " ").splitlines()


def test_paths_exist() -> None:
    missing = []
    for page in (*PAGES, *COMMENTED):
        named = re.findall(rf"(?<![\w/.])((?:{FOLDERS})/[\w/.-]*\w)", page.read_text(encoding="utf-8"))
        missing += [f"{name(page)}: {path}" for path in named if not (ROOT / path).exists()]
    assert missing == []


def test_named_tests_exist() -> None:
    missing = []
    for page in (*PAGES, ROOT / "SECURITY.md"):
        for path, test in re.findall(r"(tests/[\w/]+\.py)::(test_\w+)", page.read_text(encoding="utf-8")):
            if f"def {test}(" not in (ROOT / path).read_text(encoding="utf-8"):
                missing.append(f"{name(page)}: {path}::{test}")
    assert missing == []


@pytest.mark.parametrize("page", sorted(PAGES), ids=name)
def test_links_lead_to_files(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", re.sub(r"`[^`]*`", "", text))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(PAGES), ids=name)
def test_commands_are_accepted(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for program, *words in commands(page.read_text(encoding="utf-8")):
        if program.endswith("ae"):
            check_arguments(words)
        elif words[0] != "-m":
            script = Path(words[0]).read_text(encoding="utf-8")
            assert [option for option in options(words) if f'"--{option}"' not in script] == [], words


def check_arguments(words: list[str]) -> None:
    # `--help` would end the process, and `ae train --data` write a recipe for labels that only the reader has
    words = with_a_recipe([word for word in words if word != "--help"])
    try:
        parse(words)
    except UsageError as error:
        # running text may name only the part of a command that matters, and the reader's own recipe
        if not re.search("are required|the recipe comes first|No such file", str(error)):
            raise
        known = {name.replace("-", "_") for name in option_names(words)}
        assert [option for option in options(words) if option.replace("-", "_") not in known] == [], words


def with_a_recipe(words: list[str]) -> list[str]:
    """Returns the words with a recipe in the place of ``--data`` and the options that belong to it."""
    if words[0] != "train" or not has_data(words[1:]):
        return words
    of_data = [i for i, word in enumerate(words) if word in ("--data", "--images", "--output", "--task")]
    rest = [word for i, word in enumerate(words) if i not in of_data and i - 1 not in of_data]
    return ["train", "recipes/start/flies.yaml", *rest[1:]]


def options(words: list[str]) -> list[str]:
    return [word[2:].split("=")[0] for word in words if word.startswith("--")]
