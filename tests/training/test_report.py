"""The report of a run is one page that needs nothing else, whatever names are in it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.training.curves import chart
from associative_embedding.training.pictures import write_picture
from associative_embedding.training.report import Story, how_to_predict, write_report

HOSTILE = "<script src='http://a.example/x.js'></script>&\"'\x1b[2J"


class Tags(HTMLParser):
    """Collects the elements and their attributes, and checks that each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def run(folder: Path) -> Path:
    """The files of a run with hostile names."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [{"event": "train", "step": i, "loss": 3 / i, "lr": 1e-3, "pull": 0.0} for i in range(1, 9)]
    lines += [
        {"event": "validation", "step": i, "AP": ap, "pixel_error": None if i < 8 else 2.5, f"AP50 {HOSTILE}": 0.25}
        for i, ap in ((2, 0.1), (4, 0.625), (8, 0.5))
    ]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "recipe.yaml").write_text(f"output: {HOSTILE}")
    picture = np.full((20, 30, 3), 90, np.uint8)
    for name in ("batch.jpg", "validation/step-000004-found.jpg", "validation/step-000008-found.jpg"):
        write_picture(folder / name, picture)
    return folder


def test_a_report_is_one_page_without_anything_from_outside(tmp_path: Path) -> None:
    text = write_report(run(tmp_path / HOSTILE.replace("/", "")), Story("lead", [HOSTILE], "pose")).read_text()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    names = [tag for tag, _ in tags.found]
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(names)
    for _, attributes in tags.found:
        assert not {"href", "srcset", "onload", "action"} & attributes.keys()
        assert str(attributes.get("src", "data:")).startswith("data:image/jpeg;base64,") or "src" not in attributes
    assert "url(" not in text
    assert "@import" not in text
    assert names.count("img") == 2
    assert names.count("svg") == 3  # AP, loss and learning rate: a pull of 0 and one pixel error have no curve
    assert "step 8" in re.sub(r"<.*?>", "", text)
    assert "best AP, step 4" in text
    assert "\x1b" not in text


def test_a_report_never_replaces_a_file_of_others(tmp_path: Path) -> None:
    (run(tmp_path) / "report.html").write_text("<p>mine</p>")
    with pytest.raises(ValueError, match=r"report\.html exists and was not written by ae"):
        write_report(tmp_path, Story("lead", [], "pose"))
    (tmp_path / "report.html").unlink()
    write_report(tmp_path, Story("lead", [], "pose"))
    write_report(tmp_path, Story("lead", [], "pose"))


def test_a_run_without_a_line_in_its_log_has_a_report(tmp_path: Path) -> None:
    assert "no images to validate on" in write_report(tmp_path, Story("lead", [], "pose")).read_text()


@pytest.mark.parametrize(
    ("task", "lines"),
    [
        ("pose", ["ae predict photo.jpg --model ", "ae predict film.mp4 --track --model ", "ae.load('"]),
        ("segmentation", ["ae predict photo.jpg --model ", "ae.load('"]),
        ("single-person", ["ae predict photo.jpg --refine ", "ae.load(refine='"]),
    ],
)
def test_how_to_predict_fits_the_task(tmp_path: Path, task: str, lines: list[str]) -> None:
    model = str(tmp_path / "model.safetensors")
    text = how_to_predict(tmp_path, task)
    assert text.count(model) == len(lines)
    assert all(f"{line}{model}" in text for line in lines)


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [1e-9, 2e9], [-3.0, 5.0] * 900])
def test_curves_stay_inside_of_their_chart(values: list[float]) -> None:
    svg = chart("a & b", list(enumerate(values, start=1)), smooth=True)
    places = [tuple(map(float, p.split(","))) for p in " ".join(re.findall(r'points="([^"]*)"', svg)).split()]
    assert places
    assert all(46 <= x <= 330 and 26 <= y <= 148 for x, y in places)
    assert len(places) <= 2 * 400 + 2
    assert "a &amp; b" in svg
