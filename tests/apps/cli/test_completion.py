"""Completion by the tab key, in real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from associative_embedding.apps.cli import completion
from associative_embedding.apps.cli.main import build_parser

pytest.importorskip("argcomplete", reason="needs argcomplete, the extra [completion]")
pytestmark = [pytest.mark.extra, pytest.mark.slow]

# What is typed -> what the shell offers.
OFFERED = {
    "ae pre": ["predict"],
    "ae data con": ["convert"],
    "ae predict --in": ["--input_size"],
    "ae predict photo.jpg --show t": ["tags"],
    "ae predict --model person-": ["person-fast"],
    "ae data convert labels --from cv": ["cvat"],
    "ae train my.yaml --train.sc": ["--train.schedule"],
    "ae predict hol": ["holiday.jpg"],
}
BASH = """
eval "$(register-python-argcomplete ae)"
COMP_LINE="$1"; COMP_POINT=${#1}; COMP_TYPE=9; COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete ae
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = "register-python-argcomplete --shell fish ae | source; complete -C $argv[1]"


def offered(command: list[str], folder: Path) -> list[str]:
    """The words that a shell prints; `ae` is the one of this environment."""
    (folder / "holiday.jpg").touch()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return [line.split("\t")[0].strip() for line in done.stdout.splitlines()]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize("line", OFFERED)
def test_bash(line: str, tmp_path: Path) -> None:
    assert offered(["bash", "--norc", "-c", BASH, "bash", line], tmp_path) == OFFERED[line]


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish")
@pytest.mark.parametrize("line", OFFERED)
def test_fish(line: str, tmp_path: Path) -> None:
    assert OFFERED[line][0] in offered(["fish", "-c", FISH, line], tmp_path)


def test_zsh_gets_descriptions(tmp_path: Path) -> None:
    """zsh itself needs a terminal; this is what its function reads."""
    line = "ae predict --in"
    environment = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": "zsh", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    command = ["bash", "-c", "ae 8>&1 9>/dev/null 1>/dev/null"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(command, env=os.environ | environment | {"PATH": path}, capture_output=True, check=True)
    assert done.stdout.decode().startswith("--input_size")


def test_without_argcomplete_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    completion.complete(build_parser)
