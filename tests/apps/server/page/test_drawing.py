"""What is found is drawn, listed and named, and answers to the pointer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from associative_embedding.tasks.segmentation.task import SegmentationTask
from support.browser import ScriptedAnswers, opened, served, violations
from support.pictures import blobs

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("playwright", reason="needs the extra [browser]")

from playwright.sync_api import expect

from support.page import choose, dataset, figure, found, mask_rows, page_alone, pixel, png

# Chromium closes its pipes a little late, which Python remarks on.
pytestmark = [pytest.mark.extra, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_the_example_the_table_and_the_picture(tab: Any, service: ScriptedAnswers) -> None:
    expect(tab.locator("h1")).to_have_text("Find every figure in a photo")
    expect(tab.locator("#example")).to_be_hidden()  # there is none of figures
    service.reply(200, dataset(figure(40, 0.875, tag=0), figure(120, 0.25, tag=5)))
    choose(tab, name="team.of.two.png")
    found(tab, 2)
    assert tab.locator("#list tr").all_inner_texts() == ["figure 1\t0.88\t4 of 5", "figure 2\t0.25\t4 of 5"]
    legend = tab.locator("#legend li").all_inner_texts()
    assert legend == ["left side of the body", "right side", "middle"]
    assert pixel(tab, 55, 40)[:3] == [0, 229, 255]  # the left shoulder, cyan as in the package's pictures
    assert pixel(tab, 25, 40)[:3] == [255, 145, 0]
    limb = pixel(tab, 47.5, 30)
    assert limb[:3] == [255, 64, 64]
    tab.focus("#list tr:nth-child(2) button")
    assert pixel(tab, 47.5, 30) != limb  # faint, as the second one is pointed at
    tab.keyboard.press("Enter")
    expect(tab.locator("#list tr:nth-child(2) button")).to_have_attribute("aria-pressed", "true")
    tab.focus("#tags")
    assert pixel(tab, 47.5, 30) != limb  # stays chosen
    tab.keyboard.press("Space")
    first, second = (
        tab.evaluate("i => getComputedStyle(document.querySelectorAll('#list .swatch')[i]).backgroundColor", i)
        for i in (0, 1)
    )
    assert first != second
    with tab.expect_download() as download:
        tab.click("#save")
    assert download.value.suggested_filename == "team.of.two.json"
    saved = json.loads(Path(download.value.path()).read_text())
    assert saved["annotations"] == dataset(figure(40, 0.875, tag=0), figure(120, 0.25, tag=5))["annotations"]
    assert saved["images"][0]["file_name"] == "team.of.two.png"


def test_pointing_at_the_photo(tab: Any, service: ScriptedAnswers) -> None:
    service.reply(200, dataset(figure(40), figure(120)))
    choose(tab)
    found(tab, 2)
    box = tab.locator("#canvas").bounding_box()
    at = {"x": box["width"] * 121 / 160, "y": box["height"] * 21 / 120}
    tab.hover("#canvas", position=at)
    expect(tab.locator("#list tr.on")).to_have_text("figure 20.904 of 5")
    tab.hover("h1")
    expect(tab.locator("#list tr.on")).to_have_count(0)
    tab.click("#canvas", position=at)
    tab.hover("h1")
    expect(tab.locator("#list tr.on")).to_have_count(1)
    tab.click("#canvas", position={"x": 3, "y": 3})
    expect(tab.locator("#list tr.on")).to_have_count(0)


def test_names_of_joints(tab: Any, service: ScriptedAnswers) -> None:
    """A chosen figure has a table of its joints; pointing at one, there or in the photo, rings and names it."""
    service.reply(200, dataset(figure(40), figure(120)))
    choose(tab)
    found(tab, 2)
    expect(tab.locator("#joints")).to_be_hidden()
    tab.click("#list tr:nth-child(2) button")
    expect(tab.locator("#joints-heading")).to_have_text("Points of figure 2")
    rows = tab.locator("#joint-list tr").all_inner_texts()
    assert rows[1] == "left shoulder\t0.80\t135.0\t40.0"
    assert rows[4] == "right hip\tnot found\t\t"
    assert len(rows) == 5
    beside = (146, 33)  # in the plate with the name, above and right of the left shoulder
    bare = pixel(tab, *beside)
    tab.hover("#joint-list tr:nth-child(2)")
    assert pixel(tab, *beside) != bare
    tab.hover("h1")
    assert pixel(tab, *beside) == bare
    box = tab.locator("#canvas").bounding_box()
    tab.hover("#canvas", position={"x": box["width"] * 135 / 160, "y": box["height"] * 40 / 120})
    assert pixel(tab, *beside) != bare
    tab.click("#list tr:nth-child(2) button")
    expect(tab.locator("#joints")).to_be_hidden()


def test_texts_of_others_stay_texts(browser: Any) -> None:
    attack = '<img src=x onerror="window.hit=1">'
    with (
        served(page_alone(SegmentationTask((attack, "b\u202etxt.\n" + "long" * 50)))) as url,
        opened(browser, url) as tab,
    ):
        service = ScriptedAnswers(tab, dataset({**mask_rows(blobs(1))[0], "category_id": 1}, size=(40, 60)))
        expect(tab.locator("h1")).to_contain_text(attack)
        choose(tab, png(size=(40, 60)), name=f"{attack}.png".replace("/", ""))
        expect(tab.locator("#status")).to_have_text("1 found.")
        expect(tab.locator("#list")).to_contain_text(attack)
        service.reply(422, {"detail": attack})
        choose(tab, png(size=(40, 60)))
        expect(tab.locator("#problem")).to_contain_text(attack)
        assert tab.evaluate("window.hit") is None
        assert tab.locator("img[src=x]").count() == 0
        assert "\u202e" not in tab.inner_text("body")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_masks(browser: Any) -> None:
    dense = blobs(5)
    dense[1, :, 7] = True  # a column from edge to edge: its run goes on in the next one
    dense[1, :20, 8] = True
    rows = mask_rows(dense)
    with served(page_alone(SegmentationTask(("nucleus",)))) as url, opened(browser, url) as tab:
        ScriptedAnswers(tab, dataset(*rows, size=(40, 60)))
        expect(tab.locator("h1")).to_have_text("Find every nucleus in a photo")
        script = "async ([run, box]) => [...(await import('/page/drawing.js')).maskPixels(run, box)]"
        for row, mask in zip(rows, dense, strict=True):
            x, y, w, h = (int(value) for value in row["bbox"])
            pixels = np.array(tab.evaluate(script, [row["segmentation"], [x, y, w, h]])).reshape(w, h).T
            np.testing.assert_array_equal(pixels, mask[y : y + h, x : x + w])
        choose(tab, png((0, 0, 0), (40, 60)))
        expect(tab.locator("#status")).to_have_text("5 nuclei found.")
        expect(tab.locator("#list tr").first).to_contain_text(f"{dense[0].sum()} px")
        y, x = np.argwhere(dense[0])[len(np.argwhere(dense[0])) // 2]
        script = """([x, y]) => { const c = document.getElementById("canvas"), s = c.width / 60;
            return [...c.getContext("2d").getImageData((x + .5) * s, (y + .5) * s, 1, 1).data]; }"""
        assert tab.evaluate(script, [int(x), int(y)])[0] > 60  # red of the first mask over black
        box = tab.locator("#canvas").bounding_box()
        tab.hover("#canvas", position={"x": box["width"] * (x + 0.5) / 60, "y": box["height"] * (y + 0.5) / 40})
        expect(tab.locator("#list tr.on")).to_have_count(1)
        assert violations(tab) == []
