"""``ae info``: what models there are, and what one is."""

from __future__ import annotations

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from associative_embedding.apps.cli.main import main
from associative_embedding.io.coco_json import load_skeleton
from associative_embedding.model_files.checkpoint import load_model
from associative_embedding.model_files.describe import LONGEST, model_summary, summary_line, summary_lines
from associative_embedding.model_files.find import WEIGHTS, shipped_models
from support.tiny import FIGURE, tiny_model


@pytest.mark.parametrize("name", shipped_models())
def test_a_shipped_model_is_told_as_its_file_has_it(name: str) -> None:
    told = model_summary(name)
    file = WEIGHTS / f"{name}.safetensors"
    network, info = load_model(file)
    assert (told["model"], told["file"], told["bytes"]) == (name, str(file), file.stat().st_size)
    assert told["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert f"{told['sha256']}  {file.name}" in (WEIGHTS / "SHA256SUMS").read_text()
    assert told["card"] == str(WEIGHTS / f"{name}.md")
    assert told["parameters"] == sum(p.numel() for p in network.parameters())
    assert (told["task"], told["backbone"], told["input_size"]) == (info.task.name, info.backbone, info.input_size)
    assert tuple(told["scales"]) == info.scales
    assert json.loads(json.dumps(told)) == told


def test_every_shipped_model_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == shipped_models()
    person = next(line for line in lines if line.startswith("person "))
    assert "person, 17 keypoints, refined by single-person (9.8 MB)" in person
    assert any("nucleus, masks" in line for line in lines)
    assert main(["info", "person-fast"]) == 0
    assert "refined by     single-person, crops 192 px long\n" in capsys.readouterr().out


def test_models_are_told_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tiny_model(tmp_path / "own.safetensors", notes={"steps": 7})
    assert main(["info", "person", own, "--json", str(tmp_path / "told.json")]) == 0
    person, figure = capsys.readouterr().out.split("\n\n")
    assert "network        mobilenet_v2_150, 4.9 million parameters, tags of 4 dimensions\n" in person
    assert (
        "input          512 px on the long side, times 1 0.625; all of them only where somebody has less than" in person
    )
    assert "refined by     single-person\n" in person
    assert f"keypoints      {', '.join(load_skeleton('coco-17').keypoints)}\n" in person
    assert f"keypoints      {', '.join(FIGURE.keypoints)}\n" in figure
    assert "notes          steps 7\n" in figure
    assert "card" not in figure
    told = json.loads((tmp_path / "told.json").read_text())
    assert told == [model_summary("person"), model_summary(own)]
    assert "no tags" in "".join(summary_lines(model_summary("single-person")))


def test_what_a_file_says_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    told = model_summary(tiny_model(tmp_path / "own.safetensors", notes={"by": "\x1b[2Jnobody\n" + "x" * 5000}))
    lines = list(summary_lines(told))
    assert all(line.isprintable() and len(line) <= LONGEST for line in (*lines, summary_line(told)))
    assert any("by ?[2Jnobody?xxx" in line for line in lines)


@pytest.mark.extra
@pytest.mark.skipif(not find_spec("onnxruntime"), reason="needs the extra [onnx]")
def test_an_exported_model_is_told_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = str(tmp_path / "fast.onnx")
    assert main(["export", "person-fast", "--output", target]) == 0
    told = model_summary(target)
    assert (told["parameters"], told["card"]) == (None, None)
    assert told["decode"] == model_summary("person-fast")["decode"]
    capsys.readouterr()
    assert main(["info", target]) == 0
    assert "network        mobilenet_v2, exported, tags of 4 dimensions\n" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_what_is_no_model_gets_one_line(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.safetensors"
    if content is not None:
        path.write_bytes(content)
    assert main(["info", "person", str(path), "--json", str(tmp_path / "told.json")]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("ae: error: ")
    assert str(path) in captured.err
    assert not (tmp_path / "told.json").exists()
