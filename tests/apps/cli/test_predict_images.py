"""Many images through the command line: what is read, what is written, what is drawn."""

from __future__ import annotations

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import associative_embedding as ae
from associative_embedding.apps.cli import image_outputs
from associative_embedding.apps.cli.main import main
from associative_embedding.drawing.skeletons import MIN_KEYPOINT_SCORE
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.images import read_image
from associative_embedding.structures.arrays import Array
from support.commands import document_of, predict
from support.tiny import FIGURE, TINY_DECODE, photo, tiny_model, tiny_predictor


def test_a_model_says_from_which_score_on_people_are_shown(tmp_path: Path) -> None:
    """To the commands and in Python; 0 as the lowest score returns all."""
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    for score in (0.0, 1.0):
        decode = replace(TINY_DECODE, shown_score=score)
        model = tiny_model(tmp_path / f"{score}.safetensors", decode=decode)
        command = ["predict", str(tmp_path / "a.png"), "--model", model, "--output", str(tmp_path / f"{score}")]
        assert main(command) == 0
        rows = json.loads((tmp_path / f"{score}" / "predictions.json").read_text())["annotations"]
        everybody = ae.load(model)(tmp_path / "a.png", min_score=0)
        assert len(everybody) > 0
        assert len(rows) == (everybody.score >= score).sum() == len(ae.load(model)(tmp_path / "a.png"))


def test_folders_patterns_and_files(model: str, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert predict(model, output, folder / "*.jpg", folder / "a.jpg", folder, "--recursive") == 0
    document = document_of(output)
    names = [Path(image["file_name"]).name for image in document["images"]]
    assert names == ["a.jpg", "turned.jpg", "grey.png", "alpha.png"]  # each once
    assert [(i["height"], i["width"]) for i in document["images"]] == [(64, 96), (96, 64), (64, 96), (64, 96)]
    assert document["categories"][0]["keypoints"] == list(FIGURE.keypoints)
    assert document["annotations"]
    assert {a["image_id"] for a in document["annotations"]} <= {1, 2, 3, 4}
    pictures = {path.stem: path for path in output.glob("*.[jp][pn]g")}
    assert pictures.keys() == {"a", "turned", "grey", "alpha"}
    assert [output / image["picture"] for image in document["images"]] == [pictures[Path(n).stem] for n in names]
    assert read_image(pictures["turned"]).shape == (96, 64, 3)


def test_one_bad_file_is_reported_and_the_rest_is_done(
    model: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "b.jpg").write_bytes((folder / "a.jpg").read_bytes()[:400])
    (folder / "c.png").write_bytes(b"")
    assert predict(model, tmp_path / "out", folder, tmp_path / "nothing.jpg", "--json", tmp_path / "r.json") == 1
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("ae: ") for line in lines)
    assert [name in line for name, line in zip(("nothing.jpg", "b.jpg", "c.png"), lines, strict=True)] == [True] * 3
    document = json.loads((tmp_path / "r.json").read_text())
    assert [Path(i["file_name"]).name for i in document["images"]] == ["a.jpg", "grey.png", "turned.jpg"]


def test_a_large_photo_says_that_small_people_are_missed(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in (384, 400):
        Image.fromarray(photo(40, side)).save(tmp_path / f"{side}.png")
    assert predict(model, tmp_path / "out", tmp_path / "384.png", tmp_path / "400.png", "--input_size", 96) == 0
    err = capsys.readouterr().err
    assert "400.png: 400 pixels wide or high, and read at 96: small people are missed; --input_size 192" in err
    assert "384.png" not in err


def test_nobody_in_the_picture_is_a_valid_result(model: str, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert predict(model, output, folder / "a.jpg", "--min-score", "1") == 0
    document = document_of(output)
    assert document["annotations"] == []
    assert len(document["images"]) == len(document["categories"]) == 1


def test_no_source_that_can_be_read_leaves_earlier_results_alone(model: str, folder: Path, tmp_path: Path) -> None:
    predict(model, tmp_path / "out", folder / "a.jpg", "--show", "nothing")
    before = document_of(tmp_path / "out")
    assert predict(model, tmp_path / "out", tmp_path / "typo.jpg") == 1
    assert document_of(tmp_path / "out") == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predictions.json"]


def test_images_that_all_fail_leave_earlier_results_alone(model: str, folder: Path, tmp_path: Path) -> None:
    predict(model, tmp_path / "out", folder / "a.jpg", "--show", "nothing")
    before = document_of(tmp_path / "out")
    (folder / "a.jpg").write_bytes(b"")
    assert predict(model, tmp_path / "out", folder / "a.jpg") == 1
    assert document_of(tmp_path / "out") == before


@pytest.mark.slow
def test_a_closed_output_does_not_stop_the_work(model: str, folder: Path, tmp_path: Path) -> None:
    """As in ``ae predict in/ | head -1``: the reader is gone before the first line."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "associative_embedding", "predict", str(folder), "--model", model]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "out")], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(document_of(tmp_path / "out")["images"]) == len(list((tmp_path / "out").glob("*.[jp][pn]g"))) == 3


def test_a_url(model: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            assert predict(model, tmp_path / "out", f"{url}/a.jpg", f"{url}/none.jpg") == 1
        finally:
            server.shutdown()
    assert [i["file_name"] for i in document_of(tmp_path / "out")["images"]] == [f"{url}/a.jpg"]
    assert "none.jpg: HTTP 404" in capfd.readouterr().err


def test_a_picture_that_cannot_be_written_stops_with_one_line(
    model: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file, not a folder")
    assert predict(model, tmp_path / "out", folder, "--json", tmp_path / "r.json") == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("ae: error: cannot write")
    # No image is in the results file without its picture: --resume makes both.
    assert json.loads((tmp_path / "r.json").read_text())["images"] == []
    (tmp_path / "out").unlink()
    assert predict(model, tmp_path / "out", folder, "--json", tmp_path / "r.json", "--resume") == 0
    images = json.loads((tmp_path / "r.json").read_text())["images"]
    assert len(images) == len(list((tmp_path / "out").iterdir())) == 3


def test_a_picture_that_the_format_cannot_hold_does_not_cost_its_result(
    model: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, picture: Array, mark: bytes) -> None:
        raise ValueError(f"cannot write {path}: .jpg cannot hold 70000x10 pixels")

    monkeypatch.setattr(image_outputs, "write_image", refused)
    assert predict(model, tmp_path / "out", folder) == 1
    assert len(document_of(tmp_path / "out")["images"]) == 3


NO_MEMORY = {
    "onnx": Exception("[ONNXRuntimeError] : 6 : std::bad_alloc"),
    "torch": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 34359738368 bytes."),
    "python": MemoryError(),
}


@pytest.mark.parametrize("error", NO_MEMORY.values(), ids=NO_MEMORY)
def test_an_image_beyond_the_memory_is_one_line_and_the_others_are_done(
    model: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    run, calls = Predictor.run_network, iter(range(9))

    def failing(self: Predictor, batch: Any) -> Any:
        if not next(calls):
            raise error
        return run(self, batch)

    monkeypatch.setattr(Predictor, "run_network", failing)
    assert predict(model, tmp_path / "out", folder) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"ae: {folder}")
    assert line.endswith("there is not enough memory for it")
    assert len(document_of(tmp_path / "out")["images"]) == 2


def test_guessed_keypoints_are_not_drawn() -> None:
    """One stray peak and filled-in points of nearly no score are no person to be seen."""
    found = tiny_predictor()(photo())[:1]
    keypoints = found.keypoints.copy()
    keypoints[..., :2] = np.linspace(10, 60, keypoints.shape[1])[:, None]
    keypoints[..., 2] = MIN_KEYPOINT_SCORE / 2
    keypoints[0, 0, 2] = 0.5
    picture = replace(found, keypoints=keypoints).draw()
    changed = (picture != photo()).any(axis=2)
    assert changed[:20, :20].any()
    assert not changed[30:, 30:].any()
