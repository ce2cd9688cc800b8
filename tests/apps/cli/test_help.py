"""``--help``: one screen in plain words, and nothing left out of ``--help-all``."""

from __future__ import annotations

import shlex

import pytest

from associative_embedding.apps.cli.data_commands import DATA_BUILDERS
from associative_embedding.apps.cli.help_pages import PAGES
from associative_embedding.apps.cli.help_text import WIDTH
from associative_embedding.apps.cli.main import main, option_names, parse
from associative_embedding.apps.cli.options import BUILDERS

COMMANDS = [*BUILDERS, *(f"data {name}" for name in DATA_BUILDERS)]


def help_of(command: str, option: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        main([*command.split(), option])
    assert end.value.code == 0
    return capsys.readouterr().out


def test_every_command_has_a_page() -> None:
    assert set(PAGES) == {"", *COMMANDS}


@pytest.mark.parametrize("command", ["", *(command for command in COMMANDS if command != "train")])
def test_the_first_page_is_one_screen(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = help_of(command, "--help", capsys).splitlines()
    assert lines[0].startswith(f"usage: ae {command}".rstrip())
    assert len(lines) <= 45
    assert max(map(len, lines)) <= WIDTH, max(lines, key=len)
    assert "-h" not in "".join(lines).split()


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "train"])
def test_both_pages_name_every_option_in_words_of_users(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    short, full = (help_of(command, option, capsys) for option in ("--help", "--help-all"))
    for name in option_names(command.split()):
        if len(name) > 1 and not name.startswith(("help", "no_")):
            assert f"--{name}" in short
            assert f"--{name}" in full
    for text in (short, full):
        for word in ("<class", "Literal", "type:", "null", "default: False", "==SUPPRESS==", "%%"):
            assert word not in text


def test_predict_has_its_groups_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of("predict", "--help", capsys)
    titles = [line[:-1] for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["input", "model", "output", "video", "masks", "cluster"]
    assert "ae predict film.mp4 --track" in text
    assert "ae predict --help-all" in text


@pytest.mark.parametrize("name", [name for name in PAGES if name != "train"])
def test_the_examples_are_commands(name: str) -> None:
    for command, _ in PAGES[name].examples:
        program, *arguments = shlex.split(command)
        assert program == "ae"
        if "--help" not in arguments:
            parse(arguments)  # raises for an option that does not exist
