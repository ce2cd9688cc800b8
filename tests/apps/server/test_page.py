"""The files of the page: what holds without a browser. The page in a browser: the folder page."""

from __future__ import annotations

import json
import re
import tomllib
from fnmatch import fnmatch
from itertools import product

import numpy as np
import pytest

from associative_embedding.drawing.palette import COLOURS, palette
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.segmentation.task import SegmentationTask
from support.paths import ROOT
from support.tiny import FIGURE

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("httpx", reason="needs httpx")

from associative_embedding.apps.server.jobs import ServedModel
from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.page import page_description, page_folder, page_router
from associative_embedding.apps.server.requests import REQUEST_SETTINGS

pytestmark = pytest.mark.extra

TEXTS = {
    entry.name: entry.read_text(encoding="utf-8")
    for entry in page_folder().iterdir()
    if entry.name.endswith((".html", ".css", ".js"))
}
HTML, CSS = TEXTS["page.html"], TEXTS["page.css"]
SCRIPTS = {name: text for name, text in TEXTS.items() if name.endswith(".js")}


FIGURES = ServedModel(PoseTask(FIGURE), 64, "cpu")


def test_what_scripts_and_labels_name_is_in_the_page() -> None:
    ids = re.findall(r'\bid="([\w-]+)"', HTML)
    assert len(ids) == len(set(ids))
    named = {name for text in SCRIPTS.values() for name in re.findall(r'\$\("([\w-]+)"\)', text)}
    named |= set(re.findall(r'(?:aria-labelledby|aria-describedby|for)="([\w-]+)"', HTML))
    assert named - set(ids) == set()


def test_nothing_in_the_page_needs_an_exception_of_the_policy() -> None:
    assert re.findall(r"<style|\bstyle=|\bon\w+=|javascript:|<script(?![^>]*\bsrc=)", HTML) == []
    # Texts of models, files and answers never become markup.
    for name, text in SCRIPTS.items():
        assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text) == [], (
            name
        )
    for name, text in TEXTS.items():
        assert re.findall(r"(?:https?:)?//[\w.-]+\.\w+/", text.replace("http://www.w3.org/", "")) == [], name


def test_each_setting_of_a_request_is_explained() -> None:
    for setting in ("min_score", *REQUEST_SETTINGS):
        assert re.search(rf'^  {setting}: {{ words: "[A-Z].+", help: ".+\."', SCRIPTS["sliders.js"], re.MULTILINE), (
            setting
        )


def test_the_package_has_the_files_and_they_are_small() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = table["tool"]["setuptools"]["package-data"]["associative_embedding"]
    sizes = {entry.name: len(entry.read_bytes()) for entry in page_folder().iterdir()}
    assert all(any(fnmatch(f"apps/server/page/{name}", pattern) for pattern in patterns) for name in sizes)
    assert sum(size for name, size in sizes.items() if name.endswith(".jpg")) < 60_000
    assert sum(sizes.values()) < 110_000


def test_page_and_site_have_one_logo() -> None:
    icon = page_folder().joinpath("icon.svg").read_bytes()
    assert icon == (ROOT / "docs" / "assets" / "logo.svg").read_bytes()


def test_the_routes_state_the_types_of_the_files() -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    app = FastAPI()
    app.include_router(page_router(FIGURES, Limits()))
    client = TestClient(app)
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "unsafe" not in page.headers["content-security-policy"]
    linked = re.findall(r'(?:src|href)="(page/[\w.]+)"', page.text)
    linked += [f"page/{name}" for text in SCRIPTS.values() for name in re.findall(r'from "\./([\w.]+)"', text)]
    assert len(linked) >= 6
    for address in linked:
        answer = client.get(address)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-cache"
    assert client.get("/page/page.js").headers["content-type"].startswith("text/javascript")
    for address in ("/page/page.py", "/page/..%2fservice.py", "/page/%2e%2e/page.py", "/page/"):
        assert client.get(address).status_code == 404, address


def test_what_the_page_is_told() -> None:
    told = json.loads(json.dumps(page_description(FIGURES, Limits(max_bytes=1000, max_pixels=2000, timeout=3))))
    (category,) = told["categories"]
    assert category == {
        "id": 1,
        "name": "figure",
        "keypoints": list(FIGURE.keypoints),
        "edges": [[0, 1], [0, 2], [1, 3], [2, 4]],
        "sides": ["", "l", "r", "l", "r"],
    }
    assert told["palette"] == ["#" + bytes(colour).hex() for colour in palette(COLOURS).astype(np.uint8)]
    assert told["side_colours"] == {"l": "#00e5ff", "r": "#ff9100", "": "#ffffff"}
    assert told["limits"] == {"bytes": 1000, "pixels": 2000, "seconds": 3}
    assert (told["masks"], told["example"]) == (False, None)


def test_what_the_page_is_told_about_masks() -> None:
    told = page_description(ServedModel(SegmentationTask(("nucleus",)), 64, "cpu"), Limits())
    assert told["categories"] == [{"id": 1, "name": "nucleus"}]
    assert (told["masks"], told["example"]) == (True, "nucleus.jpg")
    assert page_folder().joinpath("nucleus.jpg").is_file()


# ---- colours


def variables(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


LIGHT = variables(CSS[: CSS.index("@media (prefers-color-scheme: dark)")])
DARK = variables(CSS[CSS.index("@media (prefers-color-scheme: dark)") :])
GROUNDS = ("ground", "surface", "hover")
TEXT = [*product(("ink", "muted", "accent"), GROUNDS), ("on-accent", "accent"), ("error", "error-ground")]
BORDERS = [*product(("edge", "accent"), ("ground", "surface")), ("accent", "hover"), ("error", "error-ground")]


def contrast(a: str, b: str) -> float:
    """The contrast of two colours by WCAG 2."""
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    share = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_and_borders_have_enough_contrast(theme: dict[str, str]) -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert LIGHT.keys() == DARK.keys()
    assert [pair for pair in TEXT if contrast(theme[pair[0]], theme[pair[1]]) < 4.5] == []
    assert [pair for pair in BORDERS if contrast(theme[pair[0]], theme[pair[1]]) < 3] == []


def test_nothing_moves_for_those_who_want_it_still() -> None:
    start = CSS.index("@media (prefers-reduced-motion: no-preference)")
    end = CSS.index("@media (prefers-reduced-motion: reduce)")
    assert "animation" in CSS[start:end]
    assert re.findall("animation|transition|@keyframes", CSS[:start] + CSS[end:]) == []
