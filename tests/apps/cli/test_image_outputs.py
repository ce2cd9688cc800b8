"""What ``ae predict`` writes for images: names, tables, and what it replaces."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from associative_embedding.apps.cli.main import main
from associative_embedding.io.find_images import find_images
from support.commands import document_of
from support.tiny import FIGURE, photo


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number, name in enumerate(("a/x.jpg", "b/x.jpg", "y.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(photo(seed=number)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(model: str, *arguments: str, status: int = 0) -> None:
    assert main(["predict", *arguments, "--model", model, "--min_score", "0"]) == status


def pictures(folder: str = "output") -> dict[str, str]:
    return {image["file_name"]: image["picture"] for image in document_of(Path(folder))["images"]}


def test_pictures_have_the_names_of_their_images(here: Path, model: str) -> None:
    predict(model, "a/x.jpg", "y.png")
    assert pictures() == {"a/x.jpg": "x.jpg", "y.png": "y.png"}
    assert sorted(path.name for path in Path("output").iterdir()) == ["predictions.json", "x.jpg", "y.png"]


def test_two_of_one_name_are_two_pictures(here: Path, model: str) -> None:
    predict(model, "a/x.jpg", "b/x.jpg", "y.png")
    named = pictures()
    assert len(set(named.values())) == 3
    assert named["y.png"] == "y.png"
    assert all((Path("output") / name).is_file() for name in named.values())


def test_a_picture_beside_its_image_leaves_the_image(here: Path, model: str) -> None:
    before = Path("y.png").read_bytes()
    predict(model, "y.png", "--output", ".")
    assert Path("y.png").read_bytes() == before
    (name,) = pictures(".").values()
    assert name != "y.png"
    assert find_images(["."]) == ["./y.png"]  # the next run leaves the picture out


def test_the_json_may_lie_elsewhere(here: Path, model: str) -> None:
    predict(model, "y.png", "--output", "out", "--json", "results/r.json")
    (image,) = json.loads(Path("results/r.json").read_text())["images"]
    assert image["picture"] == "../out/y.png"


def test_another_image_of_the_name_is_kept_when_a_run_goes_on(here: Path, model: str) -> None:
    predict(model, "a/x.jpg")
    first = Path("output/x.jpg").read_bytes()
    predict(model, "b/x.jpg", "--resume")
    assert Path("output/x.jpg").read_bytes() == first
    named = pictures()
    assert named["a/x.jpg"] == "x.jpg" != named["b/x.jpg"]


def test_what_is_replaced_is_named(here: Path, model: str, capfd: pytest.CaptureFixture[str]) -> None:
    predict(model, "y.png", "a/x.jpg")
    assert capfd.readouterr().err == ""
    predict(model, "y.png", "--formats", "csv")
    assert capfd.readouterr().err == ("ae: output: 2 files of an earlier run are replaced (predictions.json, y.png)\n")
    predict(model, "a/x.jpg", "--show", "nothing", "--json", "one.json")
    assert capfd.readouterr().err == ""
    predict(model, "a/x.jpg", "--show", "nothing", "--json", "one.json")
    assert capfd.readouterr().err == "ae: one.json: the file of an earlier run is replaced\n"
    predict(model, "y.png", "a/x.jpg", "--show", "nothing", "--json", "one.json", "--resume")
    assert capfd.readouterr().err == ""


def test_a_table_of_photos(here: Path, model: str, capfd: pytest.CaptureFixture[str]) -> None:
    predict(model, "a", "y.png", "--formats", "csv", "--show", "nothing")
    assert capfd.readouterr().out.endswith("-> output/predictions.json, output/predictions.csv\n")
    with open("output/predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    document = document_of(Path("output"))
    assert len(rows) == len(document["annotations"]) > 0
    assert {row["image"] for row in rows} == {"a/x.jpg", "y.png"}
    name = FIGURE.keypoints[0]
    for row, annotation in zip(rows, document["annotations"], strict=True):
        assert float(row["score"]) == pytest.approx(annotation["score"], abs=1e-4)
        assert float(row[f"{name}_score"]) == pytest.approx(annotation["keypoints"][2], abs=1e-4)
    whole = Path("output/predictions.csv").read_text()
    predict(model, "a", "--formats", "csv", "--show", "nothing")
    predict(model, "a", "y.png", "--formats", "csv", "--show", "nothing", "--resume")
    assert Path("output/predictions.csv").read_text() == whole


def test_a_table_is_not_continued_where_there_is_none(
    here: Path, model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    predict(model, "a", "--show", "nothing")
    predict(model, "y.png", "--show", "nothing", "--formats", "csv", "--resume", status=1)
    assert "output/predictions.csv: is missing, so it cannot be continued" in capfd.readouterr().err
    assert len(document_of(Path("output"))["images"]) == 1


def test_formats_of_videos_are_refused_for_images(here: Path, model: str, capfd: pytest.CaptureFixture[str]) -> None:
    predict(model, "y.png", "--formats", "csv", "mot", status=2)
    assert "--formats mot is for videos; images have json and, with --formats csv, a table" in capfd.readouterr().err
