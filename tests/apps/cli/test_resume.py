"""``ae predict --resume``, and results that are interrupted or of others."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import coco_dataset
from associative_embedding.io.lock_files import lock_of, locked
from support.commands import document_of, predict
from support.tiny import tiny_model


def test_interrupted_what_was_computed_is_kept(
    model: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    original = Predictor.open

    def interrupting(self: Predictor, source: Any, **options: Any) -> Any:
        if "turned" in str(source):
            signal.raise_signal(signal.SIGINT)
        return original(self, source, **options)

    monkeypatch.setattr(Predictor, "open", interrupting)
    assert predict(model, tmp_path / "out", folder) == 130
    results = tmp_path / "out" / "predictions.json"
    assert capfd.readouterr().err == f"ae: interrupted; 2 of 3 images are in {results}\n"
    assert len(document_of(tmp_path / "out")["images"]) == 2

    monkeypatch.undo()
    assert predict(model, tmp_path / "out", folder, "--resume") == 0
    assert predict(model, tmp_path / "whole", folder) == 0
    assert f"2 images are in {results} already" in capfd.readouterr().out
    resumed, whole = document_of(tmp_path / "out"), document_of(tmp_path / "whole")
    assert [resumed[key] for key in ("images", "annotations", "categories")] == [
        whole[key] for key in ("images", "annotations", "categories")
    ]
    assert predict(model, tmp_path / "out", folder, "--resume") == 0  # nothing is left to do
    assert document_of(tmp_path / "out")["annotations"] == whole["annotations"]


def test_only_ones_own_results_are_resumed(
    model: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "out" / "predictions.json"
    results.parent.mkdir()
    cows = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cow"}]}
    for text, message in (
        (json.dumps({"info": coco_dataset([])["info"], **cows}) + "\n", "its categories differ"),
        (json.dumps(cows), "was not written by ae"),
        ("[", "was not written by ae"),
    ):
        results.write_text(text)
        assert predict(model, tmp_path / "out", folder, "--resume") == 1
        assert message in capfd.readouterr().err
        assert results.read_text() == text


def test_results_of_other_settings_are_not_mixed(
    model: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert predict(model, out, min(folder.iterdir())) == 0
    before = (out / "predictions.json").read_bytes()
    other = tiny_model(tmp_path / "other.safetensors", notes={"steps": 7})
    for changed, name in (
        ((model, out, folder, "--min_score", "0.5"), "min_score"),
        ((model, out, folder, "--decode", "{threshold: 0.9}"), "decode"),
        ((other, out, folder), "input_size, model"),
    ):
        assert predict(*changed, "--resume") == 1
        assert f"its results have other settings ({name}); repeat the command as it was" in capfd.readouterr().err
        assert (out / "predictions.json").read_bytes() == before
    assert predict(model, out, folder, "--resume") == 0


def test_resume_knows_an_image_by_any_spelling(
    model: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out, name = tmp_path / "out", folder.name
    monkeypatch.chdir(folder.parent)
    for source in (folder, name, f"./{name}/"):
        assert predict(model, out, source, "--resume") == 0
    assert len(document_of(out)["images"]) == 3

    assert predict(model, tmp_path / "relative", name) == 0
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere / name)
    monkeypatch.chdir(elsewhere)  # here the same relative names are other files
    assert predict(model, tmp_path / "relative", name, "--resume") == 1
    assert "its image names begin in another folder" in capfd.readouterr().err


def test_two_commands_do_not_write_one_results_file(
    model: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with locked(lock_of(tmp_path / "out" / "predictions.json")):
        assert predict(model, tmp_path / "out", folder) == 1
        assert "is at work in this folder" in capfd.readouterr().err
        assert predict(model, tmp_path / "out", folder, "--json", tmp_path / "r.json", "--show", "nothing") == 0
    assert predict(model, tmp_path / "out", folder) == 0
    assert not list((tmp_path / "out").glob(".*"))  # nothing is left behind
