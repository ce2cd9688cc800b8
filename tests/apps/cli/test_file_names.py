"""Names that file systems allow: everything is done and shown, results are valid, nothing reaches the terminal raw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from associative_embedding.apps.cli.main import main
from support.commands import document_of
from support.tiny import photo

NOT_UTF8 = b"fl\xfcgel.png"  # Latin-1
needs_bytes = pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="the system allows only Unicode in names")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(name: str | bytes) -> None:
    Image.fromarray(photo()).save(os.fsdecode(name))


@needs_bytes
@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "utf-8:strict"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_names_that_are_not_utf8_in_any_locale(here: Path, model: str, environment: dict[str, str]) -> None:
    for name in (NOT_UTF8, "über 鳥.png".encode()):
        put(name)
    command = [sys.executable, "-m", "associative_embedding", "predict", ".", "--model", model, "--output", "out"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"fl\\xfcgel.png" in done.stdout
    names = [image["file_name"] for image in document_of(here / "out")["images"]]
    assert sorted(names) == ["./fl%FCgel.png", "./über 鳥.png"]
    assert json.dumps(names, ensure_ascii=False).encode()


@needs_bytes
def test_names_that_are_not_utf8_are_found_again(here: Path, model: str, capfd: pytest.CaptureFixture[str]) -> None:
    put(NOT_UTF8)
    predict = ["predict", ".", "--model", model, "--output", "out"]
    assert main(predict) == 0
    assert main([*predict, "--resume"]) == 0
    assert "1 images are in out/predictions.json already" in capfd.readouterr().out
    document = document_of(here / "out")
    document["annotations"] = []
    (here / "truth.json").write_text(json.dumps(document))
    command = ["data", "shard", "truth.json", "--images", ".", "--output", "shards"]
    assert main(command) == 0, capfd.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not allow these names")
def test_names_that_a_terminal_would_obey(here: Path, model: str, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("line\nbreak.png", "red\x1b[31m.png", "-x.png", "x[1].png", "𠀀" * 60 + ".png", "n" * 250 + ".png"):
        put(name)
    Path("bad\x1b[0m\n.jpg").write_text("not an image")
    assert main(["predict", ".", "--model", model, "--output", "out"]) == 1
    out, err = capfd.readouterr()
    assert len(out.splitlines()) == 7
    assert len(err.splitlines()) == 1
    assert "\x1b" not in out + err
    assert "./line break.png: " in out
    assert "./red\\x1b[31m.png: " in out
    assert len(list(Path("out").glob("*.png"))) == 6


def test_names_that_look_like_something_else(here: Path, model: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A folder that is a number is no camera, brackets are no pattern, and a minus needs ``./`` or ``--``."""
    options = ["--model", model, "--output", "out"]
    for folder in ("2024", "set[1]", "film.mp4"):
        Path(folder).mkdir()
        put(f"{folder}/1.PNG")
        assert main(["predict", folder, *options]) == 0
    put("-x.png")
    for sources in (["./-x.png"], ["--", "-x.png"]):
        assert main(["predict", *options, *sources]) == 0
    capfd.readouterr()
    assert main(["predict", "-x.png", *options]) == 2
    assert capfd.readouterr().err == "ae: error: a name that begins with '-' is taken for an option; write ./-x.png\n"
