"""Who comes from another program gets a hint in its words."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from associative_embedding.apps.cli.main import main, option_names
from associative_embedding.apps.cli.other_names import OTHER_NAMES
from associative_embedding.training.recipe_file import setting_names
from support.tiny import photo


def test_every_hint_is_an_option_of_some_command() -> None:
    known = {*setting_names(), *option_names(["predict"]), *option_names(["evaluate"])}
    assert {ours for names in OTHER_NAMES.values() for ours in names} - known == set()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["a.jpg", "--conf", "0.5"], "unknown option 'conf'; here it is --min_score"),
        (["a.jpg", "--vid-stride", "2"], "unknown option 'vid_stride'; here it is --every"),
        (["a.jpg", "-o", "out"], "unexpected argument '-o'; here it is --output"),
        (["--source", "a.jpg"], "unknown option 'source'; sources have no option: ae predict photo.jpg folder/"),
        (["source=a.jpg"], "source=a.jpg: sources have no name: ae predict a.jpg"),
        (["a.jpg", "conf=0.5"], "conf=0.5: options begin with --: --min_score 0.5"),
        (["a.jpg", "device=cpu"], "device=cpu: options begin with --: --device cpu"),
    ],
)
def test_hints(arguments: list[str], hint: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", *arguments]) == 2
    assert capfd.readouterr().err == f"ae: error: {hint}\n"


def test_a_file_with_an_equals_sign_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo()).save("conf=1.png")
    assert main(["predict", "conf=1.png", "--model", model]) == 0
    assert main(["predict", "http://localhost:1/a.jpg?conf=1", "--model", model]) == 1
    assert "options begin" not in capfd.readouterr().err
