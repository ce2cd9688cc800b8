"""``ae predict --images-of``: the images that a json lists, under its ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.commands import document_of, predict


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
