"""Many images through the command line: what is written, what is kept, what is drawn."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import associative_embedding as ae
from associative_embedding.apps.cli import image_outputs
from associative_embedding.apps.cli import predict_images as run_predict
from associative_embedding.apps.cli.main import main
from associative_embedding.drawing.skeletons import MIN_KEYPOINT_SCORE
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import coco_dataset
from associative_embedding.io.images import read_image
from associative_embedding.io.lock_files import lock_of, locked
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks import tag_pictures
from support.commands import document_of
from support.tiny import FIGURE, TINY_DECODE, photo, tiny_model, tiny_predictor


def predict(model: str, output: Path, *arguments: object) -> int:
    return main(["predict", "--model", model, "--output", str(output), "--min-score", "0", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A colour image, a grey one, one that EXIF turns, one with alpha, and a file that is no image but says so."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    image = Image.fromarray(photo())
    image.save(tmp_path / "in" / "a.jpg", quality=95)
    image.convert("L").save(tmp_path / "in" / "grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "in" / "turned.jpg", exif=exif)
    image.convert("RGBA").save(tmp_path / "in" / "sub" / "alpha.png")
    return tmp_path / "in"


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


@pytest.fixture
def listed(folder: Path) -> Path:
    """Three images of a folder as a test set lists them: no annotations, in another order, with ids of its own."""
    names = {9001: "turned.jpg", 36: "sub/alpha.png", 415: "a.jpg"}
    images = [{"id": number, "file_name": name} for number, name in names.items()]
    path = folder.parent / "image_info_test-dev2017.json"
    path.write_text(json.dumps({"images": images, "categories": []}))
    return path


def ids_of(document: dict[str, Any]) -> dict[str, int]:
    return {Path(image["file_name"]).name: image["id"] for image in document["images"]}


def test_images_of_a_json_have_its_ids(model: str, folder: Path, listed: Path, tmp_path: Path) -> None:
    plain, out = tmp_path / "plain", tmp_path / "out"
    assert predict(model, plain, folder, "--recursive", "--show", "nothing") == 0
    assert predict(model, out, folder, "--images-of", listed, "--show", "nothing") == 0
    document, numbered = document_of(out), document_of(plain)
    assert ids_of(document) == {"turned.jpg": 9001, "alpha.png": 36, "a.jpg": 415}
    assert list(ids_of(document)) == ["turned.jpg", "alpha.png", "a.jpg"], "in the order of the json"
    assert [row["id"] for row in document["annotations"]] == list(range(1, len(document["annotations"]) + 1))
    for name, number in ids_of(document).items():
        rows, other = ([row for row in d["annotations"] if row["image_id"] == i]
                       for d, i in ((document, number), (numbered, ids_of(numbered)[name])))  # fmt: skip
        assert [row["keypoints"] for row in rows] == [row["keypoints"] for row in other] != []


def test_images_of_a_json_are_resumed_under_their_ids(
    model: str, folder: Path, listed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, arguments = tmp_path / "out", [folder, "--images-of", listed, "--show", "nothing"]
    assert predict(model, out, *arguments) == 0
    whole = document_of(out)
    part = {**whole, "images": whole["images"][:2]}
    part["annotations"] = [row for row in whole["annotations"] if row["image_id"] != 415]
    (out / "predictions.json").write_text(json.dumps(part) + "\n")
    assert predict(model, out, *arguments, "--resume") == 0
    again = document_of(out)
    assert (again["images"], again["annotations"]) == (whole["images"], whole["annotations"])
    # Numbers of two kinds in one file would give an image the results of another one.
    before = (out / "predictions.json").read_bytes()
    assert predict(model, out, folder, "--show", "nothing", "--resume") == 1
    other = json.loads(listed.read_text())
    other["images"][0]["id"] = 37
    listed.write_text(json.dumps(other))
    assert predict(model, out, *arguments, "--resume") == 1
    lines = capfd.readouterr().err
    assert lines.count("(image_ids)") == 2
    assert (out / "predictions.json").read_bytes() == before


def test_results_of_an_older_version_keep_their_numbers(
    model: str, folder: Path, listed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Their settings state no kind of ids, so the ids themselves are compared."""
    out = tmp_path / "out"
    assert predict(model, out, folder / "a.jpg", "--show", "nothing") == 0
    document = document_of(out)
    del document["info"]["settings"]["image_ids"]
    (out / "predictions.json").write_text(json.dumps(document) + "\n")
    assert predict(model, out, folder, "--images-of", listed, "--show", "nothing", "--resume") == 1
    assert "its images have other ids than those of --images_of" in capfd.readouterr().err
    assert ids_of(document_of(out)) == {"a.jpg": 1}


def test_images_of_a_json_that_cannot_be_had_get_one_line(
    model: str, folder: Path, listed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    twice, missing, empty, broken = (tmp_path / f"{i}.json" for i in range(4))
    image = {"id": 1, "file_name": "a.jpg"}
    twice.write_text(json.dumps({"images": [image, {**image, "id": 2}], "categories": []}))
    missing.write_text(json.dumps({"images": [image, {"id": 2, "file_name": "b.jpg"}], "categories": []}))
    empty.write_text(json.dumps({"images": [], "categories": []}))
    broken.write_text("{}")
    out = tmp_path / "out"
    for status, arguments, message in (
        (2, [folder / "a.jpg", "--images-of", listed], "takes one source: the folder"),
        (2, [folder, folder, "--images-of", listed], "takes one source: the folder"),
        (2, [folder, "--images-of", listed, "--recursive"], "--recursive has no effect with --images_of"),
        (2, [folder, "--images-of", listed, "--track"], "--images_of works only for images"),
        (2, [folder, "--images-of", listed, "--engine", "ray"], "--images_of has no effect with --engine ray"),
        (1, [folder, "--images-of", twice], "twice"),
        (1, [folder, "--images-of", missing], "b.jpg"),
        (1, [folder, "--images-of", empty], "lists no image"),
        (1, [folder, "--images-of", broken], "needs a list of objects 'images'"),
        (1, [folder, "--images-of", listed, "--json", listed], "is an input of this command"),
    ):
        assert predict(model, out, *arguments) == status, arguments
        assert message in capfd.readouterr().err
    assert not out.exists()


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


@pytest.mark.parametrize("options", [[], ["--flip", "--scales", "1", "0.5"]])
def test_the_picture_of_tags(model: str, folder: Path, tmp_path: Path, options: list[str]) -> None:
    assert predict(model, tmp_path / "out", folder / "a.jpg", "--show", "tags", "--scores", *options) == 0
    (path,) = (tmp_path / "out").glob("*.jpg")
    height, width = read_image(path).shape[:2]
    assert height > 64 + 5 * 26  # people, tag maps, and a row a keypoint type
    assert width > 600


def test_tag_maps_are_drawn_over_what_they_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def draw(image: Array, tag: Array, heatmap: Array, channels: dict[str, int], **options: Any) -> Array:
        seen.update(image=image, tag=tag)
        return image

    monkeypatch.setattr(tag_pictures, "draw_tag_maps", draw)
    run = tiny_predictor(input_size=128)
    tag_pictures.tag_pictures(*run.explain(photo(100, 130)))
    height, width = seen["tag"].shape[1:]
    assert seen["image"].shape[:2] == (4 * height, 4 * width)


def test_a_person_has_one_colour_in_all_pictures() -> None:
    """Groups are numbered as the people shown; detections of people that are not shown are in none."""
    decoded, _, geometry = tiny_predictor().explain(photo())
    everybody = decoded.instances
    shown = run_predict.select_instances(decoded, np.arange(len(everybody)) > 0)
    groups, people = tag_pictures.shown_groups(shown), shown.instances
    assert len(groups) == len(people) == len(everybody) - 1 > 0
    np.testing.assert_allclose(groups.tag, people.tag, rtol=1e-5)
    xy = geometry.to_image(decoded.detections.xy)
    for i in np.flatnonzero(groups.group >= 0):
        x, y, score = people.keypoints[groups.group[i], decoded.channel[i]]
        if score > 0:  # not at the edge of the image
            np.testing.assert_allclose((x, y), xy[i], atol=1e-3)
    assert set(groups.group) == {-1, *range(len(people))}


def test_people_with_equal_tags_keep_their_own_groups() -> None:
    """Groups are numbers; that tags are equal says nothing."""
    run = tiny_predictor().with_decode(duplicate_oks=1.0, fill=False)
    maps, geometry = run.maps(photo())
    decoded = run.task.decode_groups(Maps(maps.heatmap, torch.zeros_like(maps.tag)), geometry)
    assert len(decoded.groups) > 1
    groups = tag_pictures.shown_groups(decoded)
    assert sorted(np.bincount(groups.group[groups.group >= 0])) == sorted(np.bincount(decoded.groups.group))


def test_nobody_shown_is_no_group() -> None:
    decoded, _, _ = tiny_predictor().explain(photo())
    nobody = run_predict.select_instances(decoded, np.zeros(len(decoded.instances), bool))
    assert set(tag_pictures.shown_groups(nobody).group) == {-1}


def test_tags_are_shown_of_the_same_run_of_the_network(
    model: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, original = [], Predictor.run_network
    monkeypatch.setattr(Predictor, "run_network", lambda self, batch: (seen.append(1), original(self, batch))[1])
    assert predict(model, tmp_path / "out", folder / "a.jpg", "--show", "tags") == 0
    assert len(seen) == 1


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
